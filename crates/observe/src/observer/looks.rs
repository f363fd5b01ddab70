//! Looks at the guest's kernel at points of guest time, while its workers run.

use std::fmt;
use std::sync::Arc;

use introspect::{GuestKernel, Query};
use record::{Observation, Value};
use spec::{GuestTime, Nanos};

/// What is done with the kernel at a point of guest time.
#[derive(Clone)]
pub enum Look {
    /// The query is answered, and the answer is recorded.
    Query(Query),
    /// This is called, with the kernel as it stands, for as long as it takes; nothing is recorded.
    Call(Arc<LookFn>),
}

/// What is called at a point of guest time.
pub type LookFn = dyn Fn(&GuestKernel<'_>, GuestTime) + Send + Sync;

impl Look {
    /// Has a look now; the observation is that of a query.
    pub(super) fn take(&self, now: GuestTime, kernel: &GuestKernel<'_>) -> Option<Observation> {
        match self {
            Look::Query(query) => Some(self.observation(now, query.answer(kernel))),
            Look::Call(function) => {
                function(kernel, now);
                None
            }
        }
    }

    pub(super) fn observation(&self, at: GuestTime, seen: Value) -> Observation {
        Observation {
            at,
            asked: self.to_string(),
            seen,
        }
    }
}

impl From<Query> for Look {
    fn from(query: Query) -> Look {
        Look::Query(query)
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Look::Query(query) => query.fmt(f),
            Look::Call(_) => f.write_str("a call"),
        }
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Looks whose time has not come.
#[derive(Debug, Default)]
pub(super) struct PendingLooks {
    /// Each with the time that the workers have run by then; the next one last.
    pending: Vec<(Nanos, Look)>,
}

impl PendingLooks {
    pub(super) fn add(&mut self, when: Nanos, look: Look) {
        // Those of one time keep the order in which they came.
        let after = self.pending.partition_point(|(other, _)| *other > when);
        self.pending.insert(after, (when, look));
    }

    /// What is seen by those that are due when the workers have run for so long.
    pub(super) fn due(&mut self, ran: Nanos, now: GuestTime, kernel: &GuestKernel<'_>) -> Vec<Observation> {
        let mut seen = Vec::new();
        while let Some((_, look)) = self.pending.pop_if(|(when, _)| *when <= ran) {
            seen.extend(look.take(now, kernel));
        }
        seen
    }

    /// What the record says of those whose time did not come, as the workers ran for so long in all.
    pub(super) fn never(&mut self, ran: Nanos, now: GuestTime) -> Vec<Observation> {
        let mut seen = Vec::new();
        while let Some((when, look)) = self.pending.pop() {
            let why = format!("the workers ran for {ran} in all, not for {when}");
            seen.push(look.observation(now, Value::Missing(why)));
        }
        seen
    }
}
