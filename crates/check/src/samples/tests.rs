//! Streams of samples, and what is reported of them.

use proptest::prelude::*;

use record::{CpuSample, Running, Sample, Series, SeriesBuilder, Verdict, Waiter};
use spec::{CpuSet, GuestTime, Nanos};

use super::*;

const PID: i64 = 42;

fn at(ms: u64) -> GuestTime {
    GuestTime(Nanos::from_millis(ms))
}

/// CPU 0 runs a task while another waits there, CPU 1 idles, CPU 2 is busy; the task that waits may run on 0 and 1.
fn sample(ms: u64) -> Sample {
    let busy = |cpu: u32, all: u64| CpuSample {
        cpu,
        running: Running {
            all,
            ..Running::default()
        },
        curr: 100 + i64::from(cpu),
        clock: Nanos::from_millis(ms),
        switches: ms,
        ..CpuSample::default()
    };
    let idle = CpuSample {
        cpu: 1,
        idle_since: Some(at(ms)),
        clock: Nanos::from_millis(1),
        switches: 7,
        ..CpuSample::default()
    };
    Sample {
        at: at(ms),
        scheduler: 0x1000,
        cpus: vec![busy(0, 2), idle, busy(2, 1)],
        dsqs: Vec::new(),
        waiting: vec![Waiter {
            pid: PID,
            comm: "fio".to_owned(),
            cpu: 0,
            allowed: "0-1".parse().unwrap(),
            since: Some(5),
            ran: Nanos(9),
        }],
        unread: Vec::new(),
    }
}

/// A sample each 4 ms, from 1 s on, each changed by its number.
fn stream(count: u64, change: impl Fn(u64, &mut Sample)) -> Detector {
    let mut builder = SeriesBuilder::default();
    let mut detector = Detector::default();
    for number in 0..count {
        let mut sample = sample(1000 + 4 * number);
        change(number, &mut sample);
        detector.take(&builder.take(sample));
    }
    detector
}

fn series(samples: impl IntoIterator<Item = Sample>) -> Series {
    let mut builder = SeriesBuilder::default();
    for sample in samples {
        builder.take(sample);
    }
    builder.into_series()
}

/// Takes samples as a series has them.
fn take_all(detector: &mut Detector, samples: impl IntoIterator<Item = Sample>) {
    for sample in series(samples).samples {
        detector.take(&sample);
    }
}

/// Judged without anything but samples.
fn judged(series: Option<&Series>, limit: Nanos) -> Outcome {
    let evidence = record::Evidence::default();
    let evidence = &evidence;
    work_conserving(Run { evidence, series }, limit)
}

/// While the scheduler's own program decides, nobody else can be dispatched; how long that takes is the machine's speed.
#[test]
fn what_waits_for_a_scheduler_in_user_space_is_not_judged() {
    let attached = |pid| record::Evidence {
        events: vec![record::Event {
            at: at(900),
            what: record::EventKind::SchedulerAttached {
                ops: "rustland".into(),
                pid,
                enable_seq: None,
                callbacks: None,
            },
        }],
        ..record::Evidence::default()
    };
    let series = series((0..30).map(|number| sample(1000 + 4 * number)));
    let judged = |evidence: &record::Evidence, series: &Series| {
        let series = Some(series);
        work_conserving(Run { evidence, series }, crate::IDLE_LIMIT)
    };
    // The task on CPU 0 all the time.
    let outcome = judged(&attached(100), &series);
    assert_eq!(outcome.verdict, Verdict::Inconclusive, "{}", outcome.reason);
    assert!(
        outcome.reason.contains("own program (pid 100)"),
        "{}",
        outcome.reason
    );
    assert_eq!(judged(&attached(7), &series).verdict, Verdict::Fail);
    let mut once = series.clone();
    once.samples[7].cpus[0].curr = 99;
    assert_eq!(
        judged(&attached(100), &once).verdict,
        Verdict::Fail,
        "it slept in between"
    );
}

fn cpus(list: &str) -> CpuSet {
    list.parse().unwrap()
}

