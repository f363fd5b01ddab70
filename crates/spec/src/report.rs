//! What a worker did in a window of guest time, as the agent measures it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{CpuSet, GroupName, GuestTime, Nanos};

/// A worker's name in a run: the group and the worker's number in it, as in `a/0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkerId {
    /// The cgroup it lives in.
    pub group: GroupName,
    /// Its number in that group, from 0 in spawn order.
    pub index: u32,
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.index)
    }
}

/// One worker over one window. Times come from the kernel's own accounting unless said otherwise; they are exact up to
/// the last tick of the worker's CPU.
///
/// A program counts with all processes that descend from it, and all of their threads, as long as the agent can tell that
/// they do: not a process that made a session of its own and lost its parent between two looks (the agent looks at the
/// begin and the end of a window). It is looked at some milliseconds after the window's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// Which worker.
    pub id: WorkerId,
    /// Its process id in the guest.
    pub pid: u32,
    /// Its task name (`comm`).
    pub comm: String,
    /// Work units done: iterations, bursts or round trips; 0 for a program.
    pub work_units: u64,
    /// Time on a CPU (`/proc/PID/schedstat`, first field). Of a program: the process CPU clocks of its processes, and the
    /// `cutime` and `cstime` of those, which the kernel shows in units of 10 ms: a process that has waited for children may
    /// lack up to 20 ms. What a process that ignores `SIGCHLD` did not wait for is lost.
    pub on_cpu: Nanos,
    /// Time runnable but waiting (`/proc/PID/schedstat`, second field). This one, `timeslices` and `migrations` of a program
    /// lack what its threads did between the last look and their end.
    pub run_delay: Nanos,
    /// Times it was put on a CPU (`/proc/PID/schedstat`, third field).
    pub timeslices: u64,
    /// Times it changed CPU (`se.nr_migrations` of `/proc/PID/sched`).
    pub migrations: u64,
    /// The longest time it wanted to run and did not, as it saw it itself; `None` for a program.
    pub longest_gap: Option<Gap>,
    /// The CPUs on which it saw itself run; for a program, those on which its threads were last.
    pub cpus: CpuSet,
    /// The CPU it was on last (`/proc/PID/stat`, field 39); of a program, its own process.
    pub last_cpu: u32,
    /// The class that scheduled it at the window's end; of a program, its own process. `None` in records of versions that
    /// did not look, and for a program that has ended.
    #[serde(default)]
    pub class: Option<SchedClass>,
    /// The most tasks that it was found to have at one time: of a program, with all that descend from it. 0 in records of
    /// versions that did not count.
    #[serde(default)]
    pub tasks: u32,
    /// How it ended, if it did.
    pub exit: Option<ExitStatus>,
}

/// A class of the kernel's schedulers, as far as tasks of users are concerned (`sched_class`, `kernel/sched/sched.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchedClass {
    /// EEVDF.
    Fair,
    /// The sched_ext scheduler.
    Ext,
    /// `SCHED_FIFO` and `SCHED_RR`.
    RealTime,
    /// `SCHED_DEADLINE`.
    Deadline,
}

impl SchedClass {
    /// The class of a task with that policy (`include/uapi/linux/sched.h`): who has one of the fair policies is scheduled
    /// by sched_ext if the kernel says so, as is every task with `SCHED_EXT` while a scheduler is attached.
    pub fn of(policy: u32, on_scx: bool) -> SchedClass {
        match policy {
            1 | 2 => SchedClass::RealTime,
            6 => SchedClass::Deadline,
            _ if on_scx => SchedClass::Ext,
            _ => SchedClass::Fair,
        }
    }
}

impl fmt::Display for SchedClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SchedClass::Fair => "fair",
            SchedClass::Ext => "ext",
            SchedClass::RealTime => "rt",
            SchedClass::Deadline => "deadline",
        })
    }
}

/// A time in which a worker wanted to run and did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// How long.
    pub span: Nanos,
    /// When it began.
    pub from: GuestTime,
    /// The CPU it had last run on.
    pub cpu: u32,
    /// It had not ended when the window did.
    pub open: bool,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It returned or called `exit`.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl ExitStatus {
    /// Exit code 0?
    pub fn success(self) -> bool {
        self == ExitStatus::Code(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "exit code {code}"),
            ExitStatus::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}
