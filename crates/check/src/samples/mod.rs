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

use record::Series;
use spec::Nanos;

use crate::Outcome;

pub use detector::Detector;
pub use violation::Violation;

use idle::Idle;
use stuck::Stuck;
use violation::Violations;

/// Violations that are shown in full.
const MAX_SHOWN: usize = 8;

/// No CPU idled while a task waited for it.
pub(crate) fn work_conserving(series: Option<&Series>, limit: Nanos) -> Outcome {
    judge(
        series,
        &format!("no CPU idled for {limit} while a task waited for it"),
        {
            let mut idle = Idle::default();
            move |sample, violations| idle.take(sample, limit, violations)
        },
    )
}

/// No busy CPU's clock stood.
pub(crate) fn cpus_advance(series: Option<&Series>) -> Outcome {
    judge(series, "every busy CPU made progress", {
        let mut stuck = Stuck::default();
        move |sample, violations| stuck.take(sample, violations)
    })
}

fn judge(
    series: Option<&Series>,
    kept: &str,
    mut take: impl FnMut(&record::Sample, &mut Violations),
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
            _ if !series.samples.is_empty() => Outcome::pass(format!("{kept}, in {}", counted(series))),
            Some(why) => Outcome::inconclusive(format!("the runqueues could not be read: {why}")),
            None => Outcome::skip("no samples: no worker ran while the monitor was active"),
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

/// `63 samples`, or `2000 of 8000 samples` of a long run.
fn counted(series: &Series) -> String {
    match series.every {
        0 | 1 => format!("{} samples", series.taken),
        _ => format!("{} of {} samples", series.samples.len(), series.taken),
    }
}

#[cfg(test)]
mod tests;
