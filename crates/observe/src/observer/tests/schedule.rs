//! What is due at which tick.

use super::*;

/// Tags and times of the snapshots.
fn snapshots(world: &mut World) -> Vec<(String, GuestTime)> {
    let all = world.observed().snapshots.into_iter();
    all.map(|snapshot| (snapshot.tag.as_str().to_owned(), snapshot.at))
        .collect()
}

fn expected(times: &[u64]) -> Vec<(String, GuestTime)> {
    let numbered = (0..).zip(times);
    numbered
        .map(|(number, ms)| (format!("periodic_{number:03}"), at(*ms)))
        .collect()
}

impl World {
    fn query_at(&mut self, ms: u64, words: &str) {
        let query: introspect::Query = words.parse().unwrap();
        self.observer.look_at(Nanos::from_millis(ms), query.into());
    }

    fn answered(&mut self) -> Vec<(GuestTime, String)> {
        let all = self.observed().observations.into_iter();
        all.map(|seen| (seen.at, seen.asked)).collect()
    }

    fn phase(&mut self, phase: Phase, ms: u64) {
        self.observer.phase(phase, at(ms), self.machine.whole.memory());
    }

    /// A tick of each of these seconds.
    fn seconds(&mut self, seconds: impl IntoIterator<Item = u64>) {
        for second in seconds {
            self.tick(1000 * second);
        }
    }
}

/// F1: of 10 s three snapshots are due at 3, 5 and 7 s, and are taken at the first tick from there on.
#[test]
fn periodic_snapshots_are_taken_at_their_boundaries() {
    let mut world = World::new();
    world.observer.snapshots(3).unwrap();
    world.open(10_000);
    for ms in [100_000, 102_996, 103_004, 104_000, 105_000, 107_000, 109_000] {
        world.tick(ms);
    }
    assert_eq!(snapshots(&mut world), expected(&[103_004, 105_000, 107_000]));
}

#[test]
fn a_periodic_snapshot_has_its_boundary_and_the_scenarios_time() {
    let mut world = World::new();
    world.observer.snapshots(1).unwrap();
    world.open(10_000);
    world.seconds(100..103);
    world.phase(Phase::Paused, 102_000);
    world.phase(Phase::Resumed, 104_000);
    world.seconds(104..106);
    let observed = world.observed();
    let periodic = |name: &str| observed.snapshots[0].get(name).unwrap().value().as_u64();
    assert_eq!(periodic("periodic.boundary"), Some(105_000_000_000));
    assert_eq!(
        periodic("periodic.elapsed"),
        Some(3_000_000_000),
        "without the pause"
    );
}

#[test]
fn periodic_snapshots_are_of_the_next_window_only() {
    let mut world = World::new();
    world.observer.snapshots(1).unwrap();
    for start in [100, 200] {
        world.open(10_000);
        world.seconds(start..start + 10);
        world.close(10_000);
    }
    assert_eq!(snapshots(&mut world), expected(&[105_000]));
}

#[test]
fn snapshots_of_two_windows_are_numbered_on() {
    let mut world = World::new();
    for start in [100, 200] {
        world.observer.snapshots(1).unwrap();
        world.open(10_000);
        world.seconds(start..start + 10);
        world.close(10_000);
    }
    assert_eq!(snapshots(&mut world), expected(&[105_000, 205_000]));
}

/// F2: while another scheduler than the bound one is loaded, snapshots are put off; a swap that is reported binds it.
#[test]
fn snapshots_wait_while_another_scheduler_is_loaded() {
    let mut world = World::new();
    world.observer.snapshots(3).unwrap();
    world.open(10_000);
    world.seconds(100..104);
    let root = world.number("scx_root").1;
    let other = root + 0x40;
    world.set("scx_root", other);
    world.seconds(104..106);
    assert_eq!(world.observer.snapshots.count(), 1, "the second one is put off");
    world.phase(Phase::SchedulerSwapped, 106_000);
    world.seconds(106..107);
    world.set("scx_root", root);
    world.seconds(107..108);
    let observed = world.observed();
    let times: Vec<GuestTime> = observed.snapshots.iter().map(|snapshot| snapshot.at).collect();
    assert_eq!(times, [at(103_000), at(106_000)]);
    let missed = &observed.observations[0];
    assert_eq!(missed.asked, "periodic snapshots that were not taken");
    let Value::Missing(why) = &missed.seen else {
        panic!("{missed:?}");
    };
    assert!(
        why.starts_with("1: the scheduler at 0x") && why.contains("is not the one last bound"),
        "{why}"
    );
}

#[test]
fn a_window_that_is_over_early_says_which_snapshots_it_lacks() {
    let mut world = World::new();
    world.observer.snapshots(3).unwrap();
    world.open(10_000);
    world.seconds(100..104);
    world.close(4000);
    let observed = world.observed();
    assert_eq!(observed.snapshots.len(), 1);
    let why = Value::Missing("2: the window was over before their time".to_owned());
    assert_eq!(observed.observations[0].seen, why);
}

