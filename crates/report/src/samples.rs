//! Records for the tests of this crate.

use record::{
    CallHistory, CheckResult, CpuSample, Dump, DumpTrigger, End, Event, EventKind, Evidence, Expectation,
    HostFacts, Judgement, KernelFacts, Observation, Plan, Record, Repro, Running, Sample, SchedExt,
    SchedulerPlan, Series, Snapshot, Source, Trace, TracedCall, Value, Verdict, Window,
};
use spec::{
    CgroupSpec, CpuIdle, ExitStatus, Gap, GuestTime, IdleTimes, Nanos, SchedClass, Weight, WorkerId,
    WorkerReport,
};

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

/// The same under EEVDF with each check passed, and an answer to a query.
pub(crate) fn passed() -> Record {
    let mut record = judged(vec![
        check("scheduler", Verdict::Skip, "the kernel's own scheduler ran", &[]),
        check("stall", Verdict::Pass, "the longest stall was 3.5ms", &[]),
        CheckResult {
            source: Source::Samples,
            ..check(
                "stuck-cpu",
                Verdict::Pass,
                "every busy CPU made progress, in 63 samples",
                &[],
            )
        },
    ]);
    let workers = record
        .evidence
        .windows
        .iter_mut()
        .flat_map(|window| &mut window.workers);
    workers.for_each(|worker| worker.class = Some(SchedClass::Fair));
    record.series = Some(series());
    record.observations.push(Observation {
        at: at(2_000),
        asked: "sym jiffies_64".into(),
        seen: Value::tree([("value", Value::from(4_294_937_296u64))]),
    });
    record
}

/// A sample of two CPUs, one of which has three tasks to run.
fn series() -> Series {
    let cpu = |cpu, all| CpuSample {
        cpu,
        running: Running {
            all,
            ..Running::default()
        },
        local_dsq: Some(all),
        ..CpuSample::default()
    };
    let sample = Sample {
        at: at(1_500),
        cpus: vec![cpu(0, 3), cpu(1, 1)],
        dsqs: vec![("0x2".into(), 1)],
        ..Sample::default()
    };
    Series {
        taken: 1,
        samples: vec![sample],
        ..Series::default()
    }
}

/// The same under a scheduler that starves a task, with a dump and the calls that led to it.
pub(crate) fn failed() -> Record {
    let mut record = record();
    record.plan.scheduler = Some(SchedulerPlan {
        program: "scx_baton".into(),
        args: vec!["--starve-nth".into(), "3".into()],
        sha256: "cd".into(),
    });
    record.host.replay = "cargo schedrig run --seed 7".into();
    record.dumps.push(Dump {
        trigger: DumpTrigger::Stuck {
            waiting: "a/1[101] has waited 1.044s on CPU 0, in DSQ 0x2".into(),
        },
        headline: vec!["a/1[101] has waited 1.044s on CPU 0, in DSQ 0x2".into()],
        tasks: vec![101],
        cpus: vec![0],
        backtrace: Vec::new(),
        log: Vec::new(),
        timeline: Vec::new(),
        snapshot: Snapshot {
            tag: "stuck".parse().unwrap(),
            at: at(2_556),
            seen: Value::List(Vec::new()),
        },
    });
    let call = |number, name: &str, dsq: (&str, &str)| TracedCall {
        at: at(1_500 + number),
        number,
        cpu: 0,
        name: name.into(),
        program: Some(format!("baton_{name}")),
        line: Some(format!("baton.bpf.c:{number}")),
        arguments: Value::tree([("p", Value::from("a/1[101]")), ("enq_flags", Value::from(9u64))]),
        before: Value::tree([("dsq", Value::from(dsq.0))]),
        after: Value::tree([("dsq", Value::from(dsq.1))]),
    };
    let calls: Vec<TracedCall> = (180..186)
        .map(|number| call(number, "enqueue", ("none", "0x2")))
        .collect();
    let history = |of: &str, conclusion: Option<&str>| CallHistory {
        of: of.into(),
        calls: calls.clone(),
        conclusion: conclusion.map(str::to_owned),
    };
    record.repro = Some(Repro::Traced(Trace {
        hash: record.hash.clone(),
        of: "a task is stuck".into(),
        histories: vec![
            history("a/1[101]", Some("a/1[101]: it was never dispatched after #185")),
            history("CPU 0", None),
        ],
        seen: 1_578,
    }));
    record
}

/// A machine that died before any worker ran.
pub(crate) fn inconclusive() -> Record {
    let mut record = judged(vec![
        check("stall", Verdict::Skip, "no worker measures its gaps", &[]),
        check("end", Verdict::Inconclusive, "the machine died: signal 9", &[]),
    ]);
    record.evidence = Evidence {
        events: record.evidence.events[..1].to_vec(),
        end: End::MachineDied {
            reason: "signal 9".into(),
        },
        ..Evidence::default()
    };
    record.repro = Some(Repro::Not {
        reason: "what failed is no single task's, so there are no calls to follow".into(),
    });
    record.host.replay = "cargo schedrig run --seed 7".into();
    record
}

fn judged(checks: Vec<CheckResult>) -> Record {
    let Record { plan, evidence, .. } = record();
    Record::new(plan, evidence, Judgement::of(checks), HostFacts::default())
}

pub(crate) fn check(check: &str, verdict: Verdict, reason: &str, details: &[&str]) -> CheckResult {
    CheckResult {
        check: check.into(),
        source: Source::Evidence,
        verdict,
        reason: reason.into(),
        details: details.iter().map(ToString::to_string).collect(),
    }
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
        enable_seq: Some(1),
        callbacks: None,
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
            enable_seq: Some(1),
        }),
        under_scheduler: true,
        cgroup_mode: None,
        idle: Some(IdleTimes {
            from: at(from),
            to: at(to),
            cpus: [40, 0]
                .map(Nanos::from_millis)
                .into_iter()
                .zip(0..)
                .map(|(idle, cpu)| CpuIdle { cpu, idle })
                .collect(),
        }),
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
        class: Some(SchedClass::Ext),
        tasks: 1,
        exit: None,
    }
}
