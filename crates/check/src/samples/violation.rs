//! What samples show to be wrong.

use std::fmt;

use spec::{CpuSet, GuestTime, Nanos};

/// A wrong use of the CPUs, as samples show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
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
    /// on them: each time they became idle they passed the task over.
    PassedOver {
        /// The task's pid.
        pid: i64,
        /// Its name.
        comm: String,
        /// The CPU on which it waited.
        waits_on: u32,
        /// The CPUs on which it may run.
        allowed: CpuSet,
        /// Those of them that were found idle by that many samples in a row.
        idle: CpuSet,
        /// How many samples found the first of these idle.
        samples: u32,
        /// The first of these samples.
        from: GuestTime,
        /// How long from there to the last one.
        lasted: Nanos,
    },
    /// A busy CPU's clock stood: the CPU neither ticked nor scheduled.
    Stuck {
        /// Which.
        cpu: u32,
        /// The pid of its current task.
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

impl Violation {
    /// The task concerned, by its process id.
    pub fn pid(&self) -> i64 {
        match self {
            Violation::IdleWhileWaiting { pid, .. }
            | Violation::PassedOver { pid, .. }
            | Violation::Stuck { pid, .. } => *pid,
        }
    }

    /// Since when, and for how long.
    pub fn when(&self) -> (GuestTime, Nanos) {
        match self {
            Violation::IdleWhileWaiting { from, lasted, .. }
            | Violation::PassedOver { from, lasted, .. }
            | Violation::Stuck { from, lasted, .. } => (*from, *lasted),
        }
    }

    /// The CPUs concerned.
    pub fn cpus(&self) -> CpuSet {
        match self {
            Violation::IdleWhileWaiting { idle, .. } | Violation::PassedOver { idle, .. } => idle.clone(),
            Violation::Stuck { cpu, .. } => std::iter::once(*cpu).collect(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::IdleWhileWaiting {
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
            Violation::PassedOver {
                pid,
                comm,
                waits_on,
                allowed,
                idle,
                samples,
                from,
                lasted,
            } => write!(
                f,
                "CPU {idle} was found idle by {samples} samples in a row, over {lasted} from {from} on, while {comm} (pid {pid}), \
                 which may run on CPU {allowed}, waited on CPU {waits_on} all the time"
            ),
            Violation::Stuck {
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

/// Violations that are kept; the others are counted.
const MAX_VIOLATIONS: usize = 64;

/// The violations of a series, as many as are kept.
#[derive(Debug, Clone, Default)]
pub(super) struct Violations {
    all: Vec<Violation>,
    unlisted: usize,
}

/// Which of the violations it is; `None` for one that is not kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handle(Option<usize>);

impl Violations {
    /// Adds a violation, or replaces a known one that has grown.
    pub(super) fn report(&mut self, known: Option<Handle>, violation: Violation) -> Handle {
        match known {
            Some(Handle(index)) => {
                if let Some(known) = index.and_then(|index| self.all.get_mut(index)) {
                    *known = violation;
                }
                Handle(index)
            }
            None if self.all.len() >= MAX_VIOLATIONS => {
                self.unlisted = self.unlisted.saturating_add(1);
                Handle(None)
            }
            None => {
                self.all.push(violation);
                Handle(Some(self.all.len() - 1))
            }
        }
    }

    /// Those that are kept, in the order in which they were detected.
    pub(super) fn all(&self) -> &[Violation] {
        &self.all
    }

    /// How many there are, with those that are not kept.
    pub(super) fn count(&self) -> usize {
        self.all.len().saturating_add(self.unlisted)
    }
}
