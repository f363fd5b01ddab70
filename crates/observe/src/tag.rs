//! The names of snapshots, and of the files in which they are kept.
