//! Judges the monitor's samples: CPUs that idle while a task waits for them, and CPUs that are stuck (contract F9).
//!
//! ```text
//!  Series ─► Detector ─┬─ idle: idle CPU ∧ waiting task, both unchanged, for a window; or the CPU idle again in each
//!                      │        sample, for a longer one
//!                      └─ stuck: a busy CPU's clock stands
//! ```
//! The same [`Detector`] takes each sample while the run goes on, so that a violation is dumped at its instant, and the
//! whole series when the run is judged, or judged again with another limit.

mod detector;
mod idle;
mod stuck;
mod violation;

use record::{Sample, Series, Verdict};
use spec::Nanos;

use crate::user_space::UserSpace;
use crate::{Outcome, Run};

pub use detector::Detector;
pub use violation::Violation;

use idle::Idle;
use stuck::{STUCK_SAMPLES, Stuck};
use violation::Violations;

/// Violations that are shown in full.
const MAX_SHOWN: usize = 8;

/// No CPU idled while a task waited for it.
pub(crate) fn work_conserving(run: Run<'_>, limit: Nanos) -> Outcome {
    let kept = format!("no CPU idled for {limit} while a task waited for it");
    let too_few = |series: &Series| {
        let span = span(series);
        (span < limit || span == Nanos::ZERO).then(|| {
            let counted = counted(series);
            format!("too short: {counted} in {span}, and the limit is {limit}")
        })
    };
    let mut idle = Idle::default();
    let take = |sample: &Sample, violations: &mut Violations| idle.take(sample, limit, violations);
    let mut outcome = judge(run.series, &kept, too_few, take);
    if let (Verdict::Fail, Some(program)) = (outcome.outcome.verdict, UserSpace::of(run))
        && outcome.violations.all().iter().all(|violation| {
            let (from, lasted) = violation.when();
            program.was_deciding(from, lasted)
        })
    {
        outcome.outcome.verdict = Verdict::Inconclusive;
        outcome.outcome.reason += &format!("; {}", program.words());
    }
    outcome.outcome
}

/// No busy CPU's clock stood.
pub(crate) fn cpus_advance(series: Option<&Series>) -> Outcome {
    let too_few = |series: &Series| {
        (series.samples.len() <= STUCK_SAMPLES as usize).then(|| {
            format!(
                "too short: {}, and {} show it",
                counted(series),
                STUCK_SAMPLES + 1
            )
        })
    };
    let mut stuck = Stuck::default();
    let take = |sample: &Sample, violations: &mut Violations| stuck.take(sample, violations);
    judge(series, "every busy CPU made progress", too_few, take).outcome
}

/// An outcome, and what it is based on.
struct Judged {
    outcome: Outcome,
    violations: Violations,
}

fn judge(
    series: Option<&Series>,
    kept: &str,
    too_few: impl Fn(&Series) -> Option<String>,
    mut take: impl FnMut(&Sample, &mut Violations),
) -> Judged {
    let mut violations = Violations::default();
    if let Some(series) = series {
        series
            .samples
            .iter()
            .for_each(|sample| take(sample, &mut violations));
    }
    let outcome = match (violations.all(), series) {
        (_, None) => Outcome::skip("no samples: the run had no monitor"),
        ([], Some(series)) => without_violations(series, kept, too_few),
        ([first, ..], Some(_)) => {
            let shown = violations.all().iter().take(MAX_SHOWN);
            let more = match violations.count() - 1 {
                0 => String::new(),
                more => format!("; {more} more"),
            };
            Outcome::fail(format!("{first}{more}"), shown.map(ToString::to_string).collect())
        }
    };
    Judged { outcome, violations }
}

fn without_violations(series: &Series, kept: &str, too_few: impl Fn(&Series) -> Option<String>) -> Outcome {
    match &series.failure {
        Some(why) if series.samples.is_empty() => {
            Outcome::inconclusive(format!("the runqueues could not be read: {why}"))
        }
        None if series.samples.is_empty() => {
            Outcome::skip("no samples: no worker ran while the monitor was active")
        }
        _ => match too_few(series) {
            Some(why) => Outcome::skip(why),
            None => Outcome::pass(format!("{kept}, in {}", counted(series))),
        },
    }
}

/// From the first sample to the last.
fn span(series: &Series) -> Nanos {
    match (series.samples.first(), series.samples.last()) {
        (Some(first), Some(last)) => last.at.since(first.at),
        _ => Nanos::ZERO,
    }
}

/// `63 samples`, or `2000 of 8000 samples` of a long run.
fn counted(series: &Series) -> String {
    match series.every {
        0 | 1 if series.taken == 1 => "1 sample".to_owned(),
        0 | 1 => format!("{} samples", series.taken),
        _ => format!("{} of {} samples", series.samples.len(), series.taken),
    }
}

#[cfg(test)]
mod tests;
