//! Hooks and watches of a test, and what happens at their hits.

use std::sync::{Arc, Mutex};

use machine::Width;

use super::*;

const FUNCTION: &str = "enqueue_task_scx";
const NUMBER: &str = "runqueues[1].nr_running";

impl World {
    fn hook(&mut self, only: HitFilter, act: HitAction) -> HookId {
        self.observer
            .hook(&mut self.machine, FUNCTION, only, act)
            .unwrap()
    }

    fn watch(&mut self, when: When, act: HitAction) -> WatchId {
        self.observer.watch(&mut self.machine, NUMBER, when, act).unwrap()
    }

    /// What was recorded: names and values.
    fn recorded(&mut self) -> Vec<(String, Value)> {
        let all = self.observed().observations.into_iter();
        all.map(|seen| (seen.asked, seen.seen)).collect()
    }
}

fn text(value: &Value, path: &str) -> String {
    value.get(path).unwrap().to_string().trim().to_owned()
}

#[test]
fn a_hook_hit_is_recorded_with_its_cpu_task_and_arguments() {
    let mut world = World::new();
    world.hook(HitFilter::Always, HitAction::Log);
    world.machine.now = at(8);
    assert_eq!(world.enter(FUNCTION, 1, [5, 6, 7, 8]), AfterHit::RunOn);
    let observed = world.observed();
    let [seen] = observed.observations.as_slice() else {
        panic!("{:?}", observed.observations);
    };
    assert_eq!((seen.at, seen.asked.as_str()), (at(8), "hook enqueue_task_scx"));
    assert_eq!(text(&seen.seen, "cpu"), "1");
    assert_eq!(text(&seen.seen, "task"), "worker7[8]");
    assert_eq!(seen.seen.get("arguments.arg1").unwrap(), &Value::Hex(6));
    assert_eq!(text(&seen.seen, "hits"), "1");
}

#[test]
fn a_watch_hit_is_recorded_with_the_instruction_and_both_values() {
    let mut world = World::new();
    world.watch(When::AtLeast(5), HitAction::Log);
    world.store(NUMBER, 3);
    world.store(NUMBER, 7);
    let recorded = world.recorded();
    let [(asked, seen)] = recorded.as_slice() else {
        panic!("{recorded:?}");
    };
    assert_eq!(asked, "watch runqueues[1].nr_running");
    assert_eq!(text(seen, "by"), "enqueue_task_scx+0x10");
    assert_eq!(
        (text(seen, "old"), text(seen, "new")),
        ("3".to_owned(), "7".to_owned())
    );
}

#[test]
fn a_watch_is_set_with_the_width_and_the_present_value_of_its_number() {
    let mut world = World::new();
    world.watch(When::Changed, HitAction::Log);
    let (_, watched, spec) = *world.machine.watches.last().unwrap();
    assert_eq!(watched, world.number(NUMBER).0);
    assert_eq!((spec.width, spec.current, spec.every), (Width::Four, 4, 1));
}

#[test]
fn what_is_only_counted_never_stops_the_guest() {
    let mut world = World::new();
    world.hook(HitFilter::Always, HitAction::Count);
    world.watch(When::Stored, HitAction::Count);
    assert_eq!(world.machine.hooks.last().unwrap().2, HookSpec::COUNT);
    assert_eq!(world.machine.watches.last().unwrap().2.every, 0);
}

#[test]
fn a_filter_admits_the_hits_of_one_task() {
    let mut world = World::new();
    world.hook(HitFilter::Task(8), HitAction::Log);
    for cpu in [0, 1, 2] {
        world.enter(FUNCTION, cpu, [0; 4]);
    }
    let recorded = world.recorded();
    assert_eq!(recorded.len(), 1);
    assert_eq!(text(&recorded[0].1, "cpu"), "1");
}

