//! A window of guest time.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::{end, value};
use super::{Form, Operation, Takes};
use crate::Nanos;

/// Opens the gate, lets the guest run, and measures what the workers did. Ends early if the scheduler's program ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFor {
    /// How long, in guest time.
    pub span: Nanos,
}

impl fmt::Display for RunFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {}", self.span.typed())
    }
}

impl Operation for RunFor {
    const FORMS: &'static [Form] = &[Form {
        usage: "run SPAN",
        help: "lets the workers run for that much guest time",
    }];

    fn parse(_: &str, arguments: &str) -> Result<RunFor, String> {
        let (span, rest) = value(arguments, "the span")?;
        end(rest)?;
        Ok(RunFor { span })
    }

    fn takes(&self) -> Takes {
        Takes::Span(self.span)
    }

    fn describe(&self) -> String {
        format!("the workers run for {}", self.span)
    }
}
