//! Questions that are asked of the guest's kernel while its workers run, at points of guest time.

use introspect::{GuestKernel, Question};
use record::{Observation, Value};
use spec::{GuestTime, Nanos};

/// Questions whose time has not come.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    /// What is to be asked that long after the workers were told to run, the next last.
    pending: Vec<(Nanos, Question)>,
}

impl Questions {
    pub(crate) fn add(&mut self, when: Nanos, question: Question) {
        // Those of one time in the order in which they came.
        let after = self.pending.partition_point(|(other, _)| *other > when);
        self.pending.insert(after, (when, question));
    }

    /// The answers to what is due when the workers have run for so long.
    pub(crate) fn due(&mut self, ran: Nanos, now: GuestTime, kernel: &GuestKernel<'_>) -> Vec<Observation> {
        let mut seen = Vec::new();
        while let Some((_, question)) = self.pending.pop_if(|(when, _)| *when <= ran) {
            seen.push(Observation {
                at: now,
                asked: question.to_string(),
                seen: question.answer(kernel),
            });
        }
        seen
    }

    /// What is told of questions whose time did not come, as the workers ran for so long in all.
    pub(crate) fn never(&mut self, ran: Nanos, now: GuestTime) -> Vec<Observation> {
        let mut seen = Vec::new();
        while let Some((when, question)) = self.pending.pop() {
            seen.push(Observation {
                at: now,
                asked: question.to_string(),
                seen: Value::Missing(format!("the workers ran for {ran} in all, not for {when}")),
            });
        }
        seen
    }
}
