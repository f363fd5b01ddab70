//! A run that failed is executed again, and tells how it came to that.

use schedrig::{Record, RunSpec, Spin, secs};

use crate::stage::{NEWEST, STANDARD, fail, pass, spec};

fn failing(args: &str) -> RunSpec {
    spec("repro", "1n1l2c1t", STANDARD, &format!("scx_baton {args}"))
}

fn run(spec: &RunSpec) -> Record {
    fail(spec, |rig| {
        rig.cgroup("a").spawn(Spin.workers(4))?;
        rig.run_for(secs(3))?;
        Ok(())
    })
}

fn traced(record: &Record) -> &record::Trace {
    match &record.repro {
        Some(record::Repro::Traced(trace)) => trace,
        other => panic!("{other:?}"),
    }
}

/// The chain of a task that the scheduler never dispatches ends with the callback that took it, with what that changed and
/// where its source is; and the second execution is the first one to the bit.
#[test]
fn the_chain_of_a_starved_task_ends_with_the_enqueue_after_which_it_was_never_dispatched() {
    let record = run(&failing("--starve-nth 3"));
    let trace = traced(&record);
    assert_eq!(trace.hash, record.hash);
    assert!(trace.of.starts_with("a task is stuck: a/"), "{}", trace.of);
    let chain = &trace.histories[0];
    let last = chain.calls.last().unwrap();
    assert_eq!(last.name, "enqueue");
    assert_eq!(last.program.as_deref(), Some("baton_enqueue"));
    let line = last.line.as_deref().unwrap();
    assert!(line.starts_with("baton.bpf.c:"), "{line}");
    let changes = last.changes();
    assert!(
        changes
            .iter()
            .any(|(path, before, after)| path == "nr_limbo" && before != after),
        "{changes:?}"
    );
    assert!(
        changes
            .iter()
            .any(|(path, _, after)| path == "p.scx.ddsp_dsq" && after.to_string().contains("0x2")),
        "{changes:?}"
    );
    let conclusion = chain.conclusion.as_deref().unwrap();
    assert!(
        conclusion.ends_with("it was never dispatched after that"),
        "{conclusion}"
    );
    assert!(report::detail(&record).contains("same execution, traced again"));
}

/// The newest kernel, in which the same structs are others, tells the same.
#[test]
fn a_starved_task_is_explained_on_the_newest_kernel_too() {
    let record = run(&spec("repro", "1n1l2c1t", NEWEST, "scx_baton --starve-nth 3"));
    let stuck = &record.dumps[0];
    assert!(
        stuck.trigger.to_string().contains(" has waited 1")
            && stuck.trigger.to_string().ends_with("in DSQ 0x2"),
        "{}",
        stuck.trigger
    );
    let trace = traced(&record);
    assert_eq!(trace.hash, record.hash);
    let conclusion = trace.histories[0].conclusion.as_deref().unwrap();
    assert!(
        conclusion.contains("(baton_enqueue)") && conclusion.ends_with("never dispatched after that"),
        "{conclusion}"
    );
}

/// When nobody runs any more, the chain of each worker that is stuck ends with the enqueue after which it was never dispatched.
#[test]
fn after_a_stall_the_chain_of_who_is_stuck_ends_with_its_enqueue() {
    let record = run(&failing("--stall-after 500"));
    let trace = traced(&record);
    assert_eq!(trace.hash, record.hash);
    let workers: Vec<_> = trace
        .histories
        .iter()
        .filter(|chain| chain.of.starts_with("a/"))
        .collect();
    assert!((1..=4).contains(&workers.len()), "{}", workers.len());
    for worker in workers {
        assert_eq!(worker.calls.last().unwrap().name, "enqueue", "{}", worker.of);
    }
}

/// The chain of an error ends in the callback that reported it, and has the functions of the kernel's backtrace.
#[test]
fn the_chain_of_an_error_has_the_callback_and_the_kernels_way_to_it() {
    let record = run(&failing("--error-after 300"));
    let trace = traced(&record);
    assert_eq!(trace.hash, record.hash);
    let cpu = trace
        .histories
        .iter()
        .find(|chain| chain.of.starts_with("CPU "))
        .unwrap();
    let names: Vec<&str> = cpu.calls.iter().map(|call| call.name.as_str()).collect();
    assert!(
        names.iter().any(|name| name.starts_with("scx_bpf_error")),
        "{names:?}"
    );
    assert!(names.contains(&"tick") || names.contains(&"running"), "{names:?}");
}

/// It can be turned off, and a run that passes is not executed again.
#[test]
fn a_run_is_executed_again_only_if_it_failed_and_that_is_wanted() {
    let mut spec = failing("--starve-nth 3");
    spec.auto_repro = false;
    assert_eq!(run(&spec).repro, None);
    let passing = pass(&failing(""), |rig| {
        rig.cgroup("a").spawn(Spin.workers(2))?;
        rig.run_for(secs(1))?;
        Ok(())
    });
    assert_eq!((passing.repro, passing.dumps), (None, Vec::new()));
}
