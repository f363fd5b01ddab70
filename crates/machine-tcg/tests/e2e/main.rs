//! Machines on a real kernel: what a run promises, how it can end, what the guest sees of its shape.
#![allow(clippy::unwrap_used, reason = "a failed step of a test is its failure")]

mod calls;
mod duplicates;
mod ends;
mod forks;
mod program;
mod support;
mod topology;
