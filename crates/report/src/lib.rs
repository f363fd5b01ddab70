//! Reports: a record as a typed model, and views of the model for people and for scripts; where two records differ, what
//! many have in common.
//!
//! *Architecture invariant:* a report adds nothing to a record and knows no VM. What it shows of the same
//! execution is the same text: host times are left to whoever prints it.
//!
//! ```text
//! Record ──► Model ─┬─► text         for people: headline, findings, how it got there, tables
//!                   ├─► json         for scripts
//!                   └─► metrics ──► Spread     of many runs
//! two Records ──► Difference
//! ```
//!
//! A view has no logic but layout: it can be added without a look at how a record is judged.
#![forbid(unsafe_code)]

mod difference;
#[cfg(test)]
mod golden;
pub mod json;
mod model;
#[cfg(test)]
mod samples;
mod spread;
mod table;
pub mod text;
mod wording;

pub use difference::{Channel, Difference, first_difference};
pub use model::{Change, GroupRow, Headline, History, Model, Ratio, Sampled, WorkerRow, changes};
pub use spread::{Metric, Spread, SpreadRow, Unit, metrics, spread_table};
pub use wording::count;

use record::Record;

/// The text view of a record that is not kept, or whose place does not matter.
pub fn detail(record: &Record) -> String {
    text::of(&Model::of(record))
}
