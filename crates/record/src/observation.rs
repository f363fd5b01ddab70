//! Answers to questions about the guest's kernel.

use serde::{Deserialize, Serialize};
use spec::GuestTime;

use crate::Value;

/// An answer about the guest's kernel at a frozen instant. Not covered by the record hash: observing a run changes no
/// execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When, to the tick if the workers ran.
    pub at: GuestTime,
    /// The question.
    pub asked: String,
    /// The answer.
    pub seen: Value,
}
