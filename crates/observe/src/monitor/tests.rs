//! Streams of samples, and what is reported of them.

use proptest::prelude::*;
use spec::CpuSet;

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
        idle: true,
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
fn stream(count: u64, change: impl Fn(u64, &mut Sample)) -> Monitor {
    stream_of(Limits::default(), count, change)
}

fn stream_of(limits: Limits, count: u64, change: impl Fn(u64, &mut Sample)) -> Monitor {
    let mut monitor = Monitor::new(limits);
    for number in 0..count {
        let mut sample = sample(1000 + 4 * number);
        change(number, &mut sample);
        monitor.take(&sample);
    }
    monitor
}

fn cpus(list: &str) -> CpuSet {
    list.parse().unwrap()
}

/// A CPU that idles for the limit while a task waits that may run on it is one finding, and grows while that goes on.
#[test]
fn a_cpu_that_idles_while_a_task_waits_for_it_is_reported_once() {
    assert_eq!(stream(13, |_, _| {}).findings(), [], "48 ms");
    let monitor = stream(16, |_, _| {});
    let [finding] = monitor.findings() else {
        panic!("{:?}", monitor.findings());
    };
    let expect = Finding::IdleWhileWaiting {
        pid: PID,
        comm: "fio".to_owned(),
        waits_on: 0,
        allowed: cpus("0-1"),
        idle: cpus("1"),
        from: at(1000),
        lasted: Nanos::from_millis(60),
    };
    assert_eq!(*finding, expect);
    assert_eq!(
        finding.to_string(),
        "CPU 1 idled for 60ms from [    1.000000] on while fio (pid 42), which may run on CPU 0-1, waited on CPU 0"
    );
}

/// What the kernel counts tells what was between two samples, so few samples are enough.
#[test]
fn two_samples_far_apart_show_a_wait_if_nothing_has_changed() {
    let mut monitor = Monitor::new(Limits::default());
    monitor.take(&sample(1000));
    assert_eq!(monitor.findings(), []);
    monitor.take(&sample(1500));
    assert_eq!(monitor.findings().len(), 1);
}

/// A CPU that runs others now and then, and is idle again at every look while the same task waits, has passed it over each
/// time. That is blamed later than idling without a break, and not by a few looks.
#[test]
fn a_cpu_that_is_found_idle_again_and_again_has_passed_the_task_over() {
    let often = |number: u64, sample: &mut Sample| sample.cpus[1].switches = 2 * number;
    assert_eq!(stream(50, often).findings(), [], "196 ms");
    let monitor = stream(52, often);
    let expect = Finding::PassedOver {
        pid: PID,
        comm: "fio".to_owned(),
        waits_on: 0,
        allowed: cpus("0-1"),
        idle: cpus("1"),
        looks: 52,
        from: at(1000),
        lasted: Nanos::from_millis(204),
    };
    assert_eq!(monitor.findings(), [expect]);
    let busy_once = stream(60, |number, sample| {
        often(number, sample);
        sample.cpus[1].idle = number != 30;
    });
    assert_eq!(busy_once.findings(), [], "it was busy once");
    let woke_once = stream(60, |number, sample| {
        often(number, sample);
        sample.waiting[0].since = Some(number / 30);
    });
    assert_eq!(woke_once.findings(), [], "another wait");
    let mut few = Monitor::new(Limits::default());
    for number in 0..4 {
        let mut sample = sample(1000 + 500 * number);
        often(number, &mut sample);
        few.take(&sample);
    }
    assert_eq!(few.findings(), [], "four looks");
}

/// A task that waits on the idle CPU itself waits for it too.
#[test]
fn a_task_that_waits_on_the_idle_cpu_is_reported() {
    let monitor = stream(20, |_, sample| {
        sample.waiting[0].cpu = 1;
        sample.waiting[0].allowed = cpus("1");
    });
    assert!(
        monitor.findings()[0]
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
        assert_eq!(found.findings(), [], "{what}");
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
        sample.cpus[1].idle = part % 2 == 0;
    });
    check("the CPU is offline", &|part, sample| {
        if part % 2 == 0 {
            sample.cpus.remove(1);
        }
    });
}

/// A CPU that the host does not let run cannot leave idle.
#[test]
fn a_preempted_cpu_is_not_blamed_for_idling() {
    assert_eq!(
        stream(60, |_, sample| sample.cpus[1].preempted = true).findings(),
        []
    );
}

/// A task that may not run on the idle CPU does not wait for it.
#[test]
fn a_task_that_may_not_run_there_is_not_reported() {
    assert_eq!(
        stream(60, |_, sample| sample.waiting[0].allowed = cpus("0,2")).findings(),
        []
    );
}

