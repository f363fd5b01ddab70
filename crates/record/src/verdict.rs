//! How a run was judged.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The outcome of a check or of a run; the worst of several is the greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The promise does not apply here.
    Skip,
    /// The promise was kept.
    Pass,
    /// It could not be judged.
    Inconclusive,
    /// The promise was broken.
    Fail,
}

impl Verdict {
    /// The word in a report.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Skip => "SKIP",
            Verdict::Pass => "PASS",
            Verdict::Inconclusive => "INCONCLUSIVE",
            Verdict::Fail => "FAIL",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What a check was judged from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// What the guest did: the same in every making of the run, so the record hash covers the check.
    Evidence,
    /// What the monitor sampled. Not covered by the hash: a run is the same execution with and without a monitor.
    Samples,
    /// A trace of the guest's scheduling. Not covered by the hash either.
    Trace,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Source::Evidence => "evidence",
            Source::Samples => "samples",
            Source::Trace => "trace",
        })
    }
}

/// One check's outcome, always with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's short name.
    pub check: String,
    /// What it was judged from.
    pub source: Source,
    /// Its outcome.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub reason: String,
    /// The facts behind it, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// Every check that a run was held to. What they add up to is [`Judgement::verdict`], and is stored nowhere: a stored
/// one could differ.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Judgement {
    /// Each check, in the order of the expectations; how the run ended comes last.
    pub checks: Vec<CheckResult>,
}

impl Judgement {
    /// The judgement with these checks.
    pub fn of(checks: Vec<CheckResult>) -> Judgement {
        Judgement { checks }
    }

    /// The worst of the checks. Without any check there is nothing to pass.
    pub fn verdict(&self) -> Verdict {
        let verdicts = self.checks.iter().map(|check| check.verdict);
        verdicts.max().unwrap_or(Verdict::Inconclusive)
    }

    /// The checks that were not passed or skipped.
    pub fn findings(&self) -> impl Iterator<Item = &CheckResult> {
        self.checks.iter().filter(|check| check.verdict > Verdict::Pass)
    }

    /// The checks that were judged from that source.
    pub fn from_source(&self, source: Source) -> impl Iterator<Item = &CheckResult> {
        self.checks.iter().filter(move |check| check.source == source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: Verdict, source: Source) -> CheckResult {
        CheckResult {
            check: "x".into(),
            source,
            verdict,
            reason: String::new(),
            details: Vec::new(),
        }
    }

    #[test]
    fn the_worst_check_decides_whatever_it_was_judged_from() {
        let of = |verdicts: &[Verdict]| {
            let checks = verdicts.iter().map(|verdict| check(*verdict, Source::Evidence));
            Judgement::of(checks.collect()).verdict()
        };
        assert_eq!(of(&[Verdict::Pass, Verdict::Skip]), Verdict::Pass);
        assert_eq!(of(&[Verdict::Pass, Verdict::Inconclusive]), Verdict::Inconclusive);
        assert_eq!(of(&[Verdict::Fail, Verdict::Inconclusive]), Verdict::Fail);
        assert_eq!(of(&[]), Verdict::Inconclusive, "nothing judged is nothing passed");
        for source in [Source::Samples, Source::Trace] {
            let mut judgement = Judgement::of(vec![check(Verdict::Pass, Source::Evidence)]);
            judgement.checks.push(check(Verdict::Fail, source));
            assert_eq!(judgement.verdict(), Verdict::Fail, "{source}");
        }
    }
}
