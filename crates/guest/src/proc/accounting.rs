//! The accounting of one worker, whether it is a task or a family.

use std::io;

use rustix::process::Pid;
use spec::{CpuSet, SchedClass};

use super::Census;
use super::family::Family;
use super::task::ProcessFiles;
use super::text::SchedStat;

/// What takes longer to read than the times, and does not change with every nanosecond.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Marks {
    /// The name of the worker's own task.
    pub(crate) comm: String,
    /// The CPU on which the worker's own task was last.
    pub(crate) last_cpu: u32,
    /// The CPUs on which its tasks were last.
    pub(crate) cpus: CpuSet,
    /// Times its tasks changed CPU.
    pub(crate) migrations: u64,
    /// The class that schedules the worker's own task; `None` where that is gone.
    pub(crate) class: Option<SchedClass>,
    /// The most tasks that it had at one look.
    pub(crate) tasks: u32,
}

/// Where the numbers of a worker come from.
#[derive(Debug)]
pub(crate) enum Accounting {
    /// One task.
    Task(ProcessFiles),
    /// A process and its descendants.
    Family(Family),
}

impl Accounting {
    /// Begins the accounting of a worker's process that has just been forked.
    pub(crate) fn begin(pid: Pid, has_children: bool) -> io::Result<Accounting> {
        if has_children {
            Ok(Accounting::Family(Family::of(pid)))
        } else {
            ProcessFiles::open(pid).map(Accounting::Task)
        }
    }

    /// Does it need a census, to be looked at?
    pub(crate) fn needs_census(&self) -> bool {
        matches!(self, Accounting::Family(family) if !family.has_ended())
    }

    /// Looks at the family's processes. A task needs no looking: its numbers are read when they are asked for.
    pub(crate) fn look(&mut self, census: &Census) {
        if let Accounting::Family(family) = self {
            family.look(census);
        }
    }

    /// Times and timeslices: a task's up to now, a family's up to the last look.
    pub(crate) fn times(&self) -> io::Result<SchedStat> {
        match self {
            Accounting::Task(files) => files.times(),
            Accounting::Family(family) => Ok(family.times()),
        }
    }

    /// The rest; of a family's tasks, those that were there at the last look.
    pub(crate) fn marks(&mut self) -> io::Result<Marks> {
        match self {
            Accounting::Task(files) => files.marks(),
            Accounting::Family(family) => Ok(family.marks()),
        }
    }

    /// The migrations among the marks.
    pub(crate) fn migrations(&mut self) -> io::Result<u64> {
        match self {
            Accounting::Task(files) => files.migrations(),
            Accounting::Family(family) => Ok(family.migrations()),
        }
    }
}
