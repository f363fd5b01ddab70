//! Views of records: text for people, a summary for scripts.
//!
//! *Architecture invariant:* a report adds nothing to a record and knows no VM. What it shows of the same
//! execution is the same text: host times are left to whoever prints it.
#![forbid(unsafe_code)]

mod summary;
mod text;

pub use summary::{CheckSummary, GroupSummary, KernelSummary, Summary};
pub use text::{detail, verdict_line};
