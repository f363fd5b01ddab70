//! Views of records: text for people, a summary for scripts, where two of them part, what many have in common.
//!
//! *Architecture invariant:* a report adds nothing to a record and knows no VM. What it shows of the same
//! execution is the same text: host times are left to whoever prints it.
#![forbid(unsafe_code)]

mod difference;
mod repro;
#[cfg(test)]
mod samples;
mod spread;
mod summary;
mod table;
mod text;

pub use difference::{Difference, first_difference};
pub use spread::{Metric, Spread, SpreadRow, metrics, spread_table};
pub use summary::{CaughtSummary, CheckSummary, GroupSummary, KernelSummary, Summary};
pub use text::{detail, verdict_line};