#[test]
fn a_filter_admits_the_hits_with_one_argument() {
    let mut world = World::new();
    world.hook(HitFilter::Argument("arg2".to_owned(), 7), HitAction::Log);
    world.enter(FUNCTION, 0, [7, 7, 8, 7]);
    world.enter(FUNCTION, 0, [0, 0, 7, 0]);
    assert_eq!(world.recorded().len(), 1);
}

#[test]
fn a_filter_on_an_argument_that_the_function_lacks_is_refused_with_those_it_has() {
    let mut world = World::new();
    let only = HitFilter::Argument("flags".to_owned(), 1);
    let refused = world
        .observer
        .hook(&mut world.machine, FUNCTION, only, HitAction::Log);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "enqueue_task_scx has no argument `flags`; its arguments: arg0, arg1, arg2, arg3, arg4, arg5"
    );
}

#[test]
fn what_is_not_there_is_neither_hooked_nor_watched() {
    let mut world = World::new();
    let machine = &mut world.machine;
    let hook = world
        .observer
        .hook(machine, "no_such_function", HitFilter::Always, HitAction::Log);
    assert!(hook.unwrap_err().to_string().contains("no_such_function"));
    for (path, expect) in [
        ("no_such_symbol", "find no_such_symbol"),
        ("task[3]", "and what is watched has 1, 2, 4 or 8"),
        ("task[", "the bracket"),
    ] {
        let watch = world.observer.watch(machine, path, When::Stored, HitAction::Log);
        let error = watch.unwrap_err().to_string();
        assert!(error.contains(expect), "{path}: {error}");
    }
    assert_eq!(world.hooked(), ["vprintk_emit"]);
}

#[test]
fn a_machine_that_takes_no_more_hooks_says_so() {
    let mut world = World::new();
    world.machine.refuses = true;
    let machine = &mut world.machine;
    let late = world
        .observer
        .hook(machine, FUNCTION, HitFilter::Always, HitAction::Log);
    let error = late.unwrap_err().to_string();
    assert!(error.contains("no hooks after the first instruction"), "{error}");
    let late = world
        .observer
        .watch(machine, NUMBER, When::Stored, HitAction::Log);
    assert!(matches!(late, Err(InstrumentError::Machine(_))));
}

#[test]
fn a_hook_that_comes_late_is_hit_like_one_that_was_there_from_the_start() {
    let mut world = World::attached();
    world.enter(FUNCTION, 0, [0; 4]);
    world.hook(HitFilter::Always, HitAction::Log);
    world.enter(FUNCTION, 0, [0; 4]);
    assert_eq!(world.recorded().len(), 1);
}

#[test]
fn a_hit_asks_queries_and_records_their_answers() {
    let mut world = World::new();
    let queries = vec!["get jiffies".parse().unwrap(), "rq 1".parse().unwrap()];
    world.hook(HitFilter::Always, HitAction::Query(queries));
    world.set("jiffies", 77);
    world.enter(FUNCTION, 0, [0; 4]);
    let recorded = world.recorded();
    let names: Vec<&str> = recorded.iter().map(|(asked, _)| asked.as_str()).collect();
    assert_eq!(
        names,
        [
            "hook enqueue_task_scx",
            "get jiffies at hook enqueue_task_scx",
            "rq 1 at hook enqueue_task_scx"
        ]
    );
    assert_eq!(recorded[1].1.get("value").unwrap(), &Value::Hex(77));
}

#[test]
fn a_hit_takes_a_snapshot_that_replaces_the_last_one() {
    let mut world = World::new();
    let tag = Tag::new("last").unwrap();
    world.watch(When::Changed, HitAction::Snapshot(tag));
    for (ms, value) in [(10, 5), (20, 6)] {
        world.machine.now = at(ms);
        world.store(NUMBER, value);
    }
    let observed = world.observed();
    let [snapshot] = observed.snapshots.as_slice() else {
        panic!("{}", observed.snapshots.len());
    };
    assert_eq!((snapshot.tag.as_str(), snapshot.at), ("last", at(20)));
    assert_eq!(snapshot.get(NUMBER).unwrap().value().as_u64(), Some(6));
    assert_eq!(observed.observations.len(), 2);
}

