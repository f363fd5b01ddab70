//! Questions that are asked of the guest's kernel while its workers run, at points of guest time.

use introspect::{GuestKernel, Query};
use record::{Observation, Value};
use spec::{GuestTime, Nanos};

/// Questions whose time has not come.
#[derive(Debug, Default)]
pub(crate) struct PendingQueries {
    /// What is to be asked that long after the workers were told to run, the next last.
    pending: Vec<(Nanos, Query)>,
}

impl PendingQueries {
    pub(crate) fn add(&mut self, when: Nanos, query: Query) {
        // Those of one time in the order in which they came.
        let after = self.pending.partition_point(|(other, _)| *other > when);
        self.pending.insert(after, (when, query));
    }

    /// The answers to what is due when the workers have run for so long.
    pub(crate) fn due(&mut self, ran: Nanos, now: GuestTime, kernel: &GuestKernel<'_>) -> Vec<Observation> {
        let mut seen = Vec::new();
        while let Some((_, query)) = self.pending.pop_if(|(when, _)| *when <= ran) {
            seen.push(Observation {
                at: now,
                asked: query.to_string(),
                seen: query.answer(kernel),
            });
        }
        seen
    }

    /// What is told of questions whose time did not come, as the workers ran for so long in all.
    pub(crate) fn never(&mut self, ran: Nanos, now: GuestTime) -> Vec<Observation> {
        let mut seen = Vec::new();
        while let Some((when, query)) = self.pending.pop() {
            seen.push(Observation {
                at: now,
                asked: query.to_string(),
                seen: Value::Missing(format!("the workers ran for {ran} in all, not for {when}")),
            });
        }
        seen
    }
}
