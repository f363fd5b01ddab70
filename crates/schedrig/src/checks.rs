//! Checks as a test writes them: `share(&[&a, &b]).within(percent(10))`.

use record::{Expectation, Percent};

use crate::Group;

/// A tolerance of that many percent, relative to what is due.
pub fn percent(percent: u32) -> Percent {
    Percent(percent.into())
}

/// The groups get on-CPU time in proportion to their `cpu.weight`.
pub fn share(groups: &[&Group]) -> Share {
    Share(groups.iter().map(|group| (*group).clone()).collect())
}

/// The workers of the group get on-CPU time in proportion to their nice weights.
pub fn fair(group: &Group) -> Fair {
    Fair(group.clone())
}

/// See [`share`].
#[derive(Debug, Clone)]
#[must_use = "a share is a check only with `.within(percent(10))`"]
pub struct Share(Vec<Group>);

impl Share {
    /// How far each group may be off.
    pub fn within(self, within: Percent) -> Expectation {
        Expectation::GroupShare {
            groups: self.0.into_iter().map(|group| group.name).collect(),
            within,
        }
    }
}

/// See [`fair`].
#[derive(Debug, Clone)]
#[must_use = "fairness is a check only with `.within(percent(10))`"]
pub struct Fair(Group);

impl Fair {
    /// How far each worker may be off.
    pub fn within(self, within: Percent) -> Expectation {
        Expectation::WorkerShare {
            group: self.0.name,
            within,
        }
    }
}
