//! Queries of the guest's kernel at points of guest time, while its workers run.

use introspect::{GuestKernel, Query};
use record::{Observation, Value};
use spec::{GuestTime, Nanos};

/// Queries whose time has not come.
#[derive(Debug, Default)]
pub(super) struct PendingQueries {
    /// Each with the time that the workers have run by then; the next one last.
    pending: Vec<(Nanos, Query)>,
}

impl PendingQueries {
    pub(super) fn add(&mut self, when: Nanos, query: Query) {
        // Queries of one time keep the order in which they came.
        let after = self.pending.partition_point(|(other, _)| *other > when);
        self.pending.insert(after, (when, query));
    }

    /// The answers to what is due when the workers have run for so long.
    pub(super) fn due(&mut self, ran: Nanos, now: GuestTime, kernel: &GuestKernel<'_>) -> Vec<Observation> {
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

    /// What the record says of queries whose time did not come, as the workers ran for so long in all.
    pub(super) fn never(&mut self, ran: Nanos, now: GuestTime) -> Vec<Observation> {
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
