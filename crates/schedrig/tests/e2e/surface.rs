//! The test author's surface: the attribute, payloads, files, schedulers that come and go, bodies that fail.

use schedrig::prelude::*;
use schedrig::{Verdict, Window};

use crate::stage::{STANDARD, check, fail, pass, spec};

/// As a user writes it.
#[schedrig::test(topology = "1n2l2c1t", scheduler = "scx_baton", seed = 3)]
fn two_groups_share_the_machine(rig: &mut Rig) -> Outcome {
    let a = rig.cgroup("a").cpus(Llc(0)).spawn(Spin.workers(4))?;
    let b = rig.cgroup("b").cpus(Llc(1)).spawn(Spin.workers(4))?;
    let window: Window = rig.run_for(secs(1))?;
    rig.note("workers", window.workers.len());
    rig.check(share(&[&a, &b]).within(percent(10)))?;
    rig.finish()
}

#[test]
fn a_program_of_the_host_runs_in_the_guest_with_its_libraries() {
    pass(&spec("payload", "1n1l2c1t", STANDARD, "eevdf"), |rig| {
        let ls = rig.put_program("/bin/ls")?;
        rig.put_file("/data/hello", 0o644, b"hello")?;
        let (status, stdout, _) = rig.exec(&[&ls, "/data"], secs(10))?;
        assert!(status.success());
        assert_eq!(String::from_utf8_lossy(&stdout).trim(), "hello");
        assert_eq!(rig.read_file("/data/hello")?, "hello");
        rig.cgroup("a").spawn(Spin.workers(2))?;
        rig.run_for(millis(100))?;
        rig.finish()
    });
}

#[test]
fn every_kind_of_work_works_and_is_measured() {
    let record = pass(&spec("works", "1n1l2c1t", STANDARD, "eevdf"), |rig| {
        rig.cgroup("spin").spawn(Spin.workers(2))?;
        rig.cgroup("burst").spawn(
            Burst {
                sleep: millis(4),
                burst: millis(1),
            }
            .workers(2),
        )?;
        rig.cgroup("ping").spawn(PingPong.workers(2))?;
        rig.cgroup("yield")
            .spawn(Workers::new("yield".parse::<Work>()?, 2))?;
        rig.run_for(secs(1))?;
        rig.finish()
    });
    for worker in &record.evidence.windows[0].workers {
        assert!(worker.work_units > 0, "{} did no work", worker.id);
        assert!(
            worker.on_cpu > Nanos::ZERO && worker.timeslices > 0,
            "{} was never on a CPU",
            worker.id
        );
        assert!(
            !worker.cpus.is_empty() && worker.longest_gap.is_some(),
            "{} saw itself nowhere",
            worker.id
        );
    }
}

#[test]
fn a_scheduler_can_be_stopped_and_started_in_one_run() {
    let record = pass(&spec("restart", "1n1l2c1t", STANDARD, "scx_baton"), |rig| {
        rig.cgroup("a").spawn(Spin.workers(4))?;
        rig.run_for(millis(300))?;
        assert!(rig.stop_scheduler()?.success());
        rig.run_for(millis(300))?;
        rig.start_scheduler("/opt/schedrig/bin/scx_baton", &[])?;
        rig.run_for(millis(300))?;
        rig.finish()
    });
    let under: Vec<bool> = record
        .evidence
        .windows
        .iter()
        .map(|window| window.under_scheduler)
        .collect();
    assert_eq!(under, [true, false, true]);
}

#[test]
fn a_body_that_panics_fails_the_run_and_leaves_a_record() {
    let record = fail(&spec("panics", "1n1l2c1t", STANDARD, "eevdf"), |_| {
        panic!("on purpose")
    });
    let body = check(&record, "body");
    assert_eq!(body.verdict, Verdict::Fail);
    assert!(body.reason.contains("on purpose"), "{}", body.reason);
}

#[test]
fn a_program_that_is_no_scheduler_fails_the_run_with_its_exit() {
    let record = fail(&spec("no-scheduler", "1n1l2c1t", STANDARD, "/bin/true"), |rig| {
        rig.finish()
    });
    let found = check(&record, "scheduler");
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(found.reason.contains("before it attached"), "{}", found.reason);
}

#[test]
fn a_worker_that_is_killed_fails_the_run_by_name() {
    let record = fail(&spec("lost", "1n1l2c1t", STANDARD, "eevdf"), |rig| {
        let kill = rig.put_program("/bin/kill")?;
        rig.cgroup("a").spawn(Spin.workers(2))?;
        let victim = rig.run_for(millis(50))?.workers[1].pid.to_string();
        assert!(rig.exec(&[&kill, "-KILL", &victim], secs(10))?.0.success());
        rig.run_for(millis(50))?;
        rig.finish()
    });
    let lost = check(&record, "lost-worker");
    assert_eq!(lost.verdict, Verdict::Fail, "{}", report::detail(&record));
    assert!(
        lost.reason.contains("a/1 (pid") && lost.reason.contains("signal 9"),
        "{}",
        lost.reason
    );
}

#[test]
fn a_kernel_that_panics_in_mid_run_fails_the_run_with_its_message() {
    let record = fail(&spec("panic", "1n1l1c1t", STANDARD, "eevdf"), |rig| {
        rig.cgroup("a").spawn(Spin.workers(1))?;
        rig.run_for(millis(50))?;
        rig.put_file("/proc/sysrq-trigger", 0o200, b"c")?;
        rig.finish()
    });
    let end = check(&record, "end");
    assert!(
        end.reason.contains("sysrq triggered crash"),
        "{}",
        report::detail(&record)
    );
    assert_eq!(
        check(&record, "kernel").verdict,
        Verdict::Fail,
        "the oops is on the console"
    );
}