#[test]
fn a_scheduler_that_comes_back_is_looked_at_again() {
    let mut world = World::new();
    world.observer.snapshots(1).unwrap();
    world.open(10_000);
    world.seconds(100..105);
    let root = world.number("scx_root").1;
    world.set("scx_root", 0);
    world.seconds(105..107);
    world.set("scx_root", root);
    world.seconds(107..108);
    assert_eq!(snapshots(&mut world), expected(&[107_000]));
}

#[test]
fn more_snapshots_than_there_are_tags_are_refused() {
    let refused = World::new().observer.snapshots(1001).unwrap_err();
    assert!(refused.to_string().contains("1000 or fewer"), "{refused}");
}

#[test]
fn queries_are_answered_at_the_first_tick_from_their_time_on() {
    let mut world = World::new();
    world.query_at(500, "get jiffies");
    world.query_at(100, "rq 1");
    world.query_at(500, "rq 2");
    world.open(1000);
    for ms in [10_000, 10_096, 10_100, 10_504] {
        world.tick(ms);
    }
    let expect = [(10_100, "rq 1"), (10_504, "get jiffies"), (10_504, "rq 2")];
    let expect = expect.map(|(ms, asked)| (at(ms), asked.to_owned()));
    assert_eq!(world.answered(), expect);
}

#[test]
fn the_time_of_queries_counts_over_all_windows() {
    let mut world = World::new();
    world.query_at(1500, "rq");
    world.open(1000);
    world.tick(10_000);
    world.tick(11_000);
    world.close(1000);
    world.tick(15_000);
    world.open(1000);
    world.tick(20_000);
    world.tick(20_496);
    world.tick(20_500);
    assert_eq!(world.answered(), [(at(20_500), "rq".to_owned())]);
}

#[test]
fn a_query_whose_time_did_not_come_is_recorded_with_the_reason() {
    let mut world = World::new();
    world.query_at(1500, "rq");
    world.open(1000);
    world.tick(10_000);
    world.close(1000);
    let observed = world.observed();
    let Value::Missing(why) = &observed.observations[0].seen else {
        panic!("{:?}", observed.observations);
    };
    assert_eq!(why, "the workers ran for 1s in all, not for 1.5s");
}

/// A call has the kernel as it stands, at its time, and leaves no observation.
#[test]
fn a_call_is_made_when_its_time_has_come() {
    let mut world = World::new();
    let calls = Arc::<std::sync::Mutex<Vec<GuestTime>>>::default();
    let made = Arc::clone(&calls);
    let call = Look::Call(Arc::new(move |_: &GuestKernel<'_>, at| {
        made.lock().unwrap().push(at);
    }));
    world.observer.look_at(Nanos::from_millis(500), call.clone());
    world.observer.look_at(Nanos::from_millis(5_000), call);
    world.open(1000);
    for ms in [100_000, 100_400, 100_504, 101_000] {
        world.tick(ms);
    }
    assert_eq!(*calls.lock().unwrap(), [at(100_504)]);
    // The other's time did not come, and that is told.
    assert_eq!(world.answered().len(), 1);
}

/// A query wants every tick; the monitor samples at those at which it would have sampled without.
#[test]
fn the_monitor_samples_no_more_often_because_somebody_looks() {
    let mut world = World::new();
    world.observer.monitor();
    world.open(10_000);
    for tick in 1..=96 {
        world
            .observer
            .tick(&world.machine, at(100_000 + 4 * tick), tick % 32 == 0);
    }
    assert_eq!(world.observed().series.unwrap().taken, 3);
}

#[test]
fn outside_of_a_window_nothing_is_due() {
    let mut world = World::new();
    world.query_at(0, "rq");
    world.observer.snapshots(1).unwrap();
    world.observer.monitor();
    world.seconds(1..20);
    let observed = world.observed();
    assert_eq!(observed.snapshots, []);
    assert_eq!(observed.series.unwrap().taken, 0);
}

#[test]
fn before_the_kernel_is_known_nothing_can_be_looked_at_and_nothing_breaks() {
    let mut world = World::unknown();
    world.attach();
    world.open(1000);
    world.observer.tick(&world.machine, at(2000), true);
    let rq: introspect::Query = "rq".parse().unwrap();
    world
        .observer
        .look(world.machine.whole.memory(), at(2000), &rq.into());
    let tag = Tag::new("a").unwrap();
    let taken = world
        .observer
        .snapshot(world.machine.whole.memory(), at(2000), tag);
    assert!(matches!(taken, Err(SnapshotError::Look(LookError::Unknown))));
    let hook = world.observer.hook(
        &mut world.machine,
        "vprintk_emit",
        HitFilter::Always,
        HitAction::Log,
    );
    assert!(matches!(hook, Err(InstrumentError::Look(LookError::Unknown))));
    let observed = world.observed();
    assert!(matches!(observed.observations[0].seen, Value::Missing(_)));
    assert_eq!(observed.dumps, []);
}
