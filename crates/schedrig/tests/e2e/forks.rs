//! Runs that go on from an instant of another one.

use schedrig::prelude::*;
use schedrig::{Finished, Record, RunSpec, Setup, Verdict};

use crate::stage::{STANDARD, of_verdict, replayed, spec};

fn assert_same(one: &Record, other: &Record) {
    if let Some(difference) = report::first_difference(one, other) {
        panic!("not the same execution: {difference}");
    }
    assert_eq!(one.hash, other.hash);
}

fn begin(rig: &mut Rig) -> Outcome {
    rig.cgroup("a").spawn(Spin.workers(3))?;
    let burst = "burst/1ms/500us/30%".parse::<Work>()?;
    rig.cgroup("b").spawn(Workers::new(burst, 2))?;
    rig.run_for(millis(50))?;
    Ok(())
}

/// Of a run that is forked thrice while its workers are in the middle of their work.
fn forked(setup: &Setup, seed: u64) -> (Record, Vec<Finished>) {
    let mut forks = Vec::new();
    let finished = setup.run(seed, &mut |_| {}, |rig| {
        begin(rig)?;
        let made = rig.fork(3, |rig, nth| {
            if nth == 2 {
                rig.cgroup("late").spawn(Spin.workers(1))?;
            }
            rig.run_for(millis(100))?;
            rig.finish()
        })?;
        forks = made.passed()?;
        rig.run_for(millis(100))?;
        rig.finish()
    });
    (of_verdict(Verdict::Pass, finished.unwrap().record), forks)
}

#[test]
fn forks_of_a_run_are_runs_of_their_own_and_the_run_does_not_notice() {
    for (topology, scheduler) in [("1n1l2c1t", "eevdf"), ("2n2l2c1t", "scx_baton")] {
        let spec = spec("forked", topology, STANDARD, scheduler);
        let setup = Setup::new(spec.clone(), &mut |_| {}).unwrap();
        let (run, forks) = forked(&setup, 7);
        let without = setup.run(7, &mut |_| {}, |rig| {
            begin(rig)?;
            rig.run_for(millis(100))?;
            rig.finish()
        });
        assert_same(&without.unwrap().record, &run);

        let mut hashes = vec![run.hash.to_string()];
        for (nth, fork) in forks.iter().enumerate() {
            let record = &fork.record;
            assert_eq!(record.plan.name, format!("forked-fork{nth}"));
            let inputs = record.replay_inputs.as_ref().unwrap();
            let lineage = inputs.lineage.as_ref().unwrap();
            assert_eq!((lineage.of.as_str(), lineage.nth as usize), ("forked", nth));
            assert_eq!(inputs.script[lineage.ops].name(), "seed");
            assert_eq!(
                record.evidence.windows[0], run.evidence.windows[0],
                "up to the fork they are one"
            );
            assert_eq!(record.evidence.windows.len(), 2);
            hashes.push(record.hash.to_string());
        }
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), 4, "four executions");
        replayed(&forks[0].record, false);
        replayed(&forks[2].record, true);

        // Made again, and where machines are not duplicated: the forks are made from their beginning then.
        let (again, _) = forked(&setup, 7);
        assert_same(&again, &run);
    }
}

#[test]
fn forks_can_be_forked_five_deep() {
    fn descend(rig: &mut Rig, depth: u32) -> Outcome {
        rig.run_for(millis(20))?;
        if depth > 0 {
            let forks = rig.fork(1, |rig, _| descend(rig, depth - 1))?.passed()?;
            if depth == 1 {
                replayed(&forks[0].record, false);
            }
        }
        rig.finish()
    }
    let setup = Setup::new(spec("deep", "1n1l2c1t", STANDARD, "scx_baton"), &mut |_| {}).unwrap();
    let finished = setup.run(3, &mut |_| {}, |rig| {
        rig.cgroup("a").spawn(Spin.workers(3))?;
        descend(rig, 5)
    });
    of_verdict(Verdict::Pass, finished.unwrap().record);
}

#[test]
fn a_fork_that_fails_is_told_with_its_record() {
    let spec = RunSpec {
        auto_repro: false,
        ..spec("failing-forks", "1n1l1c1t", STANDARD, "eevdf")
    };
    let setup = Setup::new(spec, &mut |_| {}).unwrap();
    let finished = setup.run(1, &mut |_| {}, |rig| {
        rig.cgroup("a").spawn(Spin.workers(1))?;
        let forks = rig.fork(2, |rig, nth| {
            rig.run_for(millis(20))?;
            match nth {
                0 => rig.finish(),
                _ => Err("this one fails".into()),
            }
        })?;
        let verdicts: Vec<Verdict> = forks.all.iter().map(|fork| fork.record.verdict()).collect();
        assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail]);
        forks.passed()?;
        rig.finish()
    });
    let record = of_verdict(Verdict::Fail, finished.unwrap().record);
    let detail = report::detail(&record);
    assert!(detail.contains("fork 1: FAIL, record in "), "{detail}");
}
