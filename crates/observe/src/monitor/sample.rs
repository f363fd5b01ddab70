//! A sample: what the CPUs had to run at an instant.

use serde::{Deserialize, Serialize};
use spec::{CpuSet, GuestTime, Nanos};

/// All CPUs at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub at: GuestTime,
    /// `scx_root`: the address of the root scheduler; 0 for none, and in kernels without the variable.
    pub scheduler: u64,
    /// The CPUs that are online.
    pub cpus: Vec<CpuSample>,
    /// The DSQs that the schedulers have made, by name, and the tasks in each.
    pub dsqs: Vec<(String, u64)>,
    /// The tasks of the fair class and of sched_ext that wait to run. Not looked for while no CPU idles: then nothing
    /// hangs on it.
    pub waiting: Vec<Waiter>,
    /// The CPUs the queues of which could not be read: who waits there is not known.
    pub unread: Vec<Unread>,
}

/// A CPU at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuSample {
    /// Which.
    pub cpu: u32,
    /// How many tasks it has to run.
    pub running: Running,
    /// `curr->pid`: who runs; 0 for the idle task.
    pub curr: i64,
    /// The idle task runs, and nothing makes it do so.
    pub idle: bool,
    /// The host keeps the CPU from running. A reader of memory cannot know: whoever runs the machine says so.
    pub preempted: bool,
    /// `rq->clock`: when the CPU last looked at its clock.
    pub clock: Nanos,
    /// `rq->nr_switches`: context switches since boot.
    pub switches: u64,
    /// `rq->scx.local_dsq.nr`: tasks in the local DSQ; `None` in kernels without sched_ext.
    pub local_dsq: Option<u64>,
}

/// Runnable tasks of a CPU, the running one too. `None` for a class that the kernel does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Running {
    /// `rq->nr_running`: of all classes.
    pub all: u64,
    /// Of the fair class.
    pub fair: Option<u64>,
    /// Of the real-time class.
    pub rt: Option<u64>,
    /// Of the deadline class.
    pub dl: Option<u64>,
    /// Of sched_ext.
    pub ext: Option<u64>,
}

/// A task that can run, and does not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Waiter {
    /// Its pid.
    pub pid: i64,
    /// Its name.
    pub comm: String,
    /// The CPU on which it waits: for a task in a DSQ of no CPU, the one on which it ran last.
    pub cpu: u32,
    /// The CPUs on which it may run now.
    pub allowed: CpuSet,
    /// Since when it waits: `sched_info.last_queued` (ns of that CPU's clock), or `scx.runnable_at` (jiffies) in kernels
    /// without it. A mark that is another for each wait; `None` in kernels that have neither.
    pub since: Option<u64>,
    /// `se.sum_exec_runtime`: how long it has run so far. Another mark: who ran has run longer.
    pub ran: Nanos,
}

/// A CPU the queues of which could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Which.
    pub cpu: u32,
    /// Why not.
    pub why: String,
}

impl CpuSample {
    /// Could it run a task at once, if it had one?
    pub fn could_run(&self) -> bool {
        self.idle && !self.preempted
    }
}
