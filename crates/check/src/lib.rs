//! Judges a run: evidence in, verdicts out, nothing else.
//!
//! *Architecture invariant:* pure functions over [`record`] types. No VM, no clock, no file: a saved record is
//! judged again with the same outcome.
//!
//! One file a family of promises; [`judge`] deals the expectations out to them. A check that finds its
//! evidence missing says `Inconclusive` with the reason, never `Pass`.
#![forbid(unsafe_code)]

mod cpuset;
mod ending;
mod kernel;
mod lost;
mod monitored;
mod progress;
mod scheduler;
mod share;

pub use kernel::is_complaint;

use record::{CheckResult, Evidence, Expectation, Judgement, Monitored, Verdict};

/// Judges the evidence by each expectation, in their order, and by how the run ended.
pub fn judge(evidence: &Evidence, expectations: &[Expectation]) -> Judgement {
    let mut checks: Vec<CheckResult> = expectations
        .iter()
        .filter(|expectation| !expectation.is_monitored())
        .map(|expectation| judge_one(evidence, expectation))
        .collect();
    checks.extend(ending::judge(evidence));
    Judgement::of(checks)
}

/// Judges what a monitor saw by those expectations that are about it.
pub fn judge_monitored(monitored: &Monitored, expectations: &[Expectation]) -> Vec<CheckResult> {
    let checks = expectations.iter().filter_map(|expectation| {
        let finding = match expectation {
            Expectation::WorkConserving { limit } => monitored::work_conserving(monitored, *limit),
            Expectation::CpusAdvance => monitored::cpus_advance(monitored),
            _ => return None,
        };
        Some(finding.under(expectation.name()))
    });
    checks.collect()
}

fn judge_one(evidence: &Evidence, expectation: &Expectation) -> CheckResult {
    let finding = match expectation {
        Expectation::SchedulerHealthy => scheduler::healthy(evidence),
        Expectation::NoStall { limit } => progress::no_stall(evidence, *limit),
        Expectation::NoStarvation { limit } => progress::no_starvation(evidence, *limit),
        Expectation::NoLostWorkers => lost::none_lost(evidence),
        Expectation::KernelClean => kernel::clean(evidence),
        Expectation::CpusetsHonoured => cpuset::honoured(evidence),
        // Evidence says nothing of it; a monitor does.
        Expectation::WorkConserving { .. } | Expectation::CpusAdvance => {
            Finding::skip("judged by what the monitor saw")
        }
        Expectation::GroupShare { groups, within } => share::groups(evidence, groups, *within),
        Expectation::WorkerShare { group, within } => share::workers(evidence, group, *within),
    };
    finding.under(expectation.name())
}

/// A check's outcome before it has its name.
struct Finding {
    verdict: Verdict,
    reason: String,
    details: Vec<String>,
}

impl Finding {
    fn pass(reason: impl Into<String>) -> Finding {
        Finding {
            verdict: Verdict::Pass,
            reason: reason.into(),
            details: Vec::new(),
        }
    }

    fn skip(reason: impl Into<String>) -> Finding {
        Finding {
            verdict: Verdict::Skip,
            reason: reason.into(),
            details: Vec::new(),
        }
    }

    fn inconclusive(reason: impl Into<String>) -> Finding {
        Finding {
            verdict: Verdict::Inconclusive,
            reason: reason.into(),
            details: Vec::new(),
        }
    }

    fn fail(reason: impl Into<String>, details: Vec<String>) -> Finding {
        Finding {
            verdict: Verdict::Fail,
            reason: reason.into(),
            details,
        }
    }

    fn under(self, check: &str) -> CheckResult {
        CheckResult {
            check: check.to_owned(),
            verdict: self.verdict,
            reason: self.reason,
            details: self.details,
        }
    }
}

/// How a task is named in a reason: `a/3 (pid 87)`.
fn task(report: &spec::WorkerReport) -> String {
    format!("{} (pid {})", report.id, report.pid)
}

#[cfg(test)]
mod samples;
