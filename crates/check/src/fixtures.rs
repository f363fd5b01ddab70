//! Evidence for the tests of this crate.

use record::{Event, EventKind, Evidence, Window};
use spec::{CgroupSpec, Gap, GuestTime, Nanos, SchedClass, Weight, WorkerId, WorkerReport};

/// A healthy worker of a two-second window.
pub(crate) fn worker(group: &str, index: u32) -> WorkerReport {
    let from = GuestTime(Nanos::from_secs(1));
    WorkerReport {
        id: WorkerId {
            group: group.parse().unwrap(),
            index,
        },
        pid: 100 + index,
        comm: format!("{group}/{index}"),
        work_units: 1_000,
        on_cpu: Nanos::from_secs(1),
        run_delay: Nanos::from_secs(1),
        timeslices: 100,
        migrations: 0,
        longest_gap: Some(Gap {
            span: Nanos::from_millis(3),
            from,
            cpu: 0,
            open: false,
        }),
        cpus: "0".parse().unwrap(),
        last_cpu: 0,
        class: Some(SchedClass::Fair),
        tasks: 1,
        exit: None,
    }
}

/// A run of one window from 1 s to 3 s.
pub(crate) fn run(workers: Vec<WorkerReport>) -> Evidence {
    let mut evidence = Evidence::default();
    for report in &workers {
        let group = &report.id.group;
        if !evidence.groups.iter().any(|made| made.name == *group) {
            evidence.groups.push(CgroupSpec {
                name: group.clone(),
                cpus: None,
                weight: Weight::DEFAULT,
            });
        }
        let (id, pid) = (report.id.clone(), report.pid);
        let what = EventKind::Spawned {
            id,
            pid,
            work: "spin".into(),
            nice: 0,
        };
        evidence.events.push(Event {
            at: GuestTime::default(),
            what,
        });
    }
    evidence.windows.push(Window {
        from: GuestTime(Nanos::from_secs(1)),
        to: GuestTime(Nanos::from_secs(3)),
        workers,
        sched_ext: None,
        under_scheduler: false,
        cgroup_mode: None,
        idle: None,
    });
    evidence
}
