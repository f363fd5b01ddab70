//! What a kernel looked like at the instant of a failure.

use serde::{Deserialize, Serialize};
use spec::GuestTime;

use crate::Value;

/// A failure, seen in the kernel while it happened. Not part of the record's hash: looking changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dump {
    /// When.
    pub at: GuestTime,
    /// What set it off, in a sentence.
    pub trigger: String,
    /// What explains it at once: the tasks that are stuck, the scheduler's own words.
    pub headline: Vec<String>,
    /// Everything: queues, tasks, programs' maps and variables.
    pub seen: Value,
}
