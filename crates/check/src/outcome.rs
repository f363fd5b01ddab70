//! A check's outcome before it has its name.

use record::{CheckResult, Source, Verdict};

/// Facts that a failure is backed with; the others are counted.
const MAX_DETAILS: usize = 50;

/// A verdict with its reason and the facts behind it.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) reason: String,
    pub(crate) details: Vec<String>,
}

impl Outcome {
    pub(crate) fn pass(reason: impl Into<String>) -> Outcome {
        Outcome::new(Verdict::Pass, reason)
    }

    pub(crate) fn skip(reason: impl Into<String>) -> Outcome {
        Outcome::new(Verdict::Skip, reason)
    }

    pub(crate) fn inconclusive(reason: impl Into<String>) -> Outcome {
        Outcome::new(Verdict::Inconclusive, reason)
    }

    pub(crate) fn fail(reason: impl Into<String>, details: Vec<String>) -> Outcome {
        let more = details.len().saturating_sub(MAX_DETAILS);
        let mut shown: Vec<String> = details.into_iter().take(MAX_DETAILS).collect();
        if more > 0 {
            shown.push(format!("and {more} more"));
        }
        Outcome {
            details: shown,
            ..Outcome::new(Verdict::Fail, reason)
        }
    }

    fn new(verdict: Verdict, reason: impl Into<String>) -> Outcome {
        Outcome {
            verdict,
            reason: reason.into(),
            details: Vec::new(),
        }
    }

    /// The outcome of that check.
    pub(crate) fn of(self, check: &str, source: Source) -> CheckResult {
        CheckResult {
            check: check.to_owned(),
            source,
            verdict: self.verdict,
            reason: self.reason,
            details: self.details,
        }
    }
}
