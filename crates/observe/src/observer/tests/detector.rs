//! Failures, and when they are dumped.

use super::*;

const EXIT_KIND: &str = "scx_root->exit_kind.counter";
const LOCKUP: &str = "BUG: soft lockup - CPU#%d stuck for %us! [%s:%d]\n";

#[test]
fn a_kernel_that_is_known_has_one_hook_on_its_log() {
    let world = World::new();
    assert_eq!(world.hooked(), ["vprintk_emit"]);
    assert_eq!(world.known().hooked(), ["vprintk_emit"], "told a second time");
}

#[test]
fn an_attached_scheduler_has_a_watch_on_its_exit_kind_and_a_hook_on_its_end() {
    let world = World::attached();
    assert_eq!(world.hooked(), ["vprintk_emit", "scx_disable_workfn"]);
    let [(_, watched, spec)] = world.machine.watches.as_slice() else {
        panic!("{:?}", world.machine.watches);
    };
    assert_eq!(*watched, world.number(EXIT_KIND).0);
    assert_eq!((spec.when, spec.every, spec.current), (When::AtLeast(1024), 1, 0));
}

/// E13: from 1024 on an exit kind is an error, and is dumped at its instant.
#[test]
fn an_exit_kind_that_is_an_error_is_dumped() {
    let mut world = World::attached();
    world.machine.now = at(70);
    world.store(EXIT_KIND, 1024);
    let observed = world.observed();
    let [dump] = observed.dumps.as_slice() else {
        panic!("{:?}", observed.dumps);
    };
    assert_eq!(dump.trigger.to_string(), "the scheduler ends with an error");
    assert_eq!((dump.snapshot.tag.as_str(), dump.snapshot.at), ("exit", at(70)));
    assert!(observed.sites.is_some(), "calls that lead to it can be traced");
}

/// E13: an end that somebody asked for is none.
#[test]
fn an_end_that_somebody_asked_for_is_not_dumped() {
    let mut world = World::attached();
    for kind in [1, 64, 1023] {
        world.store(EXIT_KIND, kind);
    }
    assert_eq!(world.dumps(), []);
}

/// It is loaded, and ends itself before its program has it attached: its exit kind was not watched yet.
#[test]
fn a_scheduler_that_ends_while_it_is_started_is_dumped_with_its_reason() {
    let mut world = World::new();
    world.observer.scheduler_starts(&mut world.machine);
    assert_eq!(world.hooked(), ["vprintk_emit", "scx_disable_workfn"]);
    world.enter("scx_disable_workfn", 0, [0; 4]);
    assert_eq!(world.dumps(), [], "an end that somebody asked for");
    world.set(EXIT_KIND, 1024);
    world.enter("scx_disable_workfn", 0, [0; 4]);
    world.enter("scx_disable_workfn", 0, [0; 4]);
    let observed = world.observed();
    assert_eq!(observed.dumps.len(), 1);
    assert_eq!(
        observed.dumps[0].headline[0],
        "by_hand ends with SCX_EXIT_ERROR: disabled"
    );
    assert!(observed.sites.is_some(), "calls that lead to it can be traced");
}

#[test]
fn a_second_store_of_an_exit_kind_is_the_same_failure() {
    let mut world = World::attached();
    world.store(EXIT_KIND, 1024);
    world.store(EXIT_KIND, 1025);
    assert_eq!(tags(&world.dumps()), ["exit"]);
}

#[test]
fn the_schedulers_reason_is_added_once_it_is_written_down() {
    let mut world = World::attached();
    world.store(EXIT_KIND, 1024);
    world.enter("scx_disable_workfn", 0, [0; 4]);
    let observed = world.observed();
    let headline = &observed.dumps[0].headline;
    assert_eq!(headline[0], "by_hand ends with SCX_EXIT_ERROR: disabled");
    let ends = headline.iter().filter(|line| line.contains(" ends with "));
    assert_eq!(ends.count(), 1, "{headline:?}");
}

