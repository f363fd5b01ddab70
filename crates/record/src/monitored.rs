//! What a monitor saw of the CPUs.

use std::fmt;

use serde::{Deserialize, Serialize};
use spec::{CpuSet, GuestTime, Nanos};

use crate::Value;

/// Samples of the runqueues, in a few words. Not part of the record's hash: looking changes nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Monitored {
    /// Samples taken.
    pub samples: u64,
    /// Samples that could not be read, or not whole.
    pub incomplete: u64,
    /// Why not, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// What is wrong with how the CPUs were used.
    pub findings: Vec<Finding>,
    /// Findings that are not kept.
    pub unlisted: u64,
    /// The greatest of some numbers.
    pub numbers: Value,
}

/// Something that is wrong with how the CPUs are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Finding {
    /// CPUs idled while a task waited that may run on them.
    IdleWhileWaiting {
        /// The task's pid.
        pid: i64,
        /// Its name.
        comm: String,
        /// The CPU on which it waited.
        waits_on: u32,
        /// The CPUs on which it may run.
        allowed: CpuSet,
        /// Those of them that idled for as long as the limit.
        idle: CpuSet,
        /// Since when the first of these idled and the task waited.
        from: GuestTime,
        /// How long both lasted, to the last sample that shows it.
        lasted: Nanos,
    },
    /// CPUs were found idle again and again, having run others in between, while a task waited all the time that may run
    /// on them: each time they became idle they passed it over.
    PassedOver {
        /// The task's pid.
        pid: i64,
        /// Its name.
        comm: String,
        /// The CPU on which it waited.
        waits_on: u32,
        /// The CPUs on which it may run.
        allowed: CpuSet,
        /// Those of them that were found idle by that many looks in a row.
        idle: CpuSet,
        /// How many looks found the first of these idle.
        looks: u32,
        /// The first of these looks.
        from: GuestTime,
        /// How long it is from there to the last one.
        lasted: Nanos,
    },
    /// A busy CPU's clock stood: it neither ticked nor scheduled.
    Stuck {
        /// Which.
        cpu: u32,
        /// The pid of the task that it ran.
        pid: i64,
        /// Where its clock stood.
        clock: Nanos,
        /// How many samples in a row found it where it was.
        samples: u32,
        /// The first sample with it there.
        from: GuestTime,
        /// How long it stood, to the last sample that shows it.
        lasted: Nanos,
    },
}

impl Finding {
    /// The task that it is about, by its process id.
    pub fn pid(&self) -> i64 {
        match self {
            Finding::IdleWhileWaiting { pid, .. }
            | Finding::PassedOver { pid, .. }
            | Finding::Stuck { pid, .. } => *pid,
        }
    }

    /// The CPUs that it is about.
    pub fn cpus(&self) -> CpuSet {
        match self {
            Finding::IdleWhileWaiting { idle, .. } | Finding::PassedOver { idle, .. } => idle.clone(),
            Finding::Stuck { cpu, .. } => std::iter::once(*cpu).collect(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::IdleWhileWaiting {
                pid,
                comm,
                waits_on,
                allowed,
                idle,
                from,
                lasted,
            } => write!(
                f,
                "CPU {idle} idled for {lasted} from {from} on while {comm} (pid {pid}), which may run on CPU {allowed}, \
                 waited on CPU {waits_on}"
            ),
            Finding::PassedOver {
                pid,
                comm,
                waits_on,
                allowed,
                idle,
                looks,
                from,
                lasted,
            } => write!(
                f,
                "CPU {idle} was found idle by {looks} looks in a row, over {lasted} from {from} on, while {comm} (pid {pid}), \
                 which may run on CPU {allowed}, waited on CPU {waits_on} all the time"
            ),
            Finding::Stuck {
                cpu,
                pid,
                clock,
                samples,
                from,
                lasted,
            } => write!(
                f,
                "CPU {cpu} is stuck: its runqueue's clock stood at {clock} for {lasted} from {from} on, while pid {pid} \
                 ran there; {samples} samples in a row found it so"
            ),
        }
    }
}
