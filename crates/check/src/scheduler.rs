//! The scheduler under test: its program runs until it is asked to end, and the kernel keeps it attached.

use record::{EventKind, Evidence};
use spec::{GuestTime, SchedClass};

use crate::attachment::{self, Absence};
use crate::{Outcome, load_error, machine};

/// The program did not end by itself, and the kernel did not detach the scheduler.
pub(crate) fn healthy(evidence: &Evidence) -> Outcome {
    let mut attached = None;
    for event in &evidence.events {
        match &event.what {
            EventKind::SchedulerFailed {
                reason,
                gave_up,
                refused,
                lacks,
            } => {
                if *refused {
                    return Outcome::inconclusive(format!("the scheduler was not started: {reason}"));
                }
                return did_not_load(evidence, reason, *gave_up, lacks);
            }
            EventKind::SchedulerAttached { ops, .. } => attached = Some(ops),
            EventKind::SchedulerExited { status, asked: false } => {
                if let Some(killed) = machine::out_of_memory(evidence) {
                    return Outcome::inconclusive(format!(
                        "the guest ran out of memory; give it more (`--memory MIB`, `memory = MIB`): {killed}"
                    ));
                }
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
    if !evidence.windows.is_empty() && !evidence.windows.iter().any(|window| window.under_scheduler) {
        return Outcome::inconclusive(format!(
            "`{ops}` was attached, and in no window in which the workers ran"
        ));
    }
    // One that was asked to end does so between two windows.
    let meant = || evidence.windows.iter().filter(|window| window.under_scheduler);
    let within = |absence: &Absence| meant().any(|window| (window.from..window.to).contains(&absence.from));
    let absences = attachment::absences(&evidence.console).into_iter();
    let absences: Vec<Absence> = absences.filter(within).collect();
    if !absences.is_empty() {
        let end = meant().map(|window| window.to).max().unwrap_or_default();
        return was_absent(evidence, ops, &absences, end);
    }
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
    if let Some(outcome) = scheduled_nothing(evidence, ops) {
        return outcome;
    }
    Outcome::pass(format!("`{ops}` stayed attached"))
}

/// The scheduler was attached again, after it had not been for a while.
fn was_absent(evidence: &Evidence, ops: &str, absences: &[Absence], end: GuestTime) -> Outcome {
    let told = |absence: &Absence| {
        let to = absence.to.unwrap_or(end);
        format!(
            "from {} to {to}, {}: {}",
            absence.from,
            to.since(absence.from),
            absence.why
        )
    };
    let details: Vec<String> = absences
        .iter()
        .map(|absence| format!("not attached {}", told(absence)))
        .collect();
    let first = absences.first().map_or_else(String::new, told);
    let reason = format!("`{ops}` was not attached {first}; what ran then ran under EEVDF");
    if absences.iter().all(|absence| absence.hotplug) {
        return Outcome::inconclusive(format!(
            "{reason} (the kernel ends a scheduler at CPU hotplug, and its program starts it again)"
        ));
    }
    Outcome::fail(reason, [details, last_lines(evidence)].concat())
}

/// The scheduler never was attached.
fn did_not_load(evidence: &Evidence, reason: &str, gave_up: bool, lacks: &[String]) -> Outcome {
    if let Some(killed) = machine::out_of_memory(evidence) {
        return Outcome::inconclusive(format!(
            "the guest ran out of memory while the scheduler was loaded; give it more (`--memory MIB`, `memory = MIB`): {killed}"
        ));
    }
    if gave_up {
        return Outcome::inconclusive(format!(
            "the scheduler was still at work when the rig gave up: {reason}; give it longer (`--attach-within TIME`, \
             `attach_within = \"TIME\"`)"
        ));
    }
    let ejected = reason_of_kernel(evidence);
    let why = ejected
        .or_else(|| load_error::find(&evidence.scheduler_log))
        .or_else(|| lacks.first().cloned());
    let why = why.map_or_else(String::new, |why| format!("{why}; "));
    Outcome::fail(
        format!("the scheduler did not load: {why}{reason}"),
        [lacks.to_vec(), last_lines(evidence)].concat(),
    )
}

/// The scheduler was attached, and another class scheduled all workers: nothing was tested.
fn scheduled_nothing(evidence: &Evidence, ops: &str) -> Option<Outcome> {
    let under = evidence.windows.iter().filter(|window| window.under_scheduler);
    let classes: Vec<SchedClass> = under
        .flat_map(|window| &window.workers)
        .filter_map(|worker| worker.class)
        .collect();
    let other = classes.first().filter(|_| !classes.contains(&SchedClass::Ext))?;
    Some(Outcome::inconclusive(format!(
        "`{ops}` stayed attached and scheduled no worker: all were in another class ({other}), as ordinary tasks are under \
         a scheduler that takes only those with the policy SCHED_EXT (SCX_OPS_SWITCH_PARTIAL)"
    )))
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
    let message = lines.next().filter(|said| attachment::is_message(said));
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
        let mut scheduled = worker("a", 0);
        scheduled.class = Some(SchedClass::Ext);
        let mut evidence = run(vec![scheduled]);
        evidence.windows[0].under_scheduler = true;
        evidence.windows[0].sched_ext = Some(SchedExt {
            state: state.into(),
            ops: None,
            enable_seq: Some(3),
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
            enable_seq: Some(3),
            callbacks: None,
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
    fn a_time_without_the_scheduler_is_told_with_its_reason() {
        let mut evidence = with(vec![attached()], "enabled");
        let console = |message: &str| {
            format!(
                "[    1.500000] sched_ext: BPF scheduler \"baton\" disabled (unregistered from the main kernel)\n\
                 [    1.500000] sched_ext: baton: {message}\n\
                 [    2.250000] sched_ext: BPF scheduler \"baton\" enabled\n"
            )
        };
        evidence.console = console("oops").replace("unregistered from the main kernel", "runtime error");
        let outcome = healthy(&evidence);
        assert_eq!(outcome.verdict, Verdict::Fail);
        assert!(
            outcome.reason.contains("750ms") && outcome.reason.contains("oops"),
            "{}",
            outcome.reason
        );
        evidence.console = console("cpu 3 going offline, exiting scheduler");
        let outcome = healthy(&evidence);
        assert_eq!(outcome.verdict, Verdict::Inconclusive);
        assert!(
            outcome.reason.contains("cpu 3 going offline"),
            "{}",
            outcome.reason
        );
    }

    #[test]
    fn one_that_scheduled_no_worker_was_not_tested() {
        let mut evidence = with(vec![attached()], "enabled");
        let fair = evidence.windows[0].workers[0].clone();
        evidence.windows[0].workers[0].class = Some(SchedClass::Fair);
        let outcome = healthy(&evidence);
        assert_eq!(outcome.verdict, Verdict::Inconclusive);
        assert!(
            outcome.reason.contains("SCX_OPS_SWITCH_PARTIAL"),
            "{}",
            outcome.reason
        );
        evidence.windows[0].workers.push(fair);
        assert_eq!(healthy(&evidence).verdict, Verdict::Pass);
    }

    #[test]
    fn without_a_scheduler_there_is_nothing_to_judge() {
        assert_eq!(healthy(&with(Vec::new(), "disabled")).verdict, Verdict::Skip);
        let failed = |gave_up| EventKind::SchedulerFailed {
            reason: "no such file".into(),
            gave_up,
            refused: false,
            lacks: vec!["this kernel has no kfunc `scx_bpf_now`".into()],
        };
        let mut evidence = with(vec![failed(false)], "disabled");
        let outcome = healthy(&evidence);
        assert_eq!(outcome.verdict, Verdict::Fail);
        // The loader said nothing; what the kernel lacks is the reason then.
        assert_eq!(
            outcome.reason,
            "the scheduler did not load: this kernel has no kfunc `scx_bpf_now`; no such file"
        );
        evidence.console = "[    1.0] Out of memory: Killed process 93 (scx_layered) total-vm:9kB\n".into();
        let outcome = healthy(&evidence);
        assert_eq!(outcome.verdict, Verdict::Inconclusive);
        assert!(outcome.reason.contains("--memory"), "{}", outcome.reason);
        let outcome = healthy(&with(vec![failed(true)], "disabled"));
        assert_eq!(outcome.verdict, Verdict::Inconclusive);
        assert!(outcome.reason.contains("--attach-within"), "{}", outcome.reason);
    }
}
