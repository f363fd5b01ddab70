//! What the kernel itself finds wrong, under EEVDF: each is brought about by a kernel op, and dumped at its instant.

use introspect::task;
use schedrig::{Burst, Dump, Outcome, Record, Rig, Spin, Target, millis, secs};

use crate::stage::{STANDARD, fail, spec};

fn run(name: &str, body: impl FnOnce(&mut Rig) -> Outcome) -> Record {
    fail(&spec(name, "1n1l2c1t", STANDARD, "eevdf"), body)
}

/// The dump that the kernel's words have set off.
fn said<'r>(record: &'r Record, words: &str) -> &'r Dump {
    let mut dumps = record.dumps.iter();
    let found = dumps.find(|dump| {
        dump.trigger.to_string().starts_with("the kernel reports: ")
            && dump.trigger.to_string().contains(words)
    });
    let found = found.unwrap_or_else(|| panic!("{}", report::detail(record)));
    assert!(found.snapshot.cpu(1).unwrap().u64("nr_switches").unwrap() > 0);
    assert!(!found.log.is_empty());
    found
}

/// A task that reads through a pointer which a kernel op has damaged.
#[test]
fn an_oops_is_dumped_at_its_instant() {
    let record = run("oops", |rig| {
        let cat = rig.put_program("/bin/cat")?;
        rig.cgroup("a").spawn(Spin.workers(2))?;
        rig.run_for(millis(50))?;
        rig.kernel_ops()
            .write(&[Target::symbol("saved_command_line").u64(0x10)])?;
        let (status, _, _) = rig.exec(&[&cat, "/proc/cmdline"], secs(5))?;
        assert!(!status.success());
        Ok(())
    });
    let dump = said(&record, "NULL pointer dereference");
    // It is about the task that has done it.
    let pid = dump.tasks[0];
    assert_eq!(dump.snapshot.task(pid).unwrap().str("comm").unwrap(), "cat");
}

/// A task that sleeps is made to look as one that cannot be woken.
#[test]
fn a_hung_task_is_dumped_when_the_kernel_finds_it() {
    const TASK_UNINTERRUPTIBLE: u32 = 2;
    let record = run("hung", |rig| {
        rig.put_file("/proc/sys/kernel/hung_task_timeout_secs", 0o644, b"1")?;
        let burst = Burst {
            sleep: secs(20),
            burst: millis(1),
        };
        rig.cgroup("a").spawn(burst.workers(1))?;
        rig.run_for(millis(100))?;
        let state = {
            let kernel = rig.kernel()?;
            let tasks = task::all(&kernel)?.tasks;
            let sleeper = tasks
                .iter()
                .find(|task| task.comm().is_ok_and(|comm| comm == "a/0"));
            sleeper.ok_or("no a/0")?.object().field("__state")?.address()
        };
        rig.kernel_ops()
            .write(&[Target::kva(state.0).u32(TASK_UNINTERRUPTIBLE)])?;
        rig.run_for(secs(4))?;
        Ok(())
    });
    let dump = said(&record, "blocked for more than");
    assert!(dump.trigger.to_string().contains("a/0"), "{}", dump.trigger);
}

/// The kernel is made to think that no time at all is enough for a CPU.
#[test]
fn a_soft_lockup_is_dumped_when_the_kernel_finds_it() {
    const NO_TIME: u32 = -1_i32 as u32;
    let record = run("lockup", |rig| {
        // It looks after two fifths of twice this time.
        rig.put_file("/proc/sys/kernel/watchdog_thresh", 0o644, b"3")?;
        rig.cgroup("a").spawn(Spin.workers(2))?;
        rig.run_for(millis(100))?;
        rig.kernel_ops()
            .write(&[Target::symbol("watchdog_thresh").u32(NO_TIME)])?;
        rig.run_for(secs(4))?;
        Ok(())
    });
    let dump = said(&record, "soft lockup");
    let cpu = dump.cpus[0];
    assert!(
        dump.trigger.to_string().contains(&format!("CPU#{cpu}")),
        "{}",
        dump.trigger
    );
}
