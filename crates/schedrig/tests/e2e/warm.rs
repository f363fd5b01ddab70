//! Runs that are forked from a warm machine, and schedulers that are attached once: the same executions as the cold ones.
//!
//! A process's warm machines are shared by its tests: what ends them is tested in a process of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use schedrig::prelude::*;
use schedrig::{Attach, Progress, Record, RunSpec, SelfTest, Setup, Verdict};

use crate::processes::{children_named, helper, wait_until};
use crate::stage::{STANDARD, of_verdict, replayed, spec};

fn scenario(rig: &mut Rig) -> Outcome {
    rig.cgroup("a").weight(200).spawn(Spin.workers(3))?;
    let burst = "burst/1ms/500us/30%".parse::<Work>()?;
    rig.cgroup("b").spawn(Workers::new(burst, 2))?;
    rig.run_for(millis(150))?;
    rig.finish()
}

fn run(setup: &Setup, seed: u64) -> Record {
    of_verdict(
        Verdict::Pass,
        setup.run(seed, &mut |_| {}, scenario).unwrap().record,
    )
}

fn cold(spec: &RunSpec) -> RunSpec {
    RunSpec {
        warm: false,
        ..spec.clone()
    }
}

fn assert_same(one: &Record, other: &Record) {
    if let Some(difference) = report::first_difference(one, other) {
        panic!("not the same execution: {difference}");
    }
    assert_eq!(one.hash, other.hash);
}

#[test]
fn a_warm_run_is_the_cold_one_for_each_seed_topology_and_scheduler() {
    for (topology, scheduler) in [("2n2l2c1t", "eevdf"), ("1n2l2c1t", "scx_baton")] {
        let warm = spec("warm", topology, STANDARD, scheduler);
        let cold = Setup::new(cold(&warm), &mut |_| {}).unwrap();
        let warm = Setup::new(warm, &mut |_| {}).unwrap();
        for seed in [1, 2] {
            let one = run(&warm, seed);
            assert_same(&one, &run(&cold, seed));
            assert_same(&one, &run(&warm, seed));
        }
    }
}

#[test]
fn a_record_of_a_warm_run_is_replayed_cold_and_warm() {
    let setup = Setup::new(
        spec("warm-replay", "1n1l2c1t", STANDARD, "scx_baton"),
        &mut |_| {},
    )
    .unwrap();
    let record = run(&setup, 5);
    assert_eq!(record.replay_inputs.as_ref().unwrap().attach, Attach::Once);
    for warm in [false, true] {
        replayed(&record, warm);
    }
}

#[test]
fn a_scheduler_that_is_attached_fresh_is_attached_in_the_run_itself() {
    let once = spec("attach-once", "1n1l2c1t", STANDARD, "scx_baton");
    let fresh = RunSpec {
        attach: Attach::Fresh,
        ..once.clone()
    };
    let [once, fresh] = [once, fresh].map(|spec| Setup::new(spec, &mut |_| {}).unwrap());
    let [one, other] = [&once, &fresh].map(|setup| run(setup, 3));
    assert_ne!(one.hash, other.hash);
    for (record, attach) in [(&one, Attach::Once), (&other, Attach::Fresh)] {
        assert_eq!(record.replay_inputs.as_ref().unwrap().attach, attach);
        let attached = record.evidence.events.iter().filter(|event| {
            matches!(&event.what, record::EventKind::SchedulerAttached { ops, .. } if ops.contains("baton"))
        });
        assert_eq!(attached.count(), 1, "{attach}");
    }
    // Before a run of the layer begins, all of them are one: its attach has the same time for every seed.
    let at = |record: &Record| {
        let mut events = record.evidence.events.iter();
        events
            .find(|event| matches!(event.what, record::EventKind::SchedulerAttached { .. }))
            .unwrap()
            .at
    };
    assert_eq!(at(&one), at(&run(&once, 4)));
}

/// Another build of a program is another layer, whatever it is called.
#[test]
fn a_scheduler_whose_file_has_changed_is_attached_anew() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("scx_mine");
    let baton = std::env::current_exe()
        .unwrap()
        .ancestors()
        .nth(2)
        .unwrap()
        .join("scx_baton");
    fs::copy(baton, &program).unwrap();
    let attached = |steps: &mut usize| {
        let spec = spec("changed", "1n1l1c1t", STANDARD, &program.display().to_string());
        let setup = Setup::new(spec, &mut |_| {}).unwrap();
        let mut note = |step| *steps += usize::from(matches!(step, Progress::Attaching { .. }));
        of_verdict(Verdict::Pass, setup.run(1, &mut note, scenario).unwrap().record)
    };
    let mut steps = 0;
    attached(&mut steps);
    let before = steps;
    attached(&mut steps);
    assert_eq!(steps, before, "found");
    // Data after an ELF file's end changes nothing but its sum.
    let mut bytes = fs::read(&program).unwrap();
    bytes.extend(std::process::id().to_le_bytes());
    fs::write(&program, bytes).unwrap();
    attached(&mut steps);
    assert_eq!(steps, before + 1, "made anew");
}

