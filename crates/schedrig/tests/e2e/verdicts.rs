//! Verdicts that were wrong once: each case with the right one.

use record::Repro;
use schedrig::op::Write;
use schedrig::prelude::*;
use schedrig::{CheckResult, Expectation, Percent, PreparedKernel, Record, RigError, Verdict};

use crate::stage::{LONGTERM, NEWEST, STANDARD, check, fail, judged, pass, spec};

/// A group as the command line writes it: name, work, count, CPUs.
type Group<'g> = (&'g str, &'g str, u32, Option<&'g str>);

fn groups(rig: &mut Rig, groups: &[Group<'_>]) -> Result<Vec<schedrig::Group>, RigError> {
    let spawn = |(name, work, count, cpus): &Group<'_>| {
        let group = rig.cgroup(name);
        let group = match cpus {
            Some(cpus) => group.cpus(*cpus),
            None => group,
        };
        group.spawn(Workers::new(work.parse::<Work>().unwrap(), *count))
    };
    groups.iter().map(spawn).collect()
}

#[test]
fn a_due_share_knows_cpusets() {
    let record = pass(&spec("share-cpusets", "1n1l3c1t", STANDARD, "eevdf"), |rig| {
        let all = groups(rig, &[("a", "spin", 6, Some("0-1")), ("b", "spin", 3, Some("2"))])?;
        rig.run_for(secs(1))?;
        rig.check(share(&[&all[0], &all[1]]).within(percent(10)))?;
        rig.finish()
    });
    assert_eq!(check(&record, "share").verdict, Verdict::Pass);
}

#[test]
fn a_due_share_knows_demand() {
    pass(&spec("share-demand", "1n1l4c1t", STANDARD, "eevdf"), |rig| {
        let all = groups(rig, &[("a", "spin", 4, None), ("b", "burst/9ms/1ms", 1, None)])?;
        rig.run_for(secs(2))?;
        rig.check(share(&[&all[0], &all[1]]).within(percent(10)))?;
        rig.finish()
    });
}

#[test]
fn on_an_idle_machine_there_is_nothing_to_share() {
    let spec = spec("fair-idle", "1n1l4c1t", STANDARD, "eevdf");
    let record = judged(Verdict::Inconclusive, &spec, |rig| {
        let all = groups(rig, &[("a", "burst/900ms/1ms", 4, None)])?;
        rig.run_for(secs(2))?;
        rig.check(fair(&all[0]).within(percent(10)))?;
        rig.finish()
    });
    let fair = check(&record, "fair");
    assert!(fair.reason.contains("nobody competed"), "{}", fair.reason);
}

/// One spinner against eight on two CPUs, in a mode of Linux 7.3's EEVDF.
fn shared_in(mode: Option<&str>) -> (Record, CheckResult) {
    let name = format!("cgroup-mode-{}", mode.unwrap_or("default"));
    let spec = spec(&name, "1n1l2c1t", NEWEST, "eevdf");
    let expect = if mode == Some("up") {
        Verdict::Inconclusive
    } else {
        Verdict::Pass
    };
    let record = judged(expect, &spec, |rig| {
        if let Some(mode) = mode {
            rig.apply(Write::new("/sys/kernel/debug/sched/cgroup_mode", mode))?;
        }
        let all = groups(rig, &[("a", "spin", 1, None), ("b", "spin", 8, None)])?;
        rig.run_for(secs(3))?;
        // The kernel counts whole tasks of a decaying average (`tg_tasks`): seven of eight are an eighth less.
        rig.check(share(&[&all[0], &all[1]]).within(percent(16)))?;
        rig.finish()
    });
    let read = record.evidence.windows[0].cgroup_mode.as_deref();
    assert_eq!(
        read,
        Some(mode.unwrap_or("concur")),
        "what the guest says of itself"
    );
    let share = check(&record, "share").clone();
    (record, share)
}

#[test]
fn a_due_share_follows_the_mode_by_which_eevdf_weighs_groups() {
    for mode in [
        None,
        Some("smp"),
        Some("max"),
        Some("concur"),
        Some("tasks"),
        Some("up"),
    ] {
        let (record, share) = shared_in(mode);
        let got: Vec<u64> = ["a", "b"].map(|group| got(&record, group).0 / 1_000_000).into();
        println!(
            "{}: a:b = {got:?} ms; {}",
            mode.unwrap_or("default"),
            share.reason
        );
    }
}

fn got(record: &Record, group: &str) -> Nanos {
    let workers = record.evidence.windows.iter().flat_map(|window| &window.workers);
    let own = workers.filter(|worker| worker.id.group.as_str() == group);
    Nanos(own.map(|worker| worker.on_cpu.0).sum())
}