/// A CPU that idles for the limit while a task waits that may run on it is one violation, and grows while that goes on.
#[test]
fn a_cpu_that_idles_while_a_task_waits_for_it_is_reported_once() {
    assert_eq!(stream(13, |_, _| {}).violations(), [], "48 ms");
    let detector = stream(16, |_, _| {});
    let [violation] = detector.violations() else {
        panic!("{:?}", detector.violations());
    };
    let expect = Violation::IdleWhileWaiting {
        pid: PID,
        comm: "fio".to_owned(),
        waits_on: 0,
        allowed: cpus("0-1"),
        idle: cpus("1"),
        from: at(1000),
        lasted: Nanos::from_millis(60),
    };
    assert_eq!(*violation, expect);
    assert_eq!(
        violation.to_string(),
        "CPU 1 idled for 60ms from [    1.000000] on while fio (pid 42), which may run on CPU 0-1, waited on CPU 0"
    );
}

/// The kernel's counts show what was between two samples, so few samples are enough.
#[test]
fn two_samples_far_apart_show_a_wait_if_nothing_has_changed() {
    let mut detector = Detector::default();
    detector.take(&sample(1000));
    assert_eq!(detector.violations(), []);
    detector.take(&sample(1500));
    assert_eq!(detector.violations().len(), 1);
}

/// A CPU that runs others now and then, and is idle again at every look while the same task waits, has passed it over each
/// time. That is reported later than idling without a break, and not from a few samples.
#[test]
fn a_cpu_that_is_found_idle_again_and_again_has_passed_the_task_over() {
    let often = |number: u64, sample: &mut Sample| sample.cpus[1].switches = 2 * number;
    assert_eq!(stream(50, often).violations(), [], "196 ms");
    let detector = stream(52, often);
    let expect = Violation::PassedOver {
        pid: PID,
        comm: "fio".to_owned(),
        waits_on: 0,
        allowed: cpus("0-1"),
        idle: cpus("1"),
        samples: 52,
        from: at(1000),
        lasted: Nanos::from_millis(204),
    };
    assert_eq!(detector.violations(), [expect]);
    let busy_once = stream(60, |number, sample| {
        often(number, sample);
        sample.cpus[1].idle_since = (number != 30).then_some(sample.at);
    });
    assert_eq!(busy_once.violations(), [], "it was busy once");
    let woke_once = stream(60, |number, sample| {
        often(number, sample);
        sample.waiting[0].since = Some(number / 30);
    });
    assert_eq!(woke_once.violations(), [], "another wait");
    let mut few = Detector::default();
    take_all(
        &mut few,
        (0..4).map(|number| {
            let mut sample = sample(1000 + 500 * number);
            often(number, &mut sample);
            sample
        }),
    );
    assert_eq!(few.violations(), [], "four samples");
}

/// A task that waits on the idle CPU itself waits for it too.
#[test]
fn a_task_that_waits_on_the_idle_cpu_is_reported() {
    let detector = stream(20, |_, sample| {
        sample.waiting[0].cpu = 1;
        sample.waiting[0].allowed = cpus("1");
    });
    assert!(
        detector.violations()[0]
            .to_string()
            .ends_with("on CPU 1, waited on CPU 1")
    );
}

/// Whatever shows that the task ran, slept or moved, or that the CPU left idle, begins the wait anew.
#[test]
fn any_change_within_the_limit_begins_anew() {
    let check = |what: &str, change: &dyn Fn(u64, &mut Sample)| {
        // Each eighth sample is changed: the longest stretch is 32 ms.
        let found = stream(60, |number, sample| change(number / 8, sample));
        assert_eq!(found.violations(), [], "{what}");
    };
    check("it woke again", &|part, sample| {
        sample.waiting[0].since = Some(part);
    });
    check("it ran", &|part, sample| sample.waiting[0].ran = Nanos(part));
    check("it moved", &|part, sample| {
        sample.waiting[0].cpu = 2 * (part as u32 % 2);
    });
    check("the scheduler changed", &|part, sample| sample.scheduler = part);
    check("it may run there no more", &|part, sample| {
        if part % 2 == 0 {
            sample.waiting[0].allowed = cpus("0");
        }
    });
    check("it waits no more", &|part, sample| {
        if part % 2 == 0 {
            sample.waiting.clear();
        }
    });
    check("the CPU is busy", &|part, sample| {
        sample.cpus[1].idle_since = (part % 2 == 0).then_some(sample.at);
    });
    check("the CPU is offline", &|part, sample| {
        if part % 2 == 0 {
            sample.cpus.remove(1);
        }
    });
}