#[test]
fn the_work_that_ends_a_scheduler_is_no_failure_by_itself() {
    let mut world = World::attached();
    world.enter("scx_disable_workfn", 0, [0; 4]);
    assert_eq!(world.dumps(), []);
}

#[test]
fn a_scheduler_that_is_attached_again_is_dumped_again() {
    let mut world = World::attached();
    world.store(EXIT_KIND, 1024);
    world.set(EXIT_KIND, 0);
    world.attach();
    world.store(EXIT_KIND, 1024);
    assert_eq!(tags(&world.dumps()), ["exit", "exit-2"]);
}

#[test]
fn the_probes_of_a_scheduler_go_with_it_and_the_one_on_the_log_stays() {
    let mut world = World::attached();
    world.observer.scheduler_detached(&mut world.machine);
    assert_eq!(world.hooked(), ["vprintk_emit"]);
    assert_eq!(world.machine.watches.len(), 0);
    world.store(EXIT_KIND, 1024);
    assert_eq!(world.dumps(), []);
}

#[test]
fn a_problem_that_the_kernel_reports_is_dumped_once() {
    let mut world = World::new();
    world.prints(0, LOCKUP);
    world.prints(1, LOCKUP);
    world.prints(1, "INFO: task %s:%d blocked for more than %ld seconds.\n");
    let dumps = world.dumps();
    assert_eq!(tags(&dumps), ["kernel", "kernel-2"]);
    assert!(
        dumps[0].1.starts_with("the kernel reports: BUG: soft lockup"),
        "{dumps:?}"
    );
}

#[test]
fn a_message_that_was_dumped_is_not_dumped_for_the_next_scheduler() {
    let mut world = World::attached();
    world.prints(0, LOCKUP);
    world.attach();
    world.prints(0, LOCKUP);
    assert_eq!(tags(&world.dumps()), ["kernel"]);
}

#[test]
fn other_messages_of_the_kernel_are_no_failure() {
    let mut world = World::attached();
    for format in ["sched_ext: BPF scheduler \"%s\" enabled%s\n", "%s", ""] {
        world.prints(0, format);
    }
    world.enter("vprintk_emit", 0, [0, 0, 0, 0x10]);
    assert_eq!(world.dumps(), [], "nor is a format that is not mapped");
}

#[test]
fn a_dump_has_the_log_until_then_and_the_message_that_triggered_it() {
    let mut world = World::new();
    let before = "[    1.0] one\n[    2.0] two\n";
    world.machine.console = before.len();
    world.prints(0, LOCKUP);
    let console = format!("{before}[    3.0] BUG: soft lockup - CPU#1 stuck for 22s!\n[    4.0] later\n");
    let observed = world.observed_with(&console);
    let dump = &observed.dumps[0];
    assert_eq!(
        dump.log,
        [
            "[    1.0] one",
            "[    2.0] two",
            "[    3.0] BUG: soft lockup - CPU#1 stuck for 22s!"
        ]
    );
    assert_eq!(
        dump.trigger.to_string(),
        "the kernel reports: BUG: soft lockup - CPU#1 stuck for 22s!"
    );
}

#[test]
fn a_dump_is_about_the_cpu_that_was_stopped_and_its_task() {
    let mut world = World::new();
    world.prints(1, LOCKUP);
    let dump = &world.observed().dumps[0];
    assert_eq!(
        (dump.cpus.as_slice(), dump.tasks.as_slice()),
        (&[1][..], &[8][..])
    );
}

