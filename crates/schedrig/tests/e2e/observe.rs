//! Watches, hooks, snapshots and dumps of a live guest; none of them changes its execution.

use std::sync::{Arc, Mutex};

use schedrig::{
    Hit, HitAction, HitFilter, HitKind, Instrument, Outcome, Record, Rig, Spin, Verdict, When, millis, secs,
};

use crate::stage::{LONGTERM, STANDARD, fail, judged, pass, spec};

const MACHINE: &str = "1n1l2c1t";

fn spinners(rig: &mut Rig, count: u32) -> Outcome {
    rig.cgroup("a").spawn(Spin.workers(count))?;
    Ok(())
}

/// What a hit saw, for the test.
fn seen() -> (Arc<Mutex<Vec<Hit>>>, HitAction) {
    let hits = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&hits);
    let act = HitAction::call(move |hit, _| into.lock().unwrap().push(hit.clone()));
    (hits, act)
}

/// B: a watch on a variable of the scheduler fires exactly as often as the variable changed, each time with the value
/// before and after, and the program that stored it.
#[test]
fn a_watch_on_a_variable_of_the_scheduler_fires_as_often_as_it_changed() {
    pass(&spec("watch-var", MACHINE, STANDARD, "scx_baton"), |rig| {
        spinners(rig, 4)?;
        rig.run_for(millis(200))?;
        let count = |rig: &mut Rig| -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
            Ok(rig.snapshot("count")?.var("nr_enqueued")?.u64("")?)
        };
        let before = count(rig)?;
        let (hits, act) = seen();
        let watch = rig.watch("nr_enqueued", When::Changed, act)?;
        rig.run_for(millis(500))?;
        let (after, fired) = (count(rig)?, rig.watch_hits(watch)?);
        let hits = hits.lock().unwrap();
        assert!(after > before + 10, "{before} {after}");
        assert_eq!(fired, after - before);
        assert_eq!(hits.len() as u64, fired);
        for (expect, hit) in (before..).zip(hits.iter()) {
            let HitKind::Stored { by, old, new } = &hit.what else {
                panic!("{hit:?}");
            };
            assert_eq!((*old, *new), (expect, expect + 1));
            assert!(by.starts_with("baton_enqueue+"), "{by}");
        }
        rig.remove(Instrument::Watch(watch))?;
        rig.run_for(millis(100))?;
        Ok(())
    });
}

/// A hook at a BPF program tells its arguments by the kernel's types, and can be asked for one task alone.
#[test]
fn a_hook_at_a_bpf_program_tells_its_arguments_and_can_be_of_one_task() {
    pass(&spec("hook-bpf", MACHINE, STANDARD, "scx_baton"), |rig| {
        spinners(rig, 4)?;
        rig.run_for(millis(50))?;
        let pid = rig.snapshot("who")?.task("a/1")?.u64("pid")?;
        let (all, act) = seen();
        let hook = rig.hook("baton_enqueue", HitFilter::Always, act)?;
        let (one, act) = seen();
        rig.hook("baton_enqueue", HitFilter::Argument("p".to_owned(), pid), act)?;
        let counted = rig.hook("enqueue_task_scx", HitFilter::Always, HitAction::Count)?;
        rig.run_for(millis(300))?;
        let (all, one) = (all.lock().unwrap(), one.lock().unwrap());
        assert_eq!(all.len() as u64, rig.hook_hits(hook)?);
        assert!(rig.hook_hits(counted)? > 0);
        let arguments = |hit: &Hit| match &hit.what {
            HitKind::Entered { arguments, .. } => {
                let names: Vec<&str> = arguments.iter().map(|argument| argument.name.as_str()).collect();
                assert_eq!(names, ["p", "enq_flags"]);
                arguments[0].value.to_string()
            }
            HitKind::Stored { .. } => panic!("{hit:?}"),
        };
        let mine = format!("a/1[{pid}]");
        let of_mine = all.iter().filter(|hit| arguments(hit).trim() == mine).count();
        assert!(of_mine > 3 && of_mine < all.len(), "{of_mine} of {}", all.len());
        assert_eq!(one.len(), of_mine);
        let error = rig.hook(
            "baton_enqueue",
            HitFilter::Argument("q".to_owned(), 1),
            HitAction::Count,
        );
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("no argument `q`; its arguments: p, enq_flags"),
            "{error}"
        );
        Ok(())
    });
}