/// A CPU that the host does not let run cannot leave idle.
#[test]
fn a_preempted_cpu_is_not_reported_for_idling() {
    assert_eq!(
        stream(60, |_, sample| sample.cpus[1].preempted = true).violations(),
        []
    );
}

/// A task that may not run on the idle CPU does not wait for it.
#[test]
fn a_task_that_may_not_run_there_is_not_reported() {
    assert_eq!(
        stream(60, |_, sample| sample.waiting[0].allowed = cpus("0,2")).violations(),
        []
    );
}

/// One wait is one violation, whatever idles beside it; the next wait of the same task is another.
#[test]
fn each_wait_is_reported_for_itself() {
    // The CPU works for a sample in the middle of the wait; the stretch behind is longer.
    let interrupted = stream(60, |number, sample| {
        sample.cpus[1].switches = u64::from(number > 20);
        sample.cpus[1].idle_since = (number != 20).then_some(sample.at);
    });
    let [Violation::IdleWhileWaiting { from, lasted, .. }] = interrupted.violations() else {
        panic!("{:?}", interrupted.violations());
    };
    assert_eq!((*from, *lasted), (at(1084), Nanos::from_millis(152)));
    let again = stream(60, |number, sample| sample.waiting[0].since = Some(number / 30));
    assert_eq!(again.violations().len(), 2);
}

/// The CPUs that idled for the limit are named, and no other.
#[test]
fn only_cpus_that_idled_long_enough_are_named() {
    let detector = stream(20, |number, sample| {
        sample.waiting[0].allowed = cpus("0-2");
        if number >= 15 {
            sample.cpus[2] = CpuSample {
                cpu: 2,
                ..sample.cpus[1].clone()
            };
        }
    });
    let Violation::IdleWhileWaiting { idle, .. } = &detector.violations()[0] else {
        panic!("{:?}", detector.violations());
    };
    assert_eq!(*idle, cpus("1"));
}

/// Violations beyond the most are counted, once each, and a judgement says how many there are.
#[test]
fn violations_beyond_the_most_are_counted_once_each() {
    let samples = (0..100 * 20).map(|number| {
        let mut sample = sample(1000 + 4 * number);
        sample.waiting[0].since = Some(number / 20);
        sample
    });
    let outcome = judged(Some(&series(samples)), Nanos::from_millis(50));
    assert!(outcome.reason.ends_with("; 99 more"), "{}", outcome.reason);
    assert_eq!(outcome.details.len(), MAX_SHOWN);
}

/// CPU 0's clock stands.
fn standing(_: u64, sample: &mut Sample) {
    sample.cpus[0].clock = Nanos(77);
    sample.cpus[0].switches = 3;
    sample.waiting.clear();
}

/// F9: five samples in a row that find a busy CPU's clock where it was make it stuck.
#[test]
fn a_busy_cpu_the_clock_of_which_stands_is_stuck() {
    assert_eq!(
        stream(5, standing).violations(),
        [],
        "the first finds nothing yet"
    );
    let detector = stream(8, standing);
    let expect = Violation::Stuck {
        cpu: 0,
        pid: 100,
        clock: Nanos(77),
        samples: 7,
        from: at(1000),
        lasted: Nanos::from_millis(28),
    };
    assert_eq!(detector.violations(), [expect]);
    assert_eq!(
        detector.violations()[0].to_string(),
        "CPU 0 is stuck: its runqueue's clock stood at 77ns for 28ms from [    1.000000] on, while pid 100 ran there; \
         7 samples in a row found it so"
    );
}

