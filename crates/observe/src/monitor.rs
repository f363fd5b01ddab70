//! What samples of the runqueues show (contract F9): CPUs that idle while a task waits for them, and CPUs that are stuck.
//!
//! ```text
//!  a tick ─► Sample::read ─► Monitor::take ─┬─ conserve: idle CPU ∧ waiting task, both unchanged, for a window; or the CPU
//!                                           │            idle again at every look, for a longer one
//!                                           ├─ stuck: a busy CPU's clock stands
//!                                           └─ Summary: imbalance, depth of DSQs
//! ```
//! Two samples show two instants. What lies between is known from what the kernel counts: a task that woke, ran, blocked
//! or moved has another mark, and a CPU that left idle has switched. So a wait that is reported lasted all the time,
//! however far apart the samples are, and any change of the task begins it anew.

mod conserve;
mod counters;
mod finding;
mod read;
mod sample;
mod stuck;
mod summary;

use spec::{GuestTime, Nanos};

use conserve::Conserve;
use finding::Findings;
use stuck::Stuck;

pub use counters::Counters;
pub use record::Finding;
pub use sample::{CpuSample, Running, Sample, Unread, Waiter};
pub use summary::{Imbalance, Summary, imbalance};

/// What it takes to be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long a CPU idles while a task waits that may run on it.
    pub idle: Nanos,
    /// How many samples in a row find a busy CPU's clock where it was.
    pub stuck_samples: u32,
    /// How far apart these samples are at the least: those in between say nothing.
    pub stuck_apart: Nanos,
    /// How many findings are kept; the others are counted.
    pub findings: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            idle: Nanos::from_millis(50),
            stuck_samples: 5,
            stuck_apart: Nanos(1),
            findings: 64,
        }
    }
}

impl Limits {
    /// For a host that looks at a running guest by itself, every 500 ms: 2 s make a stuck CPU.
    pub fn host_only() -> Limits {
        Limits {
            stuck_samples: 4,
            stuck_apart: Nanos::from_millis(500),
            ..Limits::default()
        }
    }
}

/// Takes samples, and tells what they show.
#[derive(Debug, Clone)]
pub struct Monitor {
    limits: Limits,
    last: Option<GuestTime>,
    conserve: Conserve,
    stuck: Stuck,
    findings: Findings,
    summary: Summary,
}

impl Monitor {
    /// One that reports by these limits.
    pub fn new(limits: Limits) -> Monitor {
        Monitor {
            limits,
            last: None,
            conserve: Conserve::default(),
            stuck: Stuck::default(),
            findings: Findings::new(limits.findings),
            summary: Summary::default(),
        }
    }

    /// Takes the next sample. One from before the last begins everything anew: it is of another run.
    pub fn take(&mut self, sample: &Sample) {
        if self.last.is_some_and(|last| sample.at < last) {
            self.conserve = Conserve::default();
            self.stuck = Stuck::default();
        }
        self.last = Some(sample.at);
        self.summary.take(sample);
        self.conserve.take(sample, self.limits.idle, &mut self.findings);
        self.stuck.take(sample, &self.limits, &mut self.findings);
        self.summary.unlisted = self.findings.unlisted();
    }

    /// What was found so far, in the order in which it began to be found. What goes on grows longer with each sample.
    pub fn findings(&self) -> &[Finding] {
        self.findings.all()
    }

    /// All samples in a few numbers.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}

#[cfg(test)]
mod tests;