/// One wait is one finding, whatever idles beside it; the next wait of the same task is another.
#[test]
fn each_wait_is_reported_for_itself() {
    // The CPU works for a sample in the middle of the wait; the stretch behind is longer.
    let interrupted = stream(60, |number, sample| {
        sample.cpus[1].switches = u64::from(number > 20);
        sample.cpus[1].idle = number != 20;
    });
    let [Finding::IdleWhileWaiting { from, lasted, .. }] = interrupted.findings() else {
        panic!("{:?}", interrupted.findings());
    };
    assert_eq!((*from, *lasted), (at(1084), Nanos::from_millis(152)));
    let again = stream(60, |number, sample| sample.waiting[0].since = Some(number / 30));
    assert_eq!(again.findings().len(), 2);
}

/// The CPUs that idled for the limit are named, and no other.
#[test]
fn only_cpus_that_idled_long_enough_are_named() {
    let monitor = stream(20, |number, sample| {
        sample.waiting[0].allowed = cpus("0-2");
        if number >= 15 {
            sample.cpus[2] = CpuSample {
                cpu: 2,
                ..sample.cpus[1].clone()
            };
        }
    });
    let Finding::IdleWhileWaiting { idle, .. } = &monitor.findings()[0] else {
        panic!("{:?}", monitor.findings());
    };
    assert_eq!(*idle, cpus("1"));
}

/// A stream that begins again is another run: nothing of the one before counts.
#[test]
fn time_that_goes_back_begins_anew() {
    let mut monitor = stream(12, |_, _| {});
    monitor.take(&sample(500));
    monitor.take(&sample(540));
    assert_eq!(monitor.findings(), []);
    monitor.take(&sample(550));
    assert_eq!(monitor.findings().len(), 1);
}

/// Findings beyond the most are counted.
#[test]
fn findings_beyond_the_most_are_counted_once_each() {
    let limits = Limits {
        findings: 1,
        ..Limits::default()
    };
    let monitor = stream_of(limits, 60, |number, sample| {
        sample.waiting[0].since = Some(number / 20);
    });
    assert_eq!((monitor.findings().len(), monitor.summary().unlisted), (1, 2));
    assert!(
        monitor.summary().to_string().contains("2 findings more"),
        "{}",
        monitor.summary()
    );
}

/// F9: imbalance is the most tasks of a CPU to the fewest, of which there is one at the least.
#[test]
fn imbalance_is_the_most_to_the_fewest() {
    let of = |all: &[u64]| {
        let cpu = |all: &u64| CpuSample {
            running: Running {
                all: *all,
                ..Running::default()
            },
            ..CpuSample::default()
        };
        let cpus = all.iter().map(cpu).collect();
        imbalance(&Sample {
            cpus,
            ..Sample::default()
        })
        .map(|found| found.ratio())
    };
    assert_eq!(of(&[6, 2, 3]), Some(3.0));
    assert_eq!(of(&[6, 0]), Some(6.0));
    assert_eq!(of(&[0, 0]), Some(0.0));
    assert_eq!(of(&[5, 5]), Some(1.0));
    assert_eq!(of(&[]), None);
    assert!(of(&[u64::MAX, 0]).is_some_and(|ratio| ratio > 1e19));
}

