//! What was made of the evidence.

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

/// One check's outcome, always with the reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's short name.
    pub check: String,
    /// Its outcome.
    pub verdict: Verdict,
    /// Why, in one sentence.
    pub reason: String,
    /// The evidence behind it, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// A run's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The worst of the checks.
    pub verdict: Verdict,
    /// Each check, in the order of the expectations.
    pub checks: Vec<CheckResult>,
}

impl Judgement {
    /// The judgement that these checks add up to. Without any check there is nothing to pass.
    pub fn of(checks: Vec<CheckResult>) -> Judgement {
        let verdict = checks
            .iter()
            .map(|check| check.verdict)
            .max()
            .unwrap_or(Verdict::Inconclusive);
        Judgement { verdict, checks }
    }

    /// The checks that were not passed or skipped.
    pub fn findings(&self) -> impl Iterator<Item = &CheckResult> {
        self.checks.iter().filter(|check| check.verdict > Verdict::Pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_check_decides() {
        let check = |verdict| CheckResult {
            check: "x".into(),
            verdict,
            reason: String::new(),
            details: Vec::new(),
        };
        let of = |verdicts: &[Verdict]| Judgement::of(verdicts.iter().copied().map(check).collect()).verdict;
        assert_eq!(of(&[Verdict::Pass, Verdict::Skip]), Verdict::Pass);
        assert_eq!(of(&[Verdict::Pass, Verdict::Inconclusive]), Verdict::Inconclusive);
        assert_eq!(of(&[Verdict::Fail, Verdict::Inconclusive]), Verdict::Fail);
        assert_eq!(of(&[]), Verdict::Inconclusive, "nothing judged is nothing passed");
    }
}
