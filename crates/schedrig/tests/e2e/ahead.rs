//! Forks that are made ahead: taken by the run that they were made for, and no other execution.
//!
//! A process has a bounded number of places for such forks, and tests of one process share them: so this looks at a
//! process of its own, whose only QEMUs are known.

use schedrig::prelude::*;
use schedrig::{Record, Setup, Verdict};

use crate::processes::{helper, qemus_of, wait_until};
use crate::stage::{STANDARD, of_verdict, spec};

const SEED: u64 = 7;

/// The record, and the QEMUs that this process had while the workers ran.
fn run(setup: &Setup) -> (Record, Vec<u32>) {
    let mut qemus = Vec::new();
    let finished = setup.run(SEED, &mut |_| {}, |rig| {
        rig.cgroup("a").spawn(Spin.workers(2))?;
        rig.run_for(millis(100))?;
        qemus = qemus_of(std::process::id());
        rig.finish()
    });
    (of_verdict(Verdict::Pass, finished.unwrap().record), qemus)
}

/// Not a test: what the test below starts.
#[test]
#[ignore = "another test starts it by name"]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let setup = Setup::new(spec("ahead", "1n1l1c1t", STANDARD, "eevdf"), &mut |_| {}).unwrap();
    let (without, _) = run(&setup);
    setup.prepare(SEED);
    let ahead = wait_until("a fork is made ahead", || {
        qemus_of(std::process::id()).first().copied()
    });
    let (with, qemus) = run(&setup);
    assert_eq!(
        qemus,
        [ahead],
        "the run had the fork that was there, and no other"
    );
    if let Some(difference) = report::first_difference(&without, &with) {
        panic!("not the same execution: {difference}");
    }
    assert_eq!(with.hash, without.hash);
    println!("\nthe same");
}

const CHILD: &str = "SCHEDRIG_TEST_CHILD_AHEAD";

#[test]
fn a_fork_that_was_made_ahead_is_taken_and_is_the_same_execution() {
    let output = helper("ahead::child").env(CHILD, "1").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("\nthe same\n"), "{text}");
}
