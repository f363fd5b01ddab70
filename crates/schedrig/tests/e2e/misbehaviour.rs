//! Each way in which `scx_baton` can misbehave makes the right check fail, with a message that names the task, the
//! CPU and the guest time.

use schedrig::prelude::*;
use schedrig::{CheckResult, Record, Verdict};

use crate::stage::{STANDARD, check, fail, spec};

fn misbehave(name: &str, switch: &str) -> Record {
    let spec = spec(name, "1n1l2c1t", STANDARD, &format!("scx_baton {switch}"));
    fail(&spec, |rig| {
        rig.cgroup("a").spawn(Spin.workers(6))?;
        rig.run_for(secs(3))?;
        rig.finish()
    })
}

/// The check failed, and its reason names a worker of group `a`, a CPU and a guest time.
fn assert_tells(record: &Record, check: &CheckResult) {
    let report = report::detail(record);
    assert_eq!(check.verdict, Verdict::Fail, "{report}");
    let reason = &check.reason;
    assert!(
        reason.contains("a/") || reason.contains("a0"),
        "names the task: {reason}\n{report}"
    );
    assert!(
        reason.to_lowercase().contains("cpu "),
        "names the CPU: {reason}\n{report}"
    );
    assert!(
        reason.contains("[   "),
        "names the guest time: {reason}\n{report}"
    );
}

#[test]
fn a_task_that_is_never_dispatched_is_found_starved() {
    let record = misbehave("starve", "--starve-nth 3");
    assert_tells(&record, check(&record, "starvation"));
    assert_eq!(
        check(&record, "stall").verdict,
        Verdict::Pass,
        "{}",
        report::detail(&record)
    );
    assert_eq!(
        check(&record, "scheduler").verdict,
        Verdict::Pass,
        "the kernel's own watchdog is slower"
    );
}

#[test]
fn a_scheduler_that_stops_dispatching_is_found_stalled() {
    let record = misbehave("stall", "--stall-after 500");
    assert_tells(&record, check(&record, "stall"));
    assert_eq!(
        check(&record, "starvation").verdict,
        Verdict::Inconclusive,
        "{}",
        report::detail(&record)
    );
}

#[test]
fn a_scheduler_that_reports_an_error_is_found_dead_with_its_message() {
    let record = misbehave("error", "--error-after 500");
    let found = check(&record, "scheduler");
    assert_tells(&record, found);
    assert!(found.reason.contains("deliberate error"), "{}", found.reason);
    assert!(
        record.evidence.scheduler_log.contains("kind=error"),
        "{}",
        record.evidence.scheduler_log
    );
    let window = record.evidence.windows.last().unwrap();
    let ran = window.to.since(window.from);
    assert!(
        ran < secs(2),
        "the window ends with the scheduler, not at its full length: {ran}"
    );
}

#[test]
fn a_scheduler_that_ignores_weights_is_found_unfair() {
    let spec = spec("ignore-weight", "1n1l2c1t", STANDARD, "scx_baton --ignore-weight");
    let record = fail(&spec, |rig| {
        let group = rig.cgroup("a").spawn(Spin.workers(4))?;
        rig.spawn(&group, &Spin.workers(4).nice(5))?;
        rig.run_for(secs(3))?;
        rig.check(fair(&group).within(percent(15)))?;
        rig.finish()
    });
    assert_tells(&record, check(&record, "fair"));
}

#[test]
fn the_kernels_watchdog_is_told_with_the_task_it_names() {
    let record = misbehave("watchdog", "--starve-nth 3 --timeout-ms 1000");
    let found = check(&record, "scheduler");
    assert_eq!(found.verdict, Verdict::Fail, "{}", report::detail(&record));
    assert!(found.reason.contains("failed to run for"), "{}", found.reason);
}