#[test]
fn a_task_that_waits_for_a_second_is_stuck_and_dumped_once() {
    let mut world = World::attached();
    for ms in [500, 996] {
        world.tick(ms);
    }
    assert_eq!(world.observer.caught(), 0);
    for ms in [1000, 1004, 2000] {
        world.tick(ms);
    }
    let observed = world.observed();
    let [dump] = observed.dumps.as_slice() else {
        panic!("{:?}", observed.dumps);
    };
    assert_eq!(
        (dump.snapshot.tag.as_str(), dump.snapshot.at),
        ("stuck", at(1000))
    );
    assert!(
        dump.trigger
            .to_string()
            .starts_with("a task is stuck: worker1[2] has waited 1s on CPU 0"),
        "{}",
        dump.trigger
    );
    assert_eq!(
        (dump.tasks.as_slice(), dump.cpus.as_slice()),
        (&[2, 6, 10][..], &[0, 1, 2][..])
    );
}

#[test]
fn without_a_scheduler_that_should_be_attached_no_task_is_stuck() {
    let mut world = World::new();
    world.tick(5000);
    assert_eq!(world.observer.caught(), 0);
    world.attach();
    world.observer.scheduler_detached(&mut world.machine);
    world.tick(5004);
    assert_eq!(world.dumps(), []);
}

/// B11: an early dump with no late one says so by its tag.
#[test]
fn half_of_the_watchdog_timeout_is_dumped_early() {
    let mut world = World::attached();
    // 4 s, in ticks of 4 ms.
    world.set("scx_root->watchdog_timeout", 1000);
    world.tick(1996);
    assert_eq!(world.observer.caught(), 1, "the task that is stuck");
    world.tick(2000);
    world.tick(2004);
    let dumps = world.dumps();
    assert_eq!(tags(&dumps), ["stuck", "early-only-late-never-fired"]);
    assert!(
        dumps[1]
            .1
            .starts_with("half of the sched_ext watchdog timeout has passed: worker1[2]"),
        "{dumps:?}"
    );
}

/// B11: with the late one it keeps its tag.
#[test]
fn an_early_dump_that_an_error_follows_keeps_its_tag() {
    let mut world = World::attached();
    world.set("scx_root->watchdog_timeout", 1000);
    world.tick(2000);
    world.store(EXIT_KIND, 1024);
    assert_eq!(tags(&world.dumps()), ["stuck", "early-degraded", "exit"]);
}

/// B11: an early dump whose late one had no room says that.
#[test]
fn an_early_dump_whose_late_one_had_no_room_says_so() {
    let mut world = World::attached();
    world.set("scx_root->watchdog_timeout", 1000);
    world.tick(2000);
    for _ in 0..5 {
        world.observer.found(&world.machine, at(2000), "check", a_check());
    }
    let dumps = world.dumps();
    assert_eq!(tags(&dumps)[1], "early-only-late-suppressed");
}

#[test]
fn a_machine_that_takes_no_probes_is_looked_at_in_its_ticks_all_the_same() {
    let mut world = World::unknown();
    world.machine.refuses = true;
    let mut world = world.known();
    world.attach();
    assert_eq!((world.machine.hooks.len(), world.machine.watches.len()), (0, 0));
    world.tick(1000);
    assert_eq!(tags(&world.dumps()), ["stuck"]);
}

#[test]
fn the_monitor_samples_at_every_tick_of_a_window() {
    let mut world = World::new();
    world.observer.monitor();
    world.open(1000);
    // worker1 waits on CPU 0 while CPU 2 idles.
    let idle = world.number("runqueues[2].idle").1;
    world.set("runqueues[2].curr", idle);
    world.set("runqueues[2].nr_running", 0);
    for ms in (0..200).step_by(4) {
        world.tick(ms);
    }
    world.close(200);
    let observed = world.observed();
    let series = observed.series.unwrap();
    assert_eq!(series.taken + series.failed, 50);
    let found = |dump: &&Dump| dump.snapshot.tag.as_str().starts_with("monitor");
    for dump in observed.dumps.iter().filter(found) {
        assert!(
            !dump.tasks.is_empty() && !dump.cpus.is_empty(),
            "{}",
            dump.trigger
        );
    }
}
