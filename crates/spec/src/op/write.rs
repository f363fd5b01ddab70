//! A text for a file of the kernel.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::path;
use super::{Form, Operation};

/// Writes a text to a file that is there: a cgroup's (`/sys/fs/cgroup/a/cpu.max`), a sysctl
/// (`/proc/sys/kernel/sched_rr_timeslice_ms`). The text is written as it is, at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// Absolute path in the guest.
    pub path: String,
    /// What is written.
    pub text: String,
}

impl Write {
    /// Writes that value to the file at `path`.
    pub fn new(path: &str, value: impl fmt::Display) -> Write {
        Write {
            path: path.to_owned(),
            text: value.to_string(),
        }
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} {}", self.path, self.text)
    }
}

impl Operation for Write {
    const FORMS: &'static [Form] = &[Form {
        usage: "write PATH TEXT",
        help: "writes to a cgroup or sysctl file, which must exist",
    }];

    fn parse(_: &str, arguments: &str) -> Result<Write, String> {
        let (path, text) = path(arguments)?;
        match text {
            "" => Err("the text is missing".to_owned()),
            text => Ok(Write::new(&path, text)),
        }
    }

    fn describe(&self) -> String {
        format!("the agent writes `{}` to {}", self.text, self.path)
    }
}
