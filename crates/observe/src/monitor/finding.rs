//! What a monitor reports.

use std::fmt;

use serde::{Deserialize, Serialize};
use spec::{CpuSet, GuestTime, Nanos};

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

/// Findings, as many as are kept.
#[derive(Debug, Clone)]
pub(super) struct Findings {
    all: Vec<Finding>,
    most: usize,
    unlisted: u64,
}

/// Which of the findings it is; `None` for one that is not kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handle(Option<usize>);

impl Findings {
    pub(super) fn new(most: usize) -> Findings {
        Findings {
            all: Vec::new(),
            most,
            unlisted: 0,
        }
    }

    /// Adds a finding, or tells more of one that there is.
    pub(super) fn tell(&mut self, known: Option<Handle>, finding: Finding) -> Handle {
        match known {
            Some(Handle(index)) => {
                let place = index.and_then(|index| self.all.get_mut(index));
                if let Some(place) = place {
                    *place = finding;
                }
                Handle(index)
            }
            None if self.all.len() >= self.most => {
                self.unlisted = self.unlisted.saturating_add(1);
                Handle(None)
            }
            None => {
                self.all.push(finding);
                Handle(Some(self.all.len() - 1))
            }
        }
    }

    pub(super) fn all(&self) -> &[Finding] {
        &self.all
    }

    pub(super) fn unlisted(&self) -> u64 {
        self.unlisted
    }
}
