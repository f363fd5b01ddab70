//! Judges a run: evidence and samples in, one judgement out, nothing else.
//!
//! *Architecture invariant:* pure functions over [`record`] types. No VM, no clock, no file: a saved record is
//! judged again with the same outcome, or with other limits.
//!
//! ```text
//! table     a row for each kind of check: name, source, default, help, text form, judge
//!   └─► scheduler  ran  progress  lost  lost_time  kernel  cpuset  share    judge evidence
//!       samples                                                        judges samples
//! machine   what the machine and its groups were, for those checks; competition: how long workers may have to wait there
//! load_error, attachment  why BPF programs did not load; when a scheduler was attached
//! text      a check by its name and limit, as in `starvation=500ms`
//! ending    how the run ended; judged in every run
//! ```
//!
//! One file a family of promises. A check that finds its evidence missing says `Inconclusive` with the reason, never
//! `Pass`.
#![forbid(unsafe_code)]

mod attachment;
mod competition;
mod cpuset;
mod ending;
mod kernel;
mod limits;
mod load_error;
mod lost;
mod lost_time;
mod machine;
mod outcome;
mod progress;
mod ran;
mod samples;
mod scheduler;
mod share;
mod table;
mod text;
mod user_space;

pub use kernel::is_complaint;
pub use limits::relimit;
pub use samples::{Detector, Violation};
pub use table::{IDLE_LIMIT, KINDS, Kind, LOST_TIME_LIMIT, STARVATION_LIMIT, TOLERANCE, defaults, kind};
pub use text::{CheckTextError, help, parse, text};

use record::{Evidence, Expectation, Judgement, Record, Series};

use outcome::Outcome;

/// What a run is judged from.
#[derive(Debug, Clone, Copy)]
pub struct Run<'r> {
    /// What the guest did.
    pub evidence: &'r Evidence,
    /// What the monitor sampled; `None` without a monitor.
    pub series: Option<&'r Series>,
}

impl<'r> From<&'r Record> for Run<'r> {
    fn from(record: &'r Record) -> Run<'r> {
        Run {
            evidence: &record.evidence,
            series: record.series.as_ref(),
        }
    }
}

/// Judges a run by how it ended, which explains what else is missing, and by each expectation, in their order.
pub fn judge(run: Run<'_>, expectations: &[Expectation]) -> Judgement {
    let checks = expectations.iter().map(|expectation| {
        let kind = kind(expectation);
        table::outcome(run, expectation).of(kind.name, kind.source)
    });
    Judgement::of(ending::judge(run.evidence).into_iter().chain(checks).collect())
}

/// `1 group`, `2 groups`: for nouns whose plural ends in an s.
fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// How a task is named in a reason: `a/3 (pid 87)`.
fn task(report: &spec::WorkerReport) -> String {
    format!("{} (pid {})", report.id, report.pid)
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
