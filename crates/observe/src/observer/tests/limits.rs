//! How much a run keeps (contract F3).

use wire::kernel_op::Target;

use super::*;

/// What the record says of things that had no room.
fn lost(observed: &Observed, what: &str) -> Option<String> {
    let asked = format!("{what} that are not shown");
    let seen = observed.observations.iter().find(|seen| seen.asked == asked)?;
    match &seen.seen {
        Value::Missing(why) => Some(why.clone()),
        _ => None,
    }
}

/// F3: 1024 observations are kept, the first ones; how many more there were is recorded.
#[test]
fn observations_beyond_the_bound_are_counted() {
    let mut world = World::new();
    for number in 0..1030 {
        world.observer.note(Observation {
            at: at(number),
            asked: number.to_string(),
            seen: Value::Bool(true),
        });
    }
    let observed = world.observed();
    assert_eq!(observed.observations.len(), 1024 + 1);
    assert_eq!(observed.observations[1023].asked, "1023");
    assert_eq!(lost(&observed, "observations").unwrap(), "6 more; 1024 are kept");
}

/// F3: 64 snapshots are kept; the tag of one of them can be used again, a new one is refused and counted.
#[test]
fn snapshots_beyond_the_bound_are_refused_and_counted() {
    let mut world = World::new();
    let mut take = |tag: String| {
        let tag = Tag::new(tag).unwrap();
        world.observer.snapshot(world.machine.whole.memory(), at(1), tag)
    };
    for number in 0..64 {
        assert!(take(format!("s{number}")).is_ok());
    }
    let refused = take("one-more".to_owned()).unwrap_err().to_string();
    assert!(refused.contains("a run keeps 64; reuse the tag"), "{refused}");
    assert!(take("s7".to_owned()).is_ok());
    let observed = world.observed();
    assert_eq!(observed.snapshots.len(), 64);
    assert_eq!(lost(&observed, "snapshots").unwrap(), "1 more; 64 are kept");
}

#[test]
fn dumps_beyond_the_bound_are_counted() {
    let mut world = World::new();
    for number in 0..8 {
        let trigger = DumpTrigger::CheckFailed {
            check: number.to_string(),
        };
        world.observer.found(&world.machine, at(number), "check", trigger);
    }
    assert_eq!(world.observer.caught(), 6);
    let observed = world.observed();
    let tags: Vec<&str> = observed
        .dumps
        .iter()
        .map(|dump| dump.snapshot.tag.as_str())
        .collect();
    assert_eq!(
        tags,
        ["check", "check-2", "check-3", "check-4", "check-5", "check-6"]
    );
    assert_eq!(lost(&observed, "failure dumps").unwrap(), "2 more; 6 are kept");
}

#[test]
fn a_run_with_room_for_everything_says_nothing_of_limits() {
    let mut world = World::new();
    world.observer.found(&world.machine, at(1), "check", a_check());
    assert_eq!(world.observed().observations, []);
}

#[test]
fn a_kernel_op_is_recorded_with_its_targets_as_paths() {
    let mut world = World::new();
    let entries = vec![
        Target::per_cpu("runqueues", 1, "nr_running").u32(0),
        Target::symbol("jiffies").bytes(vec![0; 80]),
    ];
    let request = KernelOpRequest::read("state", entries);
    let memory = world.machine.whole.memory();
    let reply = world.observer.kernel_op(memory, at(3), &request).unwrap();
    assert!(reply.success, "{}", reply.reason);
    let observed = world.observed();
    let seen = &observed.observations[0];
    assert_eq!(seen.asked, "kernel op state (read)");
    let Value::Tree(entries) = seen.seen.get("entries").unwrap() else {
        panic!("{:?}", seen.seen);
    };
    assert_eq!(entries[0], ("runqueues[1].nr_running".into(), Value::from(4)));
    assert_eq!(entries[1].0, "jiffies");
    let shown = entries[1].1.as_str().unwrap();
    assert!(shown.ends_with("(truncated after 64 of 80 bytes)"), "{shown}");
}
