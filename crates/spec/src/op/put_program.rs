//! A program of the host for the guest.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::{end, need};
use super::{Form, Operation};

/// Puts a program of the host and its shared libraries into the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutProgram {
    /// Which program.
    pub program: HostProgram,
}

/// A program of the host with all that it needs to start, by path and checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostProgram {
    /// Its path on the host.
    pub path: String,
    /// The program and its libraries; empty for a program that is taken as it is found.
    pub files: Vec<FileSum>,
}

/// A file by its checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Its path in the guest; a library has the same path on the host.
    pub path: String,
    /// SHA-256 in hex.
    pub sha256: String,
}

impl fmt::Display for PutProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "put-program {}", self.program.path)
    }
}

impl Operation for PutProgram {
    const FORMS: &'static [Form] = &[Form {
        usage: "put-program PATH",
        help: "puts a program of the host and its shared libraries into /opt/schedrig/bin",
    }];
    const BY_HOST: bool = true;

    fn parse(_: &str, arguments: &str) -> Result<PutProgram, String> {
        let (path, rest) = need(arguments, "the path")?;
        end(rest)?;
        let program = HostProgram {
            path: path.to_owned(),
            files: Vec::new(),
        };
        Ok(PutProgram { program })
    }

    fn describe(&self) -> String {
        format!("the agent writes {} and its libraries", self.program.path)
    }
}