#[test]
fn a_hit_calls_a_function_with_the_kernel_as_it_stands() {
    let mut world = World::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&seen);
    let act = HitAction::call(move |hit, kernel| {
        let jiffies = kernel.read_symbol_u64("jiffies").unwrap();
        into.lock().unwrap().push((hit.cpu, hit.name.clone(), jiffies));
    });
    world.hook(HitFilter::Always, act);
    world.set("jiffies", 5);
    world.enter(FUNCTION, 2, [0; 4]);
    assert_eq!(*seen.lock().unwrap(), [(Some(2), FUNCTION.to_owned(), 5)]);
    assert_eq!(
        world.recorded(),
        [],
        "what a test does with a hit is its own business"
    );
}

#[test]
fn a_hit_ends_the_run_with_a_dump() {
    let mut world = World::new();
    world.watch(When::AtLeast(5), HitAction::Stop);
    assert_eq!(world.store(NUMBER, 4), AfterHit::RunOn);
    assert_eq!(world.store(NUMBER, 5), AfterHit::EndRun);
    let observed = world.observed();
    let dump = &observed.dumps[0];
    assert_eq!(dump.snapshot.tag.as_str(), "stop");
    assert_eq!(
        dump.trigger.to_string(),
        "stopped as asked: watch runqueues[1].nr_running was hit"
    );
    assert_eq!(dump.cpus, [1]);
    assert_eq!(observed.observations.len(), 1);
}

#[test]
fn an_instrument_that_was_taken_away_does_nothing() {
    let mut world = World::new();
    let hook = world.hook(HitFilter::Always, HitAction::Stop);
    let which = Instrument::Hook(hook);
    world.observer.remove(&mut world.machine, which).unwrap();
    assert_eq!(world.enter(FUNCTION, 0, [0; 4]), AfterHit::RunOn);
    let stray = HookHit {
        vcpu: None,
        hook,
        hits: 9,
        registers: Registers::X86_64(x86_64::Registers::default()),
    };
    let after = world.observer.hit(&world.machine, RawHit::Hook(stray));
    assert_eq!(after, AfterHit::RunOn, "a hit that was under way");
    assert_eq!(world.recorded(), []);
}

#[test]
fn a_hit_on_a_cpu_that_cannot_be_told_says_so() {
    let mut world = World::new();
    world.hook(HitFilter::Always, HitAction::Log);
    let at = world.kernel().symbol(FUNCTION).unwrap();
    world.enter_at(at, x86_64::Registers::default());
    let recorded = world.recorded();
    assert!(
        text(&recorded[0].1, "task").contains("CPU cannot be told"),
        "{recorded:?}"
    );
}

#[test]
fn a_vcpu_that_the_machine_names_is_the_cpu_of_the_hit() {
    let mut world = World::new();
    let hook = world.hook(HitFilter::Always, HitAction::Log);
    let hit = HookHit {
        vcpu: Some(machine::VcpuId(2)),
        hook,
        hits: 1,
        registers: Registers::X86_64(x86_64::Registers::default()),
    };
    world.observer.hit(&world.machine, RawHit::Hook(hit));
    assert_eq!(text(&world.recorded()[0].1, "cpu"), "2");
}

#[test]
fn a_hook_at_an_instruction_is_called_by_its_address() {
    let mut world = World::new();
    let at = world.kernel().symbol(FUNCTION).unwrap().wrapping_add(4);
    let machine = &mut world.machine;
    world.observer.hook_at(machine, at, HitAction::Log).unwrap();
    world.enter_at(at, x86_64::Registers::default());
    let recorded = world.recorded();
    assert_eq!(recorded[0].0, format!("hook {at}"));
    assert_eq!(recorded[0].1.get("arguments").unwrap(), &Value::Tree(Vec::new()));
}
