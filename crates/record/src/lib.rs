//! The evidence of one run, and its format on disk.
