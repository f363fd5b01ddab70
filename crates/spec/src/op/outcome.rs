//! What comes of an op.

use serde::{Deserialize, Serialize};

use crate::kernel_op::KernelOpReply;
use crate::{ExitStatus, GuestTime, IdleTimes, WorkerId, WorkerReport};

/// What came of an op that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpOutcome {
    /// It is done, and there is nothing to report.
    Done,
    /// [`ReadFile`](super::ReadFile): the file's contents.
    FileRead {
        /// Bytes in all.
        len: u64,
        /// The contents. On the wire the last piece only: the ones before it went ahead.
        bytes: Vec<u8>,
    },
    /// [`Spawn`](super::Spawn): the workers that were made.
    Spawned {
        /// Names and process ids, in spawn order.
        workers: Vec<(WorkerId, u32)>,
    },
    /// [`StartScheduler`](super::StartScheduler): the scheduler is attached.
    Attached {
        /// Its process id.
        pid: u32,
        /// What `/sys/kernel/sched_ext/root/ops` says.
        ops: String,
        /// When the agent saw it.
        at: GuestTime,
        /// `enable_seq` then.
        enable_seq: Option<u64>,
    },
    /// [`StopScheduler`](super::StopScheduler): the scheduler's program ended.
    Stopped {
        /// How it ended.
        status: ExitStatus,
    },
    /// [`RunFor`](super::RunFor): the window and what the workers did in it.
    Ran {
        /// When the gate opened or the window began.
        from: GuestTime,
        /// When it ended.
        to: GuestTime,
        /// Every worker spawned so far.
        workers: Vec<WorkerReport>,
        /// What the kernel reports of sched_ext at the end; `None` where it has none.
        sched_ext: Option<SchedulerState>,
        /// `sched/cgroup_mode` of debugfs at the end; `None` where the kernel has none.
        cgroup_mode: Option<String>,
        /// How long the CPUs idled; `None` in kernels that do not count for how long they are busy.
        idle: Option<IdleTimes>,
    },
    /// [`Exec`](super::Exec): the program ended.
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// The beginning of its standard output.
        stdout: Vec<u8>,
        /// The beginning of its standard error.
        stderr: Vec<u8>,
    },
    /// [`WriteKernel`](super::WriteKernel): the batch was carried out, or refused with the reason.
    KernelOp(KernelOpReply),
}

/// `/sys/kernel/sched_ext` at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerState {
    /// `state`: `enabled`, `disabled`, …
    pub state: String,
    /// `root/ops`, where a scheduler is attached.
    pub ops: Option<String>,
    /// `enable_seq`: how often a scheduler was attached since boot; `None` in kernels without the file.
    pub enable_seq: Option<u64>,
}