/// The record's hash is the same with and without a monitor, hooks that count, watches that do not fire, and snapshots.
#[test]
fn looking_changes_no_execution() {
    let body = |rig: &mut Rig, look: bool| -> Outcome {
        spinners(rig, 3)?;
        if look {
            rig.snapshot("before")?;
            rig.hook("enqueue_task_scx", HitFilter::Always, HitAction::Count)?;
            rig.watch("scx_root->exit_kind.counter", When::AtLeast(1024), HitAction::Log)?;
            rig.watch("runqueues[1].nr_running", When::AtLeast(1000), HitAction::Log)?;
            rig.hook("baton_dispatch", HitFilter::Always, HitAction::Log)?;
            rig.snapshots(5)?;
        }
        rig.run_for(millis(700))?;
        if look {
            rig.snapshot("after")?;
        }
        Ok(())
    };
    let mut plain = spec("look-not", MACHINE, STANDARD, "scx_baton");
    plain.monitor = false;
    let looking = spec("look", MACHINE, STANDARD, "scx_baton");
    let without = pass(&plain, |rig| body(rig, false));
    let with = pass(&looking, |rig| body(rig, true));
    assert_eq!(without.hash, with.hash);
    let tags: Vec<&str> = with
        .snapshots
        .iter()
        .map(|snapshot| snapshot.tag.as_str())
        .collect();
    assert_eq!(
        tags,
        [
            "before",
            "periodic_000",
            "periodic_001",
            "periodic_002",
            "periodic_003",
            "periodic_004",
            "after"
        ]
    );
    assert!(with.series.is_some_and(|series| series.samples.len() > 3));
    assert!(without.series.is_none());
    assert!(
        with.observations
            .iter()
            .any(|seen| seen.asked == "hook baton_dispatch")
    );
}

/// F1, F2: periodic snapshots are taken at the boundaries of the window, to the tick.
#[test]
fn periodic_snapshots_are_evenly_spaced() {
    let mut spec = spec("periodic", MACHINE, STANDARD, "eevdf");
    spec.snapshots = 3;
    let record = pass(&spec, |rig| {
        spinners(rig, 2)?;
        rig.run_for(secs(1))?;
        Ok(())
    });
    let window = &record.evidence.windows[0];
    let since: Vec<u64> = record
        .snapshots
        .iter()
        .map(|snapshot| snapshot.at.since(window.from).0 / 1_000_000)
        .collect();
    assert_eq!(since.len(), 3);
    for (found, expect) in since.iter().zip([300, 500, 700]) {
        // The clock is read to the tick, and it takes a tick to see that the window has begun.
        assert!((expect - 4..expect + 9).contains(found), "{since:?}");
    }
}

fn dumps(args: &str, span: schedrig::Nanos) -> Record {
    let spec = spec("dump", MACHINE, STANDARD, &format!("scx_baton {args}"));
    fail(&spec, |rig| {
        spinners(rig, 4)?;
        rig.run_for(span)?;
        Ok(())
    })
}

fn headlines(record: &Record) -> Vec<String> {
    let of = |dump: &schedrig::Dump| std::iter::once(dump.trigger.to_string()).chain(dump.headline.clone());
    record.dumps.iter().flat_map(of).collect()
}

/// A task that the scheduler never dispatches is named at the instant at which it is stuck, with its CPU, how long it has
/// waited, and its queue; and again at half of the watchdog's time.
#[test]
fn a_starved_task_is_dumped_with_its_queue_and_its_wait() {
    let record = dumps("--starve-nth 3", secs(3));
    let lines = headlines(&record);
    let stuck = lines
        .iter()
        .find(|line| line.starts_with("a task is stuck: a/"))
        .unwrap();
    assert!(
        stuck.contains(" has waited 1.0")
            || stuck.contains(" has waited 1s") && stuck.ends_with(" in DSQ 0x2"),
        "{stuck}"
    );
    let tags: Vec<&str> = record
        .dumps
        .iter()
        .map(|dump| dump.snapshot.tag.as_str())
        .collect();
    // B11: the kernel's watchdog was not due yet.
    assert_eq!(tags, ["stuck", "early-only-late-never-fired"]);
    // The log is whole lines, of what had been written by then.
    let log = &record.dumps[0].log;
    assert!(
        log.iter()
            .all(|line| record.evidence.console.lines().any(|whole| whole == line))
    );
    assert!(log.last().unwrap().contains("enabled"), "{log:?}");
    let snapshot = &record.dumps[0].snapshot;
    assert!(snapshot.dsq(2).unwrap().u64("nr").unwrap() >= 1);
    assert!(snapshot.var("nr_limbo").unwrap().u64("").unwrap() >= 1);
}

/// A CPU that becomes idle again and again while a task waits that may run there fails the run, with task, CPU and time;
/// and the monitor tells how deep the queues were and what the kernel has counted.
#[test]
fn a_cpu_that_idles_while_a_task_waits_fails_the_run() {
    let spec = spec("idles", MACHINE, STANDARD, "scx_baton --starve-nth 2");
    let record = fail(&spec, |rig| {
        spinners(rig, 2)?;
        rig.without("starvation");
        rig.run_for(secs(2))?;
        Ok(())
    });
    // The totals tell it, and so do the samples: each in its own words.
    let failed: Vec<_> = record
        .findings()
        .map(|finding| (finding.check.as_str(), finding.verdict))
        .collect();
    let both = ["lost-time", "work-conservation"].map(|check| (check, Verdict::Fail));
    assert_eq!(failed, both, "{}", report::detail(&record));
    let reason = &record.findings().nth(1).unwrap().reason;
    assert!(
        reason.starts_with("CPU ") && reason.contains(" was found idle by "),
        "{reason}"
    );
    assert!(
        reason.contains("while a/1 (pid ") && reason.contains("which may run on CPU 0-1"),
        "{reason}"
    );
    assert!(
        record
            .dumps
            .iter()
            .any(|dump| dump.trigger.to_string().contains(" was found idle by "))
    );
    let numbers = record.series.as_ref().unwrap().numbers();
    assert_eq!(numbers.dsqs["0x2"], 1);
    for cpu in ["cpu0", "cpu1"] {
        assert!(numbers.counted[cpu]["nr_switches"] > 10, "{:?}", numbers.counted);
    }
}