/// F9: idle and preempted CPUs are exempt, and a clock that advances begins anew.
#[test]
fn idle_and_preempted_cpus_are_not_stuck() {
    let check = |what: &str, change: &dyn Fn(u64, &mut Sample)| {
        let found = stream(60, |number, sample| {
            standing(number, sample);
            change(number, sample);
        });
        assert_eq!(found.violations(), [], "{what}");
    };
    check("idle", &|_, sample| sample.cpus[0].curr = 0);
    check("preempted", &|_, sample| sample.cpus[0].preempted = true);
    check("at times idle", &|number, sample| {
        sample.cpus[0].curr = i64::from(number % 5 != 0);
    });
    check("it advances at times", &|number, sample| {
        sample.cpus[0].clock = Nanos(number / 5);
    });
    check("it switches at times", &|number, sample| {
        sample.cpus[0].switches = number / 5;
    });
}

/// F9: samples of one instant are one: between them no clock can advance.
#[test]
fn samples_of_one_instant_make_no_cpu_stuck() {
    let one_instant = stream(60, |number, sample| {
        standing(number, sample);
        sample.at = at(1000 + number / 20);
    });
    assert_eq!(one_instant.violations(), []);
}

/// The same samples are judged as they were detected, and with other limits.
#[test]
fn a_series_is_judged_by_whatever_limit() {
    // The wait lasts for 60 ms.
    let series = series((0..16).map(|number| sample(1000 + 4 * number)));
    let verdict = |ms| judged(Some(&series), Nanos::from_millis(ms)).verdict;
    assert_eq!(verdict(20), Verdict::Fail);
    assert_eq!(verdict(60), Verdict::Fail);
    assert_eq!(verdict(61), Verdict::Skip, "the samples span 60 ms");
    let detected = stream(16, |_, _| {});
    let outcome = judged(Some(&series), crate::IDLE_LIMIT);
    assert_eq!(outcome.details, [detected.violations()[0].to_string()]);
    let outcome = cpus_advance(Some(&series));
    assert_eq!(outcome.verdict, Verdict::Pass);
    assert_eq!(outcome.reason, "every busy CPU made progress, in 16 samples");
}

#[test]
fn without_a_sample_nothing_is_passed() {
    let verdict = |series: Option<&Series>| cpus_advance(series).verdict;
    assert_eq!(verdict(None), Verdict::Skip);
    let mut none = Series::default();
    assert_eq!(verdict(Some(&none)), Verdict::Skip);
    (none.failed, none.failure) = (3, Some("unmapped".to_owned()));
    assert_eq!(verdict(Some(&none)), Verdict::Inconclusive);
}

/// So few samples that a violation could not be seen in them.
#[test]
fn too_few_samples_show_nothing() {
    let series = series([sample(1000)]);
    let outcome = judged(Some(&series), Nanos::ZERO);
    assert_eq!(outcome.verdict, Verdict::Skip);
    assert_eq!(outcome.reason, "too short: 1 sample in 0s, and the limit is 0s");
    let outcome = cpus_advance(Some(&series));
    assert_eq!(outcome.verdict, Verdict::Skip);
    assert_eq!(outcome.reason, "too short: 1 sample, and 6 show it");
}

/// A series that is thinned out shows less, and nothing that the whole one does not show.
#[test]
fn a_series_that_is_thinned_out_raises_no_false_alarm() {
    let mut builder = SeriesBuilder::default();
    // Every other sample finds the CPU busy: it never passes the task over twice in a row.
    let busy_between = (0..400u64).map(|number| {
        let mut sample = sample(1000 + 4 * number);
        sample.cpus[1].switches = number;
        sample.cpus[1].idle_since = number.is_multiple_of(2).then_some(sample.at);
        sample
    });
    let mut thinned = Series {
        every: 2,
        ..Series::default()
    };
    for (number, sample) in busy_between.enumerate() {
        let sample = builder.take(sample);
        if number.is_multiple_of(2) {
            thinned.samples.push(sample);
        }
    }
    for series in [builder.series(), &thinned] {
        let outcome = judged(Some(series), crate::IDLE_LIMIT);
        assert_eq!(outcome.verdict, Verdict::Pass, "{}", outcome.reason);
    }
}

/// What happens between two samples: time passes, and something changes that shows it was no wait.
#[derive(Debug, Clone, Copy)]
enum Life {
    Wake,
    Run,
    Move,
}

