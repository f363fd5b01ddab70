//! A program of the guest, run to its end.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::{argv, value};
use super::{Form, Operation, Takes};
use crate::Nanos;

/// Runs a program of the guest to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// Path in the guest and arguments.
    pub argv: Vec<String>,
    /// How long it may take, in guest time.
    pub within: Nanos,
}

impl fmt::Display for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exec {} {}", self.within.typed(), self.argv.join(" "))
    }
}

impl Operation for Exec {
    const FORMS: &'static [Form] = &[Form {
        usage: "exec WITHIN PROGRAM [ARGUMENT…]",
        help: "runs a program of the guest to its end, which must come within that much guest time",
    }];

    fn parse(_: &str, arguments: &str) -> Result<Exec, String> {
        let (within, rest) = value(arguments, "the time")?;
        let argv = argv(rest)?;
        Ok(Exec { argv, within })
    }

    fn takes(&self) -> Takes {
        Takes::Span(self.within)
    }

    fn describe(&self) -> String {
        format!("the agent runs {}", self.argv.join(" "))
    }
}
