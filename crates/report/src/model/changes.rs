//! What became of each check when a record was judged again.

use record::{CheckResult, Judgement, Verdict};

/// A check that two judgements of the same run do not give alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'j> {
    /// The check's name.
    pub check: &'j str,
    /// Its recorded outcome; `None` where the record was not judged by it.
    pub recorded: Option<&'j CheckResult>,
    /// Its outcome now; `None` where it is not judged any more.
    pub judged: Option<&'j CheckResult>,
}

impl Change<'_> {
    /// The recorded verdict, and that of now.
    pub fn verdicts(&self) -> [Option<Verdict>; 2] {
        [self.recorded, self.judged].map(|check| check.map(|check| check.verdict))
    }
}

/// The checks that differ, in the order of the new judgement; those that are judged no more come last. Of several checks
/// with one name the first is compared with the first, and so on.
pub fn changes<'j>(recorded: &'j Judgement, judged: &'j Judgement) -> Vec<Change<'j>> {
    let mut before: Vec<&CheckResult> = recorded.checks.iter().collect();
    let mut changes = Vec::new();
    for now in &judged.checks {
        let found = before.iter().position(|was| was.check == now.check);
        let was = found.map(|index| before.remove(index));
        if was != Some(now) {
            changes.push(Change {
                check: &now.check,
                recorded: was,
                judged: Some(now),
            });
        }
    }
    changes.extend(before.into_iter().map(|was| Change {
        check: &was.check,
        recorded: Some(was),
        judged: None,
    }));
    changes
}

#[cfg(test)]
mod tests {
    use Verdict::{Fail, Pass};

    use super::*;
    use crate::samples::check;

    #[test]
    fn a_check_changes_by_its_verdict_or_its_reason_or_comes_or_goes() {
        let judgement = |checks: &[(&str, Verdict, &str)]| {
            let checks = checks
                .iter()
                .map(|(name, verdict, reason)| check(name, *verdict, reason, &[]));
            Judgement::of(checks.collect())
        };
        let recorded = judgement(&[
            ("stall", Pass, "x"),
            ("fair", Pass, "a"),
            ("fair", Pass, "b"),
            ("kernel", Pass, "x"),
        ]);
        let judged = judgement(&[
            ("stall", Fail, "x"),
            ("fair", Pass, "a"),
            ("fair", Pass, "c"),
            ("share", Pass, "x"),
        ]);
        let changes = changes(&recorded, &judged);
        let shown: Vec<_> = changes
            .iter()
            .map(|change| (change.check, change.verdicts()))
            .collect();
        assert_eq!(
            shown,
            [
                ("stall", [Some(Pass), Some(Fail)]),
                ("fair", [Some(Pass), Some(Pass)]),
                ("share", [None, Some(Pass)]),
                ("kernel", [Some(Pass), None]),
            ]
        );
        assert!(super::changes(&recorded, &recorded).is_empty());
    }
}