fn life() -> impl Strategy<Value = Life> {
    prop_oneof![Just(Life::Wake), Just(Life::Run), Just(Life::Move)]
}

proptest! {
    /// Whatever the times are: if the task wakes, runs or moves before each sample, nothing is reported.
    #[test]
    fn where_something_happens_before_each_sample_nothing_is_reported(
        steps in prop::collection::vec((0u64..1000, life()), 1..60),
        limit in 0u64..200,
    ) {
        let mut detector = Detector::new(Nanos::from_millis(limit));
        let mut now = sample(1000);
        for (ms, life) in steps {
            let passed = Nanos::from_millis(ms).0;
            now.at.0.0 += passed;
            for cpu in [0, 2] {
                now.cpus[cpu].clock.0 += passed;
                now.cpus[cpu].switches += 1;
            }
            let waiter = &mut now.waiting[0];
            match life {
                Life::Wake => waiter.since = waiter.since.map(|since| since + 1),
                Life::Run => waiter.ran.0 += 1,
                Life::Move => waiter.cpu = 2 - waiter.cpu,
            }
            detector.take(&now);
        }
        prop_assert_eq!(detector.violations(), &[]);
    }

    /// Whatever the times are: a CPU that switches before each sample is never said to have idled all the time, and to have
    /// passed a task over only when it was found idle often and for long.
    #[test]
    fn a_cpu_that_switches_does_not_idle_all_the_time(
        steps in prop::collection::vec(0u64..200, 1..40),
        limit in 1u64..100,
    ) {
        let mut detector = Detector::new(Nanos::from_millis(limit));
        let mut now = sample(1000);
        detector.take(&now);
        for ms in &steps {
            now.at.0.0 += Nanos::from_millis(*ms).0;
            now.cpus[1].switches += 2;
            for cpu in [0, 2] {
                now.cpus[cpu].clock.0 += 1;
            }
            detector.take(&now);
        }
        let long = steps.len() >= 4 && steps.iter().sum::<u64>() >= 4 * limit;
        let found: Vec<bool> = detector
            .violations()
            .iter()
            .map(|violation| matches!(violation, Violation::PassedOver { .. }))
            .collect();
        prop_assert_eq!(found, if long { vec![true] } else { vec![] });
    }

    /// A wait that is reported is no longer than the time since the last change, and is reported when it is that long.
    #[test]
    fn a_wait_is_as_long_as_nothing_changed(before in 0u64..40, after in 0u64..40) {
        let detector = stream(before + after + 1, |number, sample| {
            sample.waiting[0].since = Some(u64::from(number >= before));
        });
        let stretches = [(before > 0).then(|| 4 * (before.max(1) - 1)), Some(4 * after)];
        let expect: Vec<u64> = stretches.into_iter().flatten().filter(|ms| *ms >= 50).collect();
        let found: Vec<u64> = detector.violations().iter().map(|violation| match violation {
            Violation::IdleWhileWaiting { lasted, .. } => lasted.0 / 1_000_000,
            Violation::PassedOver { .. } | Violation::Stuck { .. } => 0,
        }).collect();
        prop_assert_eq!(found, expect);
    }

    /// No samples panic, whatever is in them and in whatever order their times are.
    #[test]
    fn no_samples_panic(values in prop::collection::vec(any::<[u64; 6]>(), 0..20)) {
        let mut detector = Detector::new(Nanos::ZERO);
        for [time, all, clock, switches, ran, pid] in values {
            let mut sample = sample(1);
            sample.at = GuestTime(Nanos(time));
            sample.cpus[0].running.all = all;
            sample.cpus[0].clock = Nanos(clock % 2);
            sample.cpus[0].switches = 0;
            sample.cpus[1].switches = switches % 2;
            sample.waiting[0].ran = Nanos(ran % 2);
            sample.waiting[0].pid = pid.cast_signed();
            detector.take(&sample);
            prop_assert!(detector.violations().iter().all(|violation| !violation.to_string().is_empty()));
        }
        prop_assert!(detector.violations().len() <= 64);
    }
}