const CHILD: &str = "SCHEDRIG_TEST_CHILD_WARM";

/// The machines that this process holds. One that has ended is there until it is waited for, and executes nothing.
fn held() -> Vec<u32> {
    let all = children_named(std::process::id(), "schedrig-held").into_iter();
    all.filter(|pid| fs::read_link(format!("/proc/{pid}/exe")).is_ok())
        .collect()
}

/// Not a test: what the test below starts.
#[test]
#[ignore = "another test starts it by name"]
fn child() {
    let Some(saves) = std::env::var_os(CHILD) else {
        return;
    };
    let spec = RunSpec {
        saves: Some(PathBuf::from(&saves)),
        ..spec("warm-child", "1n1l2c1t", STANDARD, "eevdf")
    };
    let setup = Setup::new(spec.clone(), &mut |_| {}).unwrap();
    let first = run(&setup, 7);
    let tested = SelfTest::load(Path::new(&saves)).expect("a self-test was made");
    assert_eq!(tested.fault, None, "{tested:?}");
    let before = held();
    assert_eq!(before.len(), 1, "one machine is held: {before:?}");
    assert_same(&first, &run(&setup, 7));
    assert_eq!(held(), before, "the same one");
    // Killed from outside: that run is cold, and the next one finds another that is warm.
    let killed = Command::new("kill").args(["-9", &before[0].to_string()]).status();
    assert!(killed.unwrap().success());
    wait_until("it is gone", || held().is_empty().then_some(()));
    assert_same(&first, &run(&setup, 7));
    assert_same(&first, &run(&setup, 7));
    assert_eq!(held().len(), 1);
    assert_same(&first, &run(&Setup::new(cold(&spec), &mut |_| {}).unwrap(), 7));
    println!("\nthe same");
}

#[test]
fn a_warm_machine_that_is_killed_costs_one_run_its_speed_and_nothing_else() {
    let saves = tempfile::tempdir().unwrap();
    let output = helper("warm::child").env(CHILD, saves.path()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("\nthe same\n"), "{text}");
}

const LAYERED: &str = "SCHEDRIG_TEST_CHILD_LAYERED";

/// Not a test: what the test below starts.
#[test]
#[ignore = "another test starts it by name"]
fn layered_child() {
    let Some(saves) = std::env::var_os(LAYERED) else {
        return;
    };
    let spec = RunSpec {
        saves: Some(PathBuf::from(&saves)),
        ..spec("layered-child", "1n1l1c1t", STANDARD, "scx_baton")
    };
    let (mut booted, mut attached) = (0, 0);
    let mut note = |step| match step {
        Progress::Machine(saves::Progress::Making) => booted += 1,
        Progress::Attaching { .. } => attached += 1,
        _ => {}
    };
    let setup = Setup::new(spec, &mut |_| {}).unwrap();
    let record = of_verdict(Verdict::Pass, setup.run(7, &mut note, scenario).unwrap().record);
    println!("\nresult {booted} {attached} {}", record.hash);
}

#[test]
fn three_processes_that_want_a_layer_make_it_once() {
    let saves = tempfile::tempdir().unwrap();
    let start = || {
        helper("warm::layered_child")
            .env(LAYERED, saves.path())
            .spawn()
            .unwrap()
    };
    let results: Vec<(u32, u32, String)> = [start(), start(), start()]
        .into_iter()
        .map(|child| {
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let result = text.lines().find_map(|line| line.strip_prefix("result "));
            let mut words = result.unwrap_or_else(|| panic!("{output:?}")).split(' ');
            let mut number = || words.next().unwrap().parse().unwrap();
            let (booted, attached) = (number(), number());
            (booted, attached, words.next().unwrap().to_owned())
        })
        .collect();
    let made = |of: fn(&(u32, u32, String)) -> u32| results.iter().map(of).sum::<u32>();
    assert_eq!((made(|one| one.0), made(|one| one.1)), (1, 1), "{results:?}");
    assert!(results.iter().all(|one| one.2 == results[0].2), "{results:?}");
}
