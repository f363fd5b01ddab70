//! How the run ended: only an end that the rig asked for leaves the other checks' word as it is.

use record::{CheckResult, End, EventKind, Evidence};

use crate::Finding;

/// A finding for every way in which the run did not come to its proper end.
pub(crate) fn judge(evidence: &Evidence) -> Vec<CheckResult> {
    let mut checks = Vec::new();
    let last = evidence
        .events
        .last()
        .map_or_else(String::new, |event| format!(" after {}", event.at));
    let end = match &evidence.end {
        End::PoweredOff => None,
        End::GuestExited { during } => Some(Finding::fail(
            format!("the guest went away{last} without being told to, {during}"),
            Vec::new(),
        )),
        End::Stopped { during } => Some(Finding::inconclusive(format!(
            "the run was stopped as asked, {during}"
        ))),
        End::GuestPanic { message } => Some(Finding::fail(
            format!("the guest kernel panicked{last}: {message}"),
            tail(evidence),
        )),
        End::GuestSilent { during } => Some(Finding::fail(
            format!("the guest fell silent{last}: {during}"),
            tail(evidence),
        )),
        End::MachineDied { reason } => Some(Finding::inconclusive(reason.clone())),
        End::HostDeadline { during } => Some(Finding::inconclusive(format!(
            "the host-time limit passed, {during}"
        ))),
    };
    checks.extend(end.map(|finding| finding.under("end")));
    for event in &evidence.events {
        if let EventKind::BodyFailed { reason } = &event.what {
            let words = format!("the test gave up at {}: {reason}", event.at);
            let finding = if is_told_of(&evidence.end, reason) {
                Finding::inconclusive(words)
            } else {
                Finding::fail(words, Vec::new())
            };
            checks.push(finding.under("body"));
        }
    }
    checks
}

/// Did the test give up because its machine was taken away? That is no word about the scheduler.
fn is_told_of(end: &End, reason: &str) -> bool {
    match end {
        End::MachineDied { reason: end }
        | End::HostDeadline { during: end }
        | End::Stopped { during: end } => reason.contains(end.as_str()),
        End::PoweredOff | End::GuestExited { .. } | End::GuestPanic { .. } | End::GuestSilent { .. } => false,
    }
}

fn tail(evidence: &Evidence) -> Vec<String> {
    let lines: Vec<&str> = evidence.console.lines().collect();
    lines[lines.len().saturating_sub(12)..]
        .iter()
        .map(|line| format!("console: {line}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use record::Verdict;

    use super::*;

    #[test]
    fn a_test_that_gives_up_because_its_machine_died_has_not_failed() {
        let verdict = |reason: &str, end| {
            let what = EventKind::BodyFailed {
                reason: reason.to_owned(),
            };
            let at = spec::GuestTime::default();
            let evidence = Evidence {
                events: vec![record::Event { at, what }],
                end,
                ..Evidence::default()
            };
            judge(&evidence).last().unwrap().verdict
        };
        let died = || End::MachineDied {
            reason: "signal: 9".into(),
        };
        assert_eq!(
            verdict("the run is over: signal: 9", died()),
            Verdict::Inconclusive
        );
        assert_eq!(verdict("assertion failed", died()), Verdict::Fail);
        assert_eq!(verdict("assertion failed", End::PoweredOff), Verdict::Fail);
    }

    #[test]
    fn a_dead_backend_leaves_the_run_unjudged_and_a_panic_fails_it() {
        let verdict = |end| {
            let checks = judge(&Evidence {
                end,
                ..Evidence::default()
            });
            checks.iter().map(|check| check.verdict).max()
        };
        assert_eq!(verdict(End::PoweredOff), None);
        assert_eq!(
            verdict(End::MachineDied {
                reason: "signal 9".into()
            }),
            Some(Verdict::Inconclusive)
        );
        assert_eq!(
            verdict(End::GuestPanic { message: "x".into() }),
            Some(Verdict::Fail)
        );
        assert_eq!(
            verdict(End::GuestSilent { during: "y".into() }),
            Some(Verdict::Fail)
        );
    }
}
