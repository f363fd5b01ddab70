//! Violations while the run goes on.

use record::Sample;
use spec::Nanos;

use super::{Idle, Stuck, Violation, Violations};
use crate::table::IDLE_LIMIT;

/// Takes samples, and detects what violates the default checks.
#[derive(Debug, Clone)]
pub struct Detector {
    idle_limit: Nanos,
    idle: Idle,
    stuck: Stuck,
    violations: Violations,
}

impl Default for Detector {
    fn default() -> Detector {
        Detector::new(IDLE_LIMIT)
    }
}

impl Detector {
    /// One to which a CPU may idle for less than `idle_limit` while a task waits.
    pub fn new(idle_limit: Nanos) -> Detector {
        Detector {
            idle_limit,
            idle: Idle::default(),
            stuck: Stuck::default(),
            violations: Violations::default(),
        }
    }

    /// Takes the next sample and returns the violations that it is the first to show.
    pub fn take(&mut self, sample: &Sample) -> &[Violation] {
        let known = self.violations.all().len();
        self.idle.take(sample, self.idle_limit, &mut self.violations);
        self.stuck.take(sample, &mut self.violations);
        self.violations.all().get(known..).unwrap_or_default()
    }

    /// All violations so far, in the order in which they were detected. One that goes on grows with each sample.
    pub fn violations(&self) -> &[Violation] {
        self.violations.all()
    }
}