/// F9: the greatest imbalance of all samples is told with its time, and the depth of each CPU's local DSQ.
#[test]
fn the_summary_has_the_worst_of_all_samples() {
    let monitor = stream(5, |number, sample| {
        sample.cpus[0].running.all = [2, 3, 9, 4, 9][number as usize];
        sample.cpus[0].local_dsq = Some([1, 6, 2, 0, 0][number as usize]);
        sample.cpus[2].local_dsq = Some(0);
    });
    let summary = monitor.summary();
    let worst = Imbalance {
        at: at(1008),
        most: 9,
        least: 0,
    };
    assert_eq!((summary.samples, summary.imbalance), (5, Some(worst)));
    assert_eq!(summary.local_dsq, [(0, 6), (2, 0)].into());
    assert_eq!(
        summary.to_string(),
        "5 samples, imbalance at most 9.0 (9 tasks to 0, at [    1.008000]), local DSQ at most 6 deep (CPU 0)"
    );
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
    assert_eq!(stream(5, standing).findings(), [], "the first finds nothing yet");
    let monitor = stream(8, standing);
    let expect = Finding::Stuck {
        cpu: 0,
        pid: 100,
        clock: Nanos(77),
        samples: 7,
        from: at(1000),
        lasted: Nanos::from_millis(28),
    };
    assert_eq!(monitor.findings(), [expect]);
    assert_eq!(
        monitor.findings()[0].to_string(),
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
        assert_eq!(found.findings(), [], "{what}");
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
    for stuck_apart in [Nanos::ZERO, Nanos(1)] {
        let limits = Limits {
            stuck_apart,
            ..Limits::default()
        };
        let one_instant = stream_of(limits, 60, |number, sample| {
            standing(number, sample);
            sample.at = at(1000 + number / 20);
        });
        assert_eq!(one_instant.findings(), []);
    }
}

/// F9: by the host's own looks it takes four, 500 ms apart: 2 s.
#[test]
fn by_the_hosts_looks_two_seconds_make_a_cpu_stuck() {
    let looks = |count, apart: u64| {
        let monitor = stream_of(Limits::host_only(), count, |number, sample| {
            standing(number, sample);
            sample.at = at(1000 + apart * number);
        });
        monitor.findings().len()
    };
    assert_eq!(looks(4, 500), 0);
    assert_eq!(looks(5, 500), 1);
    // Looks that are closer count as one: 1.99 s are no 2 s.
    assert_eq!(looks(200, 10), 0);
    assert_eq!(looks(201, 10), 1);
}

/// Findings and summaries are data.
#[test]
fn findings_survive_json() {
    let monitor = stream(20, |number, sample| {
        let waiting = sample.waiting.clone();
        standing(number, sample);
        sample.waiting = waiting;
    });
    assert_eq!(monitor.findings().len(), 2);
    let text = serde_json::to_string(monitor.findings()).unwrap();
    assert!(
        text.contains(r#""kind":"idle_while_waiting""#) && text.contains(r#""kind":"stuck""#),
        "{text}"
    );
    assert_eq!(
        serde_json::from_str::<Vec<Finding>>(&text).unwrap(),
        monitor.findings()
    );
    let summary = serde_json::to_string(monitor.summary()).unwrap();
    assert_eq!(
        serde_json::from_str::<Summary>(&summary).unwrap(),
        *monitor.summary()
    );
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
        let mut monitor = Monitor::new(Limits { idle: Nanos::from_millis(limit), ..Limits::default() });
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
            monitor.take(&now);
        }
        prop_assert_eq!(monitor.findings(), &[]);
    }

    /// Whatever the times are: a CPU that switches before each sample is never said to have idled all the time, and to have
    /// passed a task over only when it was found idle often and for long.
    #[test]
    fn a_cpu_that_switches_does_not_idle_all_the_time(
        steps in prop::collection::vec(0u64..200, 1..40),
        limit in 1u64..100,
    ) {
        let mut monitor = Monitor::new(Limits { idle: Nanos::from_millis(limit), ..Limits::default() });
        let mut now = sample(1000);
        monitor.take(&now);
        for ms in &steps {
            now.at.0.0 += Nanos::from_millis(*ms).0;
            now.cpus[1].switches += 2;
            for cpu in [0, 2] {
                now.cpus[cpu].clock.0 += 1;
            }
            monitor.take(&now);
        }
        let long = steps.len() >= 4 && steps.iter().sum::<u64>() >= 4 * limit;
        let found: Vec<bool> = monitor
            .findings()
            .iter()
            .map(|finding| matches!(finding, Finding::PassedOver { .. }))
            .collect();
        prop_assert_eq!(found, if long { vec![true] } else { vec![] });
    }

    /// A wait that is reported is no longer than the time since the last change, and is reported when it is that long.
    #[test]
    fn a_wait_is_as_long_as_nothing_changed(before in 0u64..40, after in 0u64..40) {
        let monitor = stream(before + after + 1, |number, sample| {
            sample.waiting[0].since = Some(u64::from(number >= before));
        });
        let stretches = [(before > 0).then(|| 4 * (before.max(1) - 1)), Some(4 * after)];
        let expect: Vec<u64> = stretches.into_iter().flatten().filter(|ms| *ms >= 50).collect();
        let found: Vec<u64> = monitor.findings().iter().map(|finding| match finding {
            Finding::IdleWhileWaiting { lasted, .. } => lasted.0 / 1_000_000,
            Finding::PassedOver { .. } | Finding::Stuck { .. } => 0,
        }).collect();
        prop_assert_eq!(found, expect);
    }

    /// No samples panic, whatever is in them and in whatever order their times are.
    #[test]
    fn no_samples_panic(values in prop::collection::vec(any::<[u64; 6]>(), 0..20)) {
        let mut monitor = Monitor::new(Limits { idle: Nanos::ZERO, stuck_samples: 0, stuck_apart: Nanos::ZERO, findings: 2 });
        for [time, all, clock, switches, ran, pid] in values {
            let mut sample = sample(1);
            sample.at = GuestTime(Nanos(time));
            sample.cpus[0].running.all = all;
            sample.cpus[0].clock = Nanos(clock % 2);
            sample.cpus[0].switches = 0;
            sample.cpus[1].switches = switches % 2;
            sample.waiting[0].ran = Nanos(ran % 2);
            sample.waiting[0].pid = pid.cast_signed();
            monitor.take(&sample);
            prop_assert!(monitor.findings().iter().all(|finding| !finding.to_string().is_empty()));
            prop_assert!(!monitor.summary().to_string().is_empty());
        }
        prop_assert!(monitor.findings().len() <= 2);
    }
}
