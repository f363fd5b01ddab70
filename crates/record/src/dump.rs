//! What a kernel looked like at the instant of a failure.

use serde::{Deserialize, Serialize};

use crate::Snapshot;

/// A failure, seen in the kernel while it happened. Not part of the record's hash: looking changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dump {
    /// What set it off, in a sentence.
    pub trigger: String,
    /// What explains it at once: the tasks that are stuck, the scheduler's own words.
    pub headline: Vec<String>,
    /// The tasks that it is about, by their process ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<i64>,
    /// The CPUs that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u32>,
    /// The functions of the kernel that were about to end the scheduler, the innermost first, as `function+0x10`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
    /// The last of what the kernel had written to its console by then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// Everything: queues, tasks, programs' maps and variables.
    pub snapshot: Snapshot,
}
