//! A record for the tests of this crate.

use record::{
    CheckResult, Event, EventKind, Evidence, Expectation, HostFacts, Judgement, KernelFacts, Plan, Record,
    SchedExt, Source, Verdict, Window,
};
use spec::{CgroupSpec, ExitStatus, Gap, GuestTime, Nanos, Weight, WorkerId, WorkerReport};

/// Two groups, `a` of two workers and `b` of one, over the windows 1 s to 3 s and 3 s to 5 s.
pub(crate) fn record() -> Record {
    let evidence = evidence();
    let plan = Plan {
        name: "sample".into(),
        topology: "1n1l2c1t".parse().unwrap(),
        memory_mib: 512,
        shift: 2,
        kernel_args: String::new(),
        kernel: KernelFacts {
            request: "apt:sid".into(),
            release: "7.2.13".into(),
            build_id: "ab".into(),
        },
        scheduler: None,
        seed: 7,
        expectations: vec![Expectation::KernelClean],
    };
    let check = |check: &str, verdict, reason: &str, details: &[&str]| CheckResult {
        check: check.into(),
        source: Source::Evidence,
        verdict,
        reason: reason.into(),
        details: details.iter().map(ToString::to_string).collect(),
    };
    let judgement = Judgement::of(vec![
        check("stall", Verdict::Pass, "the longest stall was 3.5ms", &[]),
        check(
            "starvation",
            Verdict::Fail,
            "a/1 starved",
            &["a/1 waited", "b/0 ran"],
        ),
    ]);
    Record::new(plan, evidence, judgement, HostFacts::default())
}

/// An instant as seconds since boot.
pub(crate) fn at(millis: u64) -> GuestTime {
    GuestTime(Nanos::from_millis(millis))
}

fn evidence() -> Evidence {
    let workers = || vec![worker("a", 0, 1_000), worker("a", 1, 600), worker("b", 0, 400)];
    let mut events = vec![Event {
        at: at(500),
        what: EventKind::Booted {
            release: "7.2.13".into(),
            cpus: 2,
        },
    }];
    let spawned = workers().into_iter().map(|worker| EventKind::Spawned {
        id: worker.id,
        pid: worker.pid,
        work: "spin".into(),
        nice: 0,
    });
    let attached = EventKind::SchedulerAttached {
        ops: "baton".into(),
        pid: 90,
    };
    events.extend(spawned.chain([attached]).map(|what| Event { at: at(900), what }));
    events.push(Event {
        at: at(5_100),
        what: EventKind::SchedulerExited {
            status: ExitStatus::Code(0),
            asked: true,
        },
    });
    let window = |from, to| Window {
        from: at(from),
        to: at(to),
        workers: workers(),
        sched_ext: Some(SchedExt {
            state: "enabled".into(),
            ops: Some("baton".into()),
        }),
        under_scheduler: true,
    };
    let group = |name: &str, cpus: Option<&str>| CgroupSpec {
        name: name.parse().unwrap(),
        cpus: cpus.map(|cpus| cpus.parse().unwrap()),
        weight: Weight::DEFAULT,
    };
    Evidence {
        groups: vec![group("a", None), group("b", Some("0-1"))],
        events,
        windows: vec![window(1_000, 3_000), window(3_000, 5_000)],
        scheduler_log: "baton: hello\nbaton: 2 CPUs\n".into(),
        console: "[    0.000000] Linux version 7.2.13\n\
                  agent: up\n\
                  [    0.900000] sched_ext: baton enabled\n\
                  [    5.100000] sched_ext: baton disabled\n"
            .into(),
        ..Evidence::default()
    }
}

fn worker(group: &str, index: u32, on_cpu: u64) -> WorkerReport {
    WorkerReport {
        id: WorkerId {
            group: group.parse().unwrap(),
            index,
        },
        pid: 100 + index,
        comm: format!("{group}/{index}"),
        work_units: 1_000,
        on_cpu: Nanos::from_millis(on_cpu),
        run_delay: Nanos::from_millis(100),
        timeslices: 100,
        migrations: 1,
        longest_gap: Some(Gap {
            span: Nanos::from_micros(3_500),
            from: at(2_000),
            cpu: 0,
            open: false,
        }),
        cpus: "0-1".parse().unwrap(),
        last_cpu: 0,
        exit: None,
    }
}