/// E13: the end of a scheduler by an error is dumped at its instant, with the kernel's reason and where it was found.
#[test]
fn a_scheduler_that_ends_with_an_error_is_dumped_with_its_words_and_its_backtrace() {
    let record = dumps("--error-after 300", secs(2));
    let lines = headlines(&record);
    assert_eq!(lines[0], "the scheduler ends with an error");
    assert!(
        lines[1].starts_with("baton ends with SCX_EXIT_ERROR_BPF: scx_bpf_error: deliberate error on cpu "),
        "{lines:?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.trim_start().starts_with("fail_on_purpose+")
                || line.trim_start().starts_with("baton_tick+")
                || line.trim_start().starts_with("baton_running+")),
        "{lines:?}"
    );
    assert_eq!(record.dumps.len(), 1);
}

/// A scheduler that is asked to end leaves no dump: its exit kind is below 1024.
#[test]
fn a_scheduler_that_is_asked_to_end_is_not_dumped() {
    let record = pass(&spec("asked", MACHINE, STANDARD, "scx_baton"), |rig| {
        spinners(rig, 2)?;
        rig.run_for(millis(200))?;
        rig.stop_scheduler()?;
        Ok(())
    });
    assert_eq!(headlines(&record), [""; 0]);
}

/// A check that fails without anything that the kernel reports at its instant is dumped at the end of the run, and names
/// the check.
#[test]
fn a_check_that_fails_alone_is_dumped_at_the_end_of_the_run() {
    let record = fail(&spec("end-dump", MACHINE, STANDARD, "scx_baton"), |rig| {
        spinners(rig, 2)?;
        rig.run_for(millis(200))?;
        Err("enough".into())
    });
    let tags: Vec<&str> = record
        .dumps
        .iter()
        .map(|dump| dump.snapshot.tag.as_str())
        .collect();
    assert_eq!(tags, ["end"], "{:?}", headlines(&record));
    assert_eq!(
        record.dumps[0].trigger.to_string(),
        "check `body` failed: the kernel at the end of the run"
    );
    // It is taken before the scheduler is asked to end.
    let snapshot = &record.dumps[0].snapshot;
    assert!(snapshot.var("nr_enqueued").unwrap().u64("").unwrap() > 0);
}

/// What is dumped is a fact, and stays in the record also where no check is about it.
#[test]
fn the_dumps_of_a_run_that_passes_stay_in_its_record() {
    let spec = spec("dumped", MACHINE, STANDARD, "scx_baton --starve-nth 3");
    let record = pass(&spec, |rig| {
        spinners(rig, 4)?;
        rig.without("starvation");
        rig.without("work-conservation");
        rig.run_for(millis(1500))?;
        Ok(())
    });
    assert!(
        headlines(&record)[0].starts_with("a task is stuck: a/"),
        "{:?}",
        headlines(&record)
    );
}

/// A watch can end the run where it fires: what the kernel looks like then is in the record.
#[test]
fn a_watch_can_end_the_run() {
    let record = judged(
        Verdict::Inconclusive,
        &spec("stop", MACHINE, STANDARD, "eevdf"),
        |rig| {
            spinners(rig, 4)?;
            rig.watch("runqueues[0].nr_running", When::AtLeast(2), HitAction::Stop)?;
            rig.run_for(secs(1))?;
            Ok(())
        },
    );
    let dump = record.dumps.last().unwrap();
    assert_eq!(
        dump.trigger.to_string(),
        "stopped as asked: watch runqueues[0].nr_running was hit"
    );
    assert!(dump.snapshot.cpu(0).unwrap().u64("nr_running").unwrap() >= 2);
}

/// The kernels without sched_ext have all of it too, but for the scheduler's part.
#[test]
fn a_kernel_without_sched_ext_is_observed_as_well() {
    pass(&spec("longterm", MACHINE, LONGTERM, "eevdf"), |rig| {
        spinners(rig, 3)?;
        rig.run_for(millis(300))?;
        let now = rig.snapshot("now")?;
        assert_eq!(now.task("a/2")?.str("class")?, "fair");
        assert!(now.cpu(1)?.u64("nr_switches")? > 0);
        let error = now.var("nr_enqueued").unwrap_err().to_string();
        assert!(error.contains("no variable `nr_enqueued`"), "{error}");
        let error = rig
            .watch("nr_enqueued", When::Changed, HitAction::Count)
            .unwrap_err();
        assert!(format!("{error:?}").contains("nr_enqueued"), "{error:?}");
        Ok(())
    });
}
