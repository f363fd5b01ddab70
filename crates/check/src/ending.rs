//! How the run ended: only an end that the rig asked for leaves the other checks' word as it is.

use record::{CheckResult, End, EventKind, Evidence, Source};

use crate::{Outcome, machine};

/// Lines of the console that a reason is backed with.
const MAX_CONSOLE_LINES: usize = 12;

/// A result for every way in which the run did not come to its proper end.
pub(crate) fn judge(evidence: &Evidence) -> Vec<CheckResult> {
    let mut checks = Vec::new();
    let end = &evidence.end;
    let last = evidence
        .events
        .last()
        .map_or_else(String::new, |event| format!(" (last event at {})", event.at));
    let outcome = match end {
        End::Finished => None,
        End::GuestExited { .. } => Some(Outcome::fail(format!("{end}{last}"), Vec::new())),
        End::GuestSilent { .. } if machine::out_of_memory(evidence).is_some() => Some(Outcome::inconclusive(
            format!("{end}{last}; it ran out of memory: give it more (`--memory MIB`, `memory = MIB`)"),
        )),
        End::GuestPanic { .. } | End::GuestSilent { .. } => {
            Some(Outcome::fail(format!("{end}{last}"), tail(evidence)))
        }
        End::Stopped { .. } | End::MachineDied { .. } | End::HostDeadline { .. } => {
            Some(Outcome::inconclusive(end.to_string()))
        }
    };
    checks.extend(outcome.map(|outcome| outcome.of("end", Source::Evidence)));
    let mut before: Option<&EventKind> = None;
    for event in &evidence.events {
        // A test that passes on that the scheduler did not start says what `scheduler` says already.
        let echo = matches!(before, Some(EventKind::SchedulerFailed { .. }));
        if let EventKind::BodyFailed {
            reason,
            run_over,
            refused,
        } = &event.what
            && !echo
        {
            let words = format!("the test returned an error at {}: {reason}", event.at);
            let outcome = if *refused || *run_over && says_nothing_of_the_scheduler(&evidence.end) {
                Outcome::inconclusive(words)
            } else {
                Outcome::fail(words, Vec::new())
            };
            checks.push(outcome.of("body", Source::Evidence));
        }
        before = Some(&event.what);
    }
    checks
}

/// Was the machine taken away from the test? An error of the test that follows from that is no word about the scheduler.
fn says_nothing_of_the_scheduler(end: &End) -> bool {
    match end {
        End::MachineDied { .. } | End::HostDeadline { .. } | End::Stopped { .. } => true,
        End::Finished | End::GuestExited { .. } | End::GuestPanic { .. } | End::GuestSilent { .. } => false,
    }
}

fn tail(evidence: &Evidence) -> Vec<String> {
    let lines: Vec<&str> = evidence.console.lines().collect();
    lines[lines.len().saturating_sub(MAX_CONSOLE_LINES)..]
        .iter()
        .map(|line| format!("console: {line}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use record::Verdict;

    use super::*;

    #[test]
    fn an_error_of_the_test_fails_the_run_unless_its_machine_was_taken_away_before() {
        let failed = |run_over: bool, refused: bool, end| {
            let what = EventKind::BodyFailed {
                // Whatever it says: nothing is decided by it.
                reason: "the run is over: signal: 9".to_owned(),
                run_over,
                refused,
            };
            let at = spec::GuestTime::default();
            let evidence = Evidence {
                events: vec![record::Event { at, what }],
                end,
                ..Evidence::default()
            };
            judge(&evidence).last().unwrap().verdict
        };
        let verdict = |run_over, end| failed(run_over, false, end);
        let died = || End::MachineDied {
            reason: "signal: 9".into(),
        };
        let refused = failed(false, true, End::Finished);
        assert_eq!(
            refused,
            Verdict::Inconclusive,
            "an op that was refused tests nothing"
        );
        let stopped = End::Stopped {
            during: "while running".into(),
        };
        assert_eq!(verdict(true, died()), Verdict::Inconclusive);
        assert_eq!(verdict(true, stopped), Verdict::Inconclusive);
        assert_eq!(verdict(false, died()), Verdict::Fail, "it failed before");
        assert_eq!(verdict(false, End::Finished), Verdict::Fail);
        let panic = End::GuestPanic { message: "x".into() };
        assert_eq!(verdict(true, panic), Verdict::Fail, "the guest did that");
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
        assert_eq!(verdict(End::Finished), None);
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
