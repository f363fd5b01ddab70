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

use record::{Sample, Series};
use spec::Nanos;

use crate::Outcome;

pub use detector::Detector;
pub use violation::Violation;

use idle::Idle;
use stuck::{STUCK_SAMPLES, Stuck};
use violation::Violations;

/// Violations that are shown in full.
const MAX_SHOWN: usize = 8;

/// No CPU idled while a task waited for it.
pub(crate) fn work_conserving(series: Option<&Series>, limit: Nanos) -> Outcome {
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
    judge(series, &kept, too_few, take)
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
    judge(series, "every busy CPU made progress", too_few, take)
}

fn judge(
    series: Option<&Series>,
    kept: &str,
    too_few: impl Fn(&Series) -> Option<String>,
    mut take: impl FnMut(&Sample, &mut Violations),
) -> Outcome {
    let Some(series) = series else {
        return Outcome::skip("no samples: the run had no monitor");
    };
    let mut violations = Violations::default();
    series
        .samples
        .iter()
        .for_each(|sample| take(sample, &mut violations));
    let Some(first) = violations.all().first() else {
        return match &series.failure {
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
        };
    };
    let shown = violations.all().iter().take(MAX_SHOWN);
    let details = shown.map(ToString::to_string).collect();
    let more = match violations.count() - 1 {
        0 => String::new(),
        more => format!("; {more} more"),
    };
    Outcome::fail(format!("{first}{more}"), details)
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