#[test]
fn a_program_that_runs_for_long_is_no_silence() {
    let record = pass(&spec("long-exec", "1n1l2c1t", STANDARD, "eevdf"), |rig| {
        let sleep = rig.put_program("/bin/sleep")?;
        let begin = rig.now();
        for _ in 0..2 {
            rig.exec(&[&sleep, "45"], secs(60))?;
        }
        rig.exec(&[&sleep, "0.1"], secs(1))?;
        let passed = rig.now().since(begin);
        assert!(passed >= secs(90), "the rig knows what time it is: {passed}");
        rig.finish()
    });
    let events = record.evidence.events.iter();
    assert_eq!(
        events
            .filter(|event| event.what.to_string().starts_with("executed"))
            .count(),
        3
    );
}

#[test]
fn a_run_that_tested_nothing_does_not_pass() {
    fn is_inconclusive(name: &str, body: impl FnOnce(&mut Rig) -> Outcome) {
        let spec = spec(&format!("nothing-{name}"), "1n1l2c1t", STANDARD, "eevdf");
        let record = judged(Verdict::Inconclusive, &spec, body);
        let ran = check(&record, "ran");
        assert!(ran.reason.starts_with("the workers never ran"), "{}", ran.reason);
    }
    is_inconclusive("only-finishes", Rig::finish);
    is_inconclusive("no-workers", |rig| {
        rig.cgroup("a").spawn(Spin.workers(0))?;
        rig.run_for(millis(100))?;
        rig.finish()
    });
    is_inconclusive("no-time", |rig| {
        rig.cgroup("a").spawn(Spin.workers(2))?;
        rig.run_for(millis(0))?;
        rig.finish()
    });
    is_inconclusive("asleep", |rig| {
        groups(rig, &[("a", "burst/900s/1ms", 2, None)])?;
        rig.run_for(millis(300))?;
        rig.finish()
    });
    is_inconclusive("swallowed-error", |rig| {
        let group = rig.cgroup("a").spawn(Spin.workers(0))?;
        let _ = rig.spawn(&group, &Workers::new("pingpong".parse::<Work>()?, 3));
        rig.run_for(millis(100))?;
        rig.finish()
    });
}

/// A guest has its distribution's settings, and the kernel's configuration where programs look for it.
#[test]
fn a_guest_has_its_kernels_own_settings() {
    pass(&spec("own-settings", "1n1l2c1t", STANDARD, "eevdf"), |rig| {
        let runtime: i64 = rig
            .read_file("/proc/sys/kernel/sched_rt_runtime_us")?
            .trim()
            .parse()?;
        assert!(runtime > 0, "the limit of real-time tasks is off: {runtime}");
        let release = rig.read_file("/proc/sys/kernel/osrelease")?;
        let config = rig.read_file(&format!("/boot/config-{}", release.trim()))?;
        assert!(config.contains("CONFIG_SCHED_CLASS_EXT=y"));
        rig.cgroup("a").spawn(Spin.workers(2))?;
        rig.run_for(millis(100))?;
        rig.finish()
    });
}

/// Spinners that have CPUs of their own lose nothing, and the check says so by numbers.
#[test]
fn no_time_is_lost_where_everybody_has_a_cpu() {
    let record = pass(&spec("lost-time", "1n1l8c1t", STANDARD, "eevdf"), |rig| {
        groups(rig, &[("a", "spin", 4, Some("4-7"))])?;
        rig.run_for(secs(2))?;
        rig.instead(Expectation::NoLostTime { limit: Percent(2.0) });
        rig.finish()
    });
    let lost = check(&record, "lost-time");
    assert!(lost.reason.contains("4-7"), "{}", lost.reason);
}

/// Debian's stress-ng has clones of its functions for architectures, chosen by the CPU's model: a model that promises more
/// than the CPU has ends in SIGILL.
#[test]
fn code_that_is_chosen_by_the_cpus_model_runs() {
    pass(&spec("cpu-model", "1n1l2c1t", STANDARD, "eevdf"), |rig| {
        let stress = rig.put_program("/usr/bin/stress-ng")?;
        for stressor in ["--cpu", "--vecmath", "--matrix"] {
            let (status, stdout, stderr) = rig.exec(&[&stress, stressor, "2", "--timeout", "1"], secs(60))?;
            let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
            assert!(status.success(), "{stressor}: {status}: {said}");
        }
        rig.finish()
    });
}

