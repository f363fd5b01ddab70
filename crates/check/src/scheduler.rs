//! The scheduler under test: its program runs until it is asked to end, and the kernel keeps it attached.

use record::{EventKind, Evidence};

use crate::Outcome;

/// The program did not end by itself, and the kernel did not detach the scheduler.
pub(crate) fn healthy(evidence: &Evidence) -> Outcome {
    let mut attached = None;
    for event in &evidence.events {
        match &event.what {
            EventKind::SchedulerFailed { reason } => {
                let reason = format!("the scheduler did not start, seen at {}: {reason}", event.at);
                return Outcome::fail(reason, last_lines(evidence));
            }
            EventKind::SchedulerAttached { ops, .. } => attached = Some(ops),
            EventKind::SchedulerExited { status, asked: false } => {
                let why = reason_of_kernel(evidence)
                    .map_or_else(String::new, |why| format!("; the kernel says: {why}"));
                let reason = format!("the scheduler ended by itself at {} with {status}{why}", event.at);
                return Outcome::fail(reason, last_lines(evidence));
            }
            EventKind::SchedulerExited { status, asked: true } if !status.success() => {
                let reason = format!(
                    "the scheduler was asked to end and did so at {} with {status}",
                    event.at
                );
                return Outcome::fail(reason, last_lines(evidence));
            }
            _ => {}
        }
    }
    let Some(ops) = attached else {
        return Outcome::skip("the kernel's own scheduler ran");
    };
    for window in evidence.windows.iter().filter(|window| window.under_scheduler) {
        let state = window
            .sched_ext
            .as_ref()
            .map_or("absent", |sched_ext| &sched_ext.state);
        if state != "enabled" {
            let why = reason_of_kernel(evidence).unwrap_or_else(|| "the kernel does not say why".to_owned());
            let reason = format!(
                "the kernel detached `{ops}` before {} (sched_ext is {state}): {why}",
                window.to
            );
            return Outcome::fail(reason, last_lines(evidence));
        }
    }
    Outcome::pass(format!("`{ops}` stayed attached"))
}

/// What the kernel printed about the scheduler's end (`kernel/sched/ext.c`, `scx_disable_workfn`), which names
/// the task where one was stuck.
fn reason_of_kernel(evidence: &Evidence) -> Option<String> {
    let mut lines = evidence
        .console
        .lines()
        .filter_map(|line| line.split_once("sched_ext: ").map(|(_, said)| said.trim_end()))
        .skip_while(|said| !said.contains(" disabled ("));
    let first = lines.next()?;
    // The next line, where it is not yet the stack, gives the message.
    let message = lines.next().filter(|said| !said.contains("BPF scheduler"));
    Some(message.map_or_else(|| first.to_owned(), |message| format!("{first}: {message}")))
}

fn last_lines(evidence: &Evidence) -> Vec<String> {
    let lines: Vec<&str> = evidence.scheduler_log.lines().collect();
    let mut words: Vec<String> = lines[lines.len().saturating_sub(8)..]
        .iter()
        .map(|line| format!("scheduler: {line}"))
        .collect();
    words.extend(
        evidence
            .console
            .lines()
            .filter(|line| line.contains("sched_ext: "))
            .map(|line| format!("console: {line}")),
    );
    words
}

#[cfg(test)]
mod tests {
    use record::{Event, SchedExt, Verdict};
    use spec::{ExitStatus, GuestTime, Nanos};

    use super::*;
    use crate::fixtures::{run, worker};

    fn with(events: Vec<EventKind>, state: &str) -> Evidence {
        let mut evidence = run(vec![worker("a", 0)]);
        evidence.windows[0].under_scheduler = true;
        evidence.windows[0].sched_ext = Some(SchedExt {
            state: state.into(),
            ops: None,
        });
        let at = GuestTime(Nanos::from_secs(3));
        evidence
            .events
            .extend(events.into_iter().map(|what| Event { at, what }));
        evidence
    }

    fn attached() -> EventKind {
        EventKind::SchedulerAttached {
            ops: "baton".into(),
            pid: 9,
        }
    }

    #[test]
    fn an_end_that_was_not_asked_for_fails_with_the_kernels_reason() {
        let exited = EventKind::SchedulerExited {
            status: ExitStatus::Code(1),
            asked: false,
        };
        let mut evidence = with(vec![attached(), exited], "disabled");
        evidence.console = "[    2.9] sched_ext: BPF scheduler \"baton\" disabled (runnable task stall)\n\
                            [    2.9] sched_ext: baton: a/3[87] failed to run for 2.010s\n"
            .into();
        let outcome = healthy(&evidence);
        assert_eq!(outcome.verdict, Verdict::Fail);
        for word in ["[    3.000000]", "exit code 1", "runnable task stall", "a/3[87]"] {
            assert!(outcome.reason.contains(word), "{word} in {}", outcome.reason);
        }
    }

    #[test]
    fn an_end_that_was_asked_for_passes() {
        let exited = EventKind::SchedulerExited {
            status: ExitStatus::Code(0),
            asked: true,
        };
        assert_eq!(
            healthy(&with(vec![attached(), exited], "enabled")).verdict,
            Verdict::Pass
        );
    }

    #[test]
    fn a_program_that_stays_up_without_its_scheduler_fails() {
        assert_eq!(
            healthy(&with(vec![attached()], "disabled")).verdict,
            Verdict::Fail
        );
    }

    #[test]
    fn without_a_scheduler_there_is_nothing_to_judge() {
        assert_eq!(healthy(&with(Vec::new(), "disabled")).verdict, Verdict::Skip);
        let failed = EventKind::SchedulerFailed {
            reason: "no such file".into(),
        };
        assert_eq!(healthy(&with(vec![failed], "disabled")).verdict, Verdict::Fail);
    }
}
