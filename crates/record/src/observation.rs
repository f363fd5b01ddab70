//! What somebody saw who looked at the guest's kernel.

use serde::{Deserialize, Serialize};
use spec::GuestTime;

use crate::Value;

/// What was seen in the guest's kernel at a frozen instant. Not part of the record's hash: looking changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// When, to the tick if the workers ran.
    pub at: GuestTime,
    /// The question.
    pub asked: String,
    /// The answer.
    pub seen: Value,
}
