//! What a test did to its guest, step by step.
//!
//! A test's body is code of the host, and all that reaches the guest of it are these steps. So a run can be made again
//! from its record alone, without the program that made it.

use serde::{Deserialize, Serialize};
use spec::{CgroupSpec, GroupName, Nanos, Work};
use wire::kernel_op::KernelOpRequest;

/// One thing that a test's body did, in the order in which it did them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Step {
    /// Put a file into the guest.
    PutFile {
        /// Absolute path in the guest.
        path: String,
        /// Permission bits.
        mode: u32,
        /// What is in it.
        content: Content,
    },
    /// Put a program of the host and its shared libraries into the guest.
    PutProgram {
        /// Which.
        program: HostProgram,
    },
    /// Read a file of the guest.
    ReadFile {
        /// Absolute path in the guest.
        path: String,
    },
    /// Made a cgroup.
    MakeCgroup {
        /// Its name, cpuset and weight.
        group: CgroupSpec,
    },
    /// Made workers.
    Spawn {
        /// Their group.
        group: GroupName,
        /// What they do.
        work: Work,
        /// How many.
        count: u32,
        /// Their nice value.
        nice: i8,
    },
    /// Started a scheduler's program.
    StartScheduler {
        /// Path in the guest and arguments.
        argv: Vec<String>,
    },
    /// Ended it.
    StopScheduler,
    /// Let the guest run.
    RunFor {
        /// How long, in guest time.
        span: Nanos,
    },
    /// Ran a program of the guest to its end.
    Exec {
        /// Path in the guest and arguments.
        argv: Vec<String>,
        /// How long it may take, in guest time.
        within: Nanos,
    },
    /// Wrote to the guest's kernel.
    WriteKernel {
        /// What, and where.
        op: KernelOpRequest,
    },
    /// Noted a value.
    Note {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
    },
    /// Gave up.
    GaveUp {
        /// With these words.
        reason: String,
    },
}

/// A program of the host with all that it needs to start, by path and checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostProgram {
    /// Its path on the host that made the record.
    pub path: String,
    /// Itself and its libraries.
    pub files: Vec<FileSum>,
}

/// A file by its checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Its path in the guest; a library's is that on the host, too.
    pub path: String,
    /// SHA-256 in hex.
    pub sha256: String,
}

/// What is in a file that a test put into its guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// UTF-8.
    Text(String),
    /// Other bytes, in hex.
    Hex(String),
    /// Too much for a record.
    Omitted {
        /// How many bytes.
        bytes: u64,
    },
}

/// The longest file that a record keeps, in bytes.
const MAX_KEPT: usize = 1 << 20;

impl Content {
    /// These bytes, as a record keeps them.
    pub fn of(bytes: &[u8]) -> Content {
        if bytes.len() > MAX_KEPT {
            return Content::Omitted {
                bytes: bytes.len() as u64,
            };
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Content::Text(text.to_owned()),
            Err(_) => Content::Hex(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        }
    }

    /// The bytes; `None` where the record has not kept them, or does not hold hex.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self {
            Content::Text(text) => Some(text.clone().into_bytes()),
            Content::Hex(digits) if digits.len().is_multiple_of(2) => digits
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect(),
            Content::Hex(_) | Content::Omitted { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_come_back_unless_they_were_left_out() {
        let check = |bytes: &[u8]| assert_eq!(Content::of(bytes).bytes().as_deref(), Some(bytes));
        check(b"");
        check(b"plain text\n");
        check(&[0xff, 0x00, 0x7f]);
        let long = Content::of(&vec![0; MAX_KEPT + 1]);
        assert_eq!(
            long,
            Content::Omitted {
                bytes: MAX_KEPT as u64 + 1
            }
        );
        assert_eq!(long.bytes(), None);
        assert_eq!(Content::Hex("zz".into()).bytes(), None);
        assert_eq!(Content::Hex("abc".into()).bytes(), None);
        assert_eq!(Content::Hex("+1".into()).bytes(), Some(vec![1]));
    }

    #[test]
    fn steps_read_in_json_as_people_would_write_them() {
        let json = |step: &Step| serde_json::to_string(step).unwrap();
        let run = Step::RunFor {
            span: Nanos::from_secs(2),
        };
        assert_eq!(json(&run), r#"{"do":"run_for","span":2000000000}"#);
        assert_eq!(json(&Step::StopScheduler), r#"{"do":"stop_scheduler"}"#);
    }
}
