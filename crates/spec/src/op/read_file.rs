//! A file of the guest for the host.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::{end, path};
use super::{Form, Operation};

/// Reads a file of the guest, whole; files of `/proc` and `/sys` too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFile {
    /// Absolute path in the guest.
    pub path: String,
}

impl fmt::Display for ReadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "read {}", self.path)
    }
}

impl Operation for ReadFile {
    const FORMS: &'static [Form] = &[Form {
        usage: "read PATH",
        help: "reads a file of the guest, whole",
    }];

    fn parse(_: &str, arguments: &str) -> Result<ReadFile, String> {
        let (path, rest) = path(arguments)?;
        end(rest)?;
        Ok(ReadFile { path })
    }

    fn describe(&self) -> String {
        format!("the agent reads {}", self.path)
    }
}
