//! A scripted host for tests.
