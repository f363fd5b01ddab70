//! Builds a workspace program for embedding, from a build script.
