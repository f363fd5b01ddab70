//! What the guest did.

use serde::{Deserialize, Serialize};
use spec::{CgroupSpec, ExitStatus, GuestTime, IdleTimes, Op, WorkerId, WorkerReport};

/// Everything observed in a run, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evidence {
    /// The cgroups that were made.
    pub groups: Vec<CgroupSpec>,
    /// Events with their guest times.
    pub events: Vec<Event>,
    /// The windows in which workers ran.
    pub windows: Vec<Window>,
    /// What the scheduler's program wrote; bytes that are not UTF-8 are replaced.
    pub scheduler_log: String,
    /// What the kernel wrote to its console.
    pub console: String,
    /// How the machine ended.
    pub end: End,
}

/// An event at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, in guest time.
    pub at: GuestTime,
    /// What.
    pub what: EventKind,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum EventKind {
    /// The agent is up.
    Booted {
        /// `uname -r`.
        release: String,
        /// CPUs online.
        cpus: u32,
    },
    /// Workers were made; they wait at the gate until the next window.
    Spawned {
        /// Who.
        id: WorkerId,
        /// Process id.
        pid: u32,
        /// What it does, as text.
        work: String,
        /// Its nice value.
        nice: i8,
    },
    /// The scheduler is attached.
    SchedulerAttached {
        /// The name in `/sys/kernel/sched_ext/root/ops`.
        ops: String,
        /// Process id of its program.
        pid: u32,
        /// How often a scheduler was attached since boot, this time included; `None` in kernels that do not count it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        enable_seq: Option<u64>,
        /// The members of `struct sched_ext_ops` that it has set; `None` where the kernel could not be looked at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        callbacks: Option<Vec<String>>,
    },
    /// The scheduler's program ended.
    SchedulerExited {
        /// How.
        status: ExitStatus,
        /// The rig had asked it to.
        asked: bool,
    },
    /// The scheduler could not be started or did not attach.
    SchedulerFailed {
        /// Why.
        reason: String,
        /// The rig gave up on it: its limit ran out while the program was still at work.
        #[serde(default)]
        gave_up: bool,
        /// Its program could not be executed at all.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        refused: bool,
        /// What its program's BPF objects need and the kernel's BTF does not have, a sentence each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lacks: Vec<String>,
    },
    /// An op was applied that leaves no other evidence.
    Applied {
        /// Which.
        op: Op,
    },
    /// A program of the guest was run to its end.
    Executed {
        /// Its path in the guest.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The test noted a value.
    Note {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
    },
    /// A program of the guest sent something for the record.
    Sent {
        /// What, by the four letters of its frame: `PMET` is metrics.
        frame: String,
        /// The payload: its text, or hex where it is none.
        payload: String,
        /// The payload arrived as it was sent: its checksum is right.
        intact: bool,
    },
    /// A request of the guest was refused.
    Refused {
        /// Why.
        reason: String,
    },
    /// The test's body returned an error or panicked.
    BodyFailed {
        /// The error's text.
        reason: String,
        /// The run was over by then, so every call of the body could only fail.
        #[serde(default)]
        run_over: bool,
        /// The error is that of an op that the guest or the rig refused to carry out.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        refused: bool,
    },
}

/// A span in which the workers ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its begin.
    pub from: GuestTime,
    /// Its end.
    pub to: GuestTime,
    /// What each worker did in it.
    pub workers: Vec<WorkerReport>,
    /// `/sys/kernel/sched_ext` at its end; `None` where the kernel has no sched_ext.
    pub sched_ext: Option<SchedExt>,
    /// A scheduler's program was meant to be attached throughout.
    pub under_scheduler: bool,
    /// `sched/cgroup_mode` of debugfs at its end: how EEVDF weighs cgroups; `None` in kernels before 7.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_mode: Option<String>,
    /// How long the CPUs idled in it; `None` in records of versions that did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<IdleTimes>,
}

/// The state of sched_ext, as the kernel reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedExt {
    /// `enabled`, `disabled`, …
    pub state: String,
    /// The attached scheduler's name.
    pub ops: Option<String>,
    /// How often a scheduler was attached since boot; `None` in kernels that do not count it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_seq: Option<u64>,
}

/// How the machine ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum End {
    /// The run came to its end; the machine was ended where it stood, in its agent's call. In files it has the name of what
    /// earlier versions did then.
    #[default]
    #[serde(rename = "powered_off")]
    Finished,
    /// The guest shut down and was not asked to.
    GuestExited {
        /// What it was doing.
        during: String,
    },
    /// A hook or a watch was hit that ends the run.
    Stopped {
        /// What it was doing.
        during: String,
    },
    /// The guest's kernel panicked.
    GuestPanic {
        /// The panic's text.
        message: String,
    },
    /// The guest made no call for too long, in guest time.
    GuestSilent {
        /// What was waited for and how long.
        during: String,
    },
    /// The backend died or failed: nothing is known about the guest.
    MachineDied {
        /// Why, as the backend reports it.
        reason: String,
    },
    /// The host-time limit passed: the host is slow, or the guest hangs in a way that stops its clock.
    HostDeadline {
        /// What was waited for and how long.
        during: String,
    },
}