/// Children of a program count for its group: hackbench's leader does next to nothing.
#[test]
fn a_programs_children_are_the_groups() {
    let record = pass(&spec("children-count", "1n1l4c1t", STANDARD, "eevdf"), |rig| {
        let sh = rig.put_program("/bin/sh")?;
        let script = "for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done; wait";
        let argv = [&sh, "-c", script].map(str::to_owned).to_vec();
        rig.cgroup("a").spawn(Program { argv }.workers(1))?;
        rig.run_for(secs(1))?;
        rig.run_for(secs(1))?;
        rig.finish()
    });
    let window = &record.evidence.windows[1];
    let worker = &window.workers[0];
    assert!(
        worker.on_cpu >= millis(3_600),
        "four CPUs for a second: {worker:?}"
    );
    assert!(
        worker.run_delay >= millis(2_000),
        "eight tasks on four CPUs: {worker:?}"
    );
    assert_eq!(worker.cpus.len(), 4, "{worker:?}");
    assert_eq!(worker.tasks, 9, "the shell and its eight children: {worker:?}");
    let report = report::detail(&record);
    assert!(report.contains("workers  tasks"), "{report}");
}

/// What the kernel does not have is known from the program's BPF object and the kernel's BTF, whatever a loader prints.
#[test]
fn what_a_kernel_lacks_of_a_published_scheduler_is_known_from_its_object() {
    let Ok(program) = std::env::var("SCHEDRIG_TEST_BPFLAND") else {
        println!("skipped: SCHEDRIG_TEST_BPFLAND names no scx_bpfland; `cargo xtask test` installs one");
        return;
    };
    let program = std::fs::read(program).unwrap();
    let objects = bpfobj::embedded(&program);
    assert_eq!(objects.len(), 1);
    let lacks = |request: &str| -> Vec<String> {
        let kernel = PreparedKernel::resolve(&request.parse().unwrap(), &mut |_| {}).unwrap();
        let info = kernel.debug_info().unwrap();
        let lacks = bpfobj::lacks(&objects[0], &info.btf);
        lacks.iter().map(ToString::to_string).collect()
    };
    assert_eq!(lacks(STANDARD), [""; 0], "it runs there");
    assert_eq!(lacks(NEWEST), [""; 0], "it runs there");
    let without = lacks(LONGTERM);
    for missing in ["no struct_ops `sched_ext_ops`", "no kfunc `scx_bpf_kick_cpu`"] {
        assert!(
            without.iter().any(|lack| lack.contains(missing)),
            "{missing}: {without:?}"
        );
    }
}

/// A scheduler that ends itself before it is attached is dumped like any other error, and that is the reason.
#[test]
fn a_scheduler_that_ends_itself_while_it_starts_is_dumped_and_says_why() {
    let spec = spec("ejects", "1n1l2c1t", STANDARD, "scx_baton --error-at-init");
    let record = fail(&spec, |rig| {
        groups(rig, &[("a", "spin", 2, None)])?;
        rig.run_for(secs(1))?;
        rig.finish()
    });
    let found = check(&record, "scheduler");
    for word in ["did not load", "deliberate error while starting"] {
        assert!(found.reason.contains(word), "{word}: {}", found.reason);
    }
    let [dump] = &record.dumps[..] else {
        panic!("{}", report::detail(&record));
    };
    assert_eq!(dump.snapshot.tag.as_str(), "exit");
    assert!(
        dump.headline[0].contains("deliberate error while starting"),
        "{:?}",
        dump.headline
    );
    assert!(
        dump.backtrace.iter().any(|frame| frame.contains("baton_init")),
        "{:?}",
        dump.backtrace
    );
    assert!(
        matches!(record.repro, Some(Repro::Traced(_))),
        "{:?}",
        record.repro
    );
}

/// Without callbacks for cgroups a scheduler cannot know `cpu.weight`, and the report says so.
#[test]
fn a_scheduler_that_is_not_told_weights_fails_with_that_reason() {
    let record = fail(&spec("weights", "1n1l2c1t", STANDARD, "scx_baton"), |rig| {
        let a = rig.cgroup("a").weight(300).spawn(Spin.workers(4))?;
        let b = rig.cgroup("b").spawn(Spin.workers(4))?;
        rig.run_for(secs(1))?;
        rig.check(share(&[&a, &b]).within(percent(10)))?;
        rig.finish()
    });
    let reason = &check(&record, "share").reason;
    let expect = "`baton` has no cgroup_init or cgroup_set_weight callback";
    assert!(reason.contains(expect), "{reason}");
}

/// An op that the guest refuses is no fault of the scheduler.
#[test]
fn an_op_that_is_refused_leaves_the_run_unjudged() {
    let spec = spec("refused", "1n1l2c1t", STANDARD, "eevdf");
    let record = judged(Verdict::Inconclusive, &spec, |rig| {
        rig.apply(Write::new("/proc/sys/kernel/no_such_setting", 1))?;
        rig.finish()
    });
    let body = check(&record, "body");
    assert!(body.reason.contains("no_such_setting"), "{}", body.reason);
}
