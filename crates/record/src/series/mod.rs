//! What the monitor sampled of the guest's CPUs, over guest time.
//!
//! ```text
//! Series ─┬─ samples    all CPUs at an instant: runnable tasks by class, the current task, queue depths, clocks,
//!         │             and the tasks that wait while a CPU idles, with the CPUs that they may use
//!         └─ counts     what the kernel and sched_ext counted, at the begin and the end of each window
//! ```
//!
//! Series are facts, beside the evidence and not covered by the record hash: a monitor changes no execution. Every check
//! of samples is judged from them, so a record is judged again with other limits.
//!
//! They are bounded: beyond [`MAX_ROWS`] rows every other sample is left out, again and again, and
//! [`Series::every`] says how many were taken for each that is kept. What is kept stays true of the time between two
//! samples, since it holds what the kernel counts: see [`Sample`].

mod builder;
mod numbers;
mod rows;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use spec::{CpuSet, GuestTime, Nanos};

pub use builder::{MAX_READINGS, MAX_ROWS, MAX_WAITING, SeriesBuilder};
pub use numbers::{Imbalance, Numbers};

use rows::{CpuRow, WaiterRow};

/// Samples of a run, and the kernel's counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Series {
    /// Samples taken.
    pub taken: u64,
    /// One of so many samples is kept, beginning with the first: 1 = all.
    pub every: u64,
    /// Samples that could not be taken, because a CPU's own numbers could not be read.
    pub failed: u64,
    /// Why not, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// Those that are kept, the oldest first.
    pub samples: Vec<Sample>,
    /// What the kernel had counted, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<WindowCounts>,
    /// Windows the counts of which are not kept.
    #[serde(default)]
    pub uncounted: u64,
}

impl Default for Series {
    fn default() -> Series {
        Series {
            taken: 0,
            every: 1,
            failed: 0,
            failure: None,
            samples: Vec::new(),
            counts: Vec::new(),
            uncounted: 0,
        }
    }
}

/// All CPUs at an instant.
///
/// Two samples show two instants. What lies between them is known from what the kernel counts: a task that woke, ran,
/// blocked or moved has another mark ([`Waiter::mark`]), and a CPU that left idle has switched.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub at: GuestTime,
    /// `scx_root`: the address of the root scheduler; 0 for none, and in kernels without the variable.
    pub scheduler: u64,
    /// The CPUs that are online.
    pub cpus: Vec<CpuSample>,
    /// The DSQs that schedulers have created, by name, and the tasks in each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dsqs: Vec<(String, u64)>,
    /// The tasks of the fair class and of sched_ext that wait to run. Read only while a CPU idles: otherwise no check
    /// depends on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiter>,
    /// The CPUs the queues of which could not be read, or not whole: who waits there is not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
}

/// A CPU at an instant. In a file it is a row of numbers, see `rows`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "CpuRow", into = "CpuRow")]
pub struct CpuSample {
    /// Which.
    pub cpu: u32,
    /// How many tasks it has to run.
    pub running: Running,
    /// `curr->pid`: the current task; 0 for the idle task.
    pub curr: i64,
    /// The first of the samples in a row that found it idle, with nothing that makes it idle; `None`: this one did not.
    pub idle_since: Option<GuestTime>,
    /// The host keeps the CPU from running. A reader of memory cannot know: the backend reports it.
    pub preempted: bool,
    /// `rq->clock`: when the CPU last updated its clock.
    pub clock: Nanos,
    /// `rq->nr_switches`: context switches since boot.
    pub switches: u64,
    /// `rq->scx.local_dsq.nr`: tasks in the local DSQ; `None` in kernels without sched_ext.
    pub local_dsq: Option<u64>,
}

impl CpuSample {
    /// Could it run a task at once, if it had one?
    pub fn could_run(&self) -> bool {
        self.idle_since.is_some() && !self.preempted
    }
}

/// Runnable tasks of a CPU, the running one too. `None` for a class that the kernel does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
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

/// A task that can run, and does not. In a file it is a row, see `rows`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "WaiterRow", into = "WaiterRow")]
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
    /// without it; `None` in kernels that have neither.
    pub since: Option<u64>,
    /// `se.sum_exec_runtime`: how long it has run so far.
    pub ran: Nanos,
}

impl Waiter {
    /// What is another for each wait of a task: two samples with the same mark show one wait.
    pub fn mark(&self) -> (u32, Option<u64>, Nanos) {
        (self.cpu, self.since, self.ran)
    }
}

/// A CPU the queues of which could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Which.
    pub cpu: u32,
    /// Why not.
    pub why: String,
}

/// Counts since boot: by what they are of (`cpu0`, a scheduler's name), by the kernel's name for each.
pub type Counts = BTreeMap<String, BTreeMap<String, i64>>;

/// What the kernel had counted when a window of the workers opened, and when it closed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WindowCounts {
    /// When it opened, as far as the rig knew the guest's time by then.
    pub from: GuestTime,
    /// When it closed.
    pub to: GuestTime,
    /// Counts since boot at its begin.
    pub before: Counts,
    /// Counts since boot at its end.
    pub after: Counts,
}

#[cfg(test)]
mod tests;
