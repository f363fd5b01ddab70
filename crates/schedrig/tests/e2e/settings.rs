//! Ops that change the guest's settings: CPUs that go offline and come back, cgroup and sysctl files.

use schedrig::op::{Cpu, Write};
use schedrig::prelude::*;
use schedrig::{OpError, RigError};

use crate::ops::is_replayed;
use crate::stage::{STANDARD, pass, spec};

const ONLINE: &str = "/sys/devices/system/cpu/online";
const MAX: &str = "/sys/fs/cgroup/a/cpu.max";
const TIMESLICE: &str = "/proc/sys/kernel/sched_rr_timeslice_ms";

#[test]
fn a_cpu_goes_offline_and_comes_back_files_are_written_and_all_of_it_is_replayed() {
    let record = pass(&spec("settings", "1n1l4c1t", STANDARD, "eevdf"), |rig| {
        rig.cgroup("a").cpus("1-3").spawn(Spin.workers(3))?;
        let window = rig.run_for(millis(200))?;
        assert!(window.workers.iter().any(|worker| worker.cpus.contains(3)));

        rig.apply(Cpu::offline(3))?;
        assert_eq!(rig.read_file(ONLINE)?.trim(), "0-2");
        let window = rig.run_for(millis(200))?;
        assert!(window.workers.iter().all(|worker| !worker.cpus.contains(3)));
        // A cpuset may name a CPU that is offline, beside one that is not.
        rig.cgroup("b").cpus("2-3").spawn(Spin.workers(1))?;

        rig.apply(Write::new(MAX, "20000 100000"))?;
        assert_eq!(rig.read_file(MAX)?, "20000 100000\n");
        let window = rig.run_for(millis(400))?;
        let in_a = window
            .workers
            .iter()
            .filter(|worker| worker.id.group.as_str() == "a");
        let ran: u64 = in_a.map(|worker| worker.on_cpu.0).sum();
        assert!(ran < millis(200).0, "a fifth of one CPU: {ran} ns of 400 ms");
        rig.apply(Write::new(MAX, "max"))?;

        rig.apply(Write::new(TIMESLICE, 40))?;
        assert_eq!(rig.read_file(TIMESLICE)?.trim(), "40");

        rig.apply(Cpu::online(3))?;
        assert_eq!(rig.read_file(ONLINE)?.trim(), "0-3");
        let window = rig.run_for(millis(400))?;
        assert!(window.workers.iter().any(|worker| worker.cpus.contains(3)));
        rig.finish()
    });
    let events: Vec<String> = record
        .evidence
        .events
        .iter()
        .map(|event| event.what.to_string())
        .collect();
    for applied in [
        "applied offline 3",
        "applied online 3",
        "applied write /sys/fs/cgroup/a/cpu.max max",
    ] {
        assert!(
            events.iter().any(|event| event == applied),
            "{applied}: {events:?}"
        );
    }
    is_replayed(&record);
}

#[test]
fn what_the_guest_cannot_do_is_an_error_with_the_next_step() {
    pass(&spec("no-settings", "1n1l2c1t", STANDARD, "eevdf"), |rig| {
        let mut refused = |op: schedrig::Op, expect: &str| match rig.apply(op) {
            Err(RigError::Op(error)) => assert!(error.to_string().contains(expect), "{error}"),
            other => panic!("{other:?}"),
        };
        refused(Cpu::offline(0).into(), "CPU 0 of an x86 machine");
        refused(Cpu::offline(2).into(), "has no CPU 2; it has the CPUs 0-1");
        let mut failed =
            |path: &str, text: &str, errno: i32, expect: &str| match rig.apply(Write::new(path, text)) {
                Err(RigError::Session(session::SessionError::Op(error))) => {
                    assert!(error.to_string().contains(expect), "{error}");
                    assert!(
                        matches!(error, OpError::System { errno: found, .. } if found == errno),
                        "{error}"
                    );
                }
                other => panic!("{other:?}"),
            };
        failed("/proc/sys/kernel/sched_no_such", "1", 2, "the file must exist");
        failed(TIMESLICE, "long", 22, "does not take this text");
        rig.cgroup("a").spawn(Spin.workers(2))?;
        rig.run_for(millis(100))?;
        rig.finish()
    });
}
