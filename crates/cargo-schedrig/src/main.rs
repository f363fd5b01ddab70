//! The command line of schedrig.
fn main() {}
