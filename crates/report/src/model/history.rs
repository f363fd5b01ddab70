//! The calls that led to a failure, as a second execution of the run showed them.

use record::{CallHistory, Record, RecordHash, Repro};

/// What became of the second execution.
#[derive(Debug, Clone)]
pub enum History<'r> {
    /// Nothing failed, or nobody wanted one.
    NotAsked,
    /// There was none.
    NotTraced {
        /// Why.
        reason: &'r str,
    },
    /// The calls were traced.
    Traced {
        /// The second execution's record.
        hash: &'r RecordHash,
        /// The second execution was the first one again; if not, what it shows may not have led to the failure.
        same_execution: bool,
        /// The calls of whatever task and CPU, up to the failure.
        calls: u64,
        /// The last calls for the tasks that the failure is about, the one that has waited longest first.
        tasks: Vec<&'r CallHistory>,
        /// The last calls of the CPUs that the failure is about.
        cpus: Vec<&'r CallHistory>,
    },
}

impl<'r> History<'r> {
    pub(super) fn of(record: &'r Record) -> History<'r> {
        match &record.repro {
            None => History::NotAsked,
            Some(Repro::Not { reason }) => History::NotTraced { reason },
            Some(Repro::Traced(trace)) => {
                // A record draws conclusions for tasks, and none for a CPU.
                let (tasks, cpus) = trace.histories.iter().partition(|of| of.conclusion.is_some());
                History::Traced {
                    hash: &trace.hash,
                    same_execution: trace.hash == record.hash,
                    calls: trace.seen,
                    tasks,
                    cpus,
                }
            }
        }
    }

    /// What follows from the calls, in sentences; none from those of another execution.
    pub fn conclusions(&self) -> impl Iterator<Item = &'r str> {
        let tasks = match self {
            History::Traced {
                same_execution: true,
                tasks,
                ..
            } => tasks.as_slice(),
            _ => &[],
        };
        tasks.iter().filter_map(|task| task.conclusion.as_deref())
    }
}
