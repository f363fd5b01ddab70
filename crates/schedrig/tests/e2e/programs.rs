//! Programs as workers: what their processes do counts as the workers'.

use schedrig::prelude::*;

use crate::stage::{STANDARD, pass, spec};

/// One worker that is a shell with this script, which keeps both CPUs of the machine busy with its descendants. All of
/// their time is the worker's.
fn all_time_counts(name: &str, script: &str) {
    let record = pass(&spec(name, "1n1l2c1t", STANDARD, "eevdf"), |rig| {
        let shell = rig.put_program("/bin/sh")?;
        let argv = [&shell, "-c", script].map(str::to_owned).to_vec();
        rig.cgroup("a").spawn(Program { argv }.workers(1))?;
        rig.run_for(millis(200))?;
        rig.run_for(secs(1))?;
        rig.finish()
    });
    for window in &record.evidence.windows[1..] {
        let [worker] = &window.workers[..] else {
            panic!("{:?}", window.workers)
        };
        let share = worker.on_cpu.as_secs_f64() / window.to.since(window.from).as_secs_f64() / 2.0;
        assert!((0.9..1.05).contains(&share), "{share} of both CPUs: {worker:?}");
        assert_eq!(worker.cpus, [0, 1].into_iter().collect(), "{worker:?}");
        assert!(worker.timeslices > 0, "{worker:?}");
    }
}

#[test]
fn children_that_are_running_count() {
    all_time_counts("children", "(while :; do :; done) & (while :; do :; done) & wait");
}

#[test]
fn children_that_have_ended_count() {
    all_time_counts(
        "ended-children",
        "burn() { i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done; }
         again() { while :; do (burn); done; }
         again & again & wait",
    );
}

#[test]
fn descendants_without_a_parent_count() {
    all_time_counts(
        "orphans",
        "(while :; do :; done &)
         (while :; do :; done &)
         kill -STOP $$",
    );
}
