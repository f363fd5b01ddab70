//! One run: its specification, and its execution.

mod execute;
mod spec;

pub(crate) use execute::{Executed, RunBody, execute, go_on};
pub use spec::{Exactly, Keep, ReplayCommand, RunSpec, TimedLook, default_records_dir};
