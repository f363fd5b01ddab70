//! Many seeds of one scenario: the threads that run them, and the results so far.
//!
//! ```text
//! Seeds ─► jobs (a thread each; the next fork is made while this one runs) ─► Ran ─► Tally ─► table, JSON
//! ```

mod in_order;
mod jobs;
mod tally;

pub(crate) use in_order::InOrder;
pub(crate) use jobs::{Jobs, Ran};
pub(crate) use tally::Tally;
