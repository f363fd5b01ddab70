//! What the kernel says about a process, read from `/proc/PID`.

mod numbers;
mod text;

pub(crate) use numbers::{Marks, ProcessFiles};
pub(crate) use text::SchedStat;
