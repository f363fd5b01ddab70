//! The end of a test's body that returned an error.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Operation;

/// Puts into the record that the test's body returned an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BodyFailed {
    /// The error, with its causes.
    pub reason: String,
    /// The error is that of an op that was refused ([`super::OpError::is_refusal`]).
    #[serde(default)]
    pub refused: bool,
}

impl fmt::Display for BodyFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the test returned an error: {}", self.reason)
    }
}

impl Operation for BodyFailed {
    const BY_HOST: bool = true;

    fn describe(&self) -> String {
        "the test returns an error".to_owned()
    }
}
