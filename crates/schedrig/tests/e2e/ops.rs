//! Kernel ops on live guests.

use introspect::task;
use schedrig::{
    Burst, CannotReplay, Record, Replay, ReplayOptions, Rig, RigError, Spin, Target, millis, secs,
};

use crate::stage::{STANDARD, of_verdict, pass, spec};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A task by its name, as kernel ops name it, with the ns that it has run.
struct Seen {
    pid: i32,
    start_time: u64,
    ran: u64,
    vtime: u64,
}

fn seen(rig: &mut Rig, comm: &str) -> Result<Seen, Failure> {
    let kernel = rig.kernel()?;
    for task in task::all(&kernel)?.tasks {
        if task.comm()? == comm {
            return Ok(Seen {
                pid: task.pid()?.try_into()?,
                start_time: task.start_time()?,
                ran: task.sum_exec_runtime()?,
                vtime: task.scx()?.dsq_vtime()?,
            });
        }
    }
    Err(format!("no task {comm}").into())
}

/// The record is replayed, and the replay is the same execution.
pub(crate) fn is_replayed(record: &Record) {
    let replay = Replay::new(record.clone(), &ReplayOptions::default(), &mut |_| {});
    let replayed = match replay {
        Ok(replay) => replay.run(&mut |_| {}).unwrap(),
        Err(RigError::Replay(CannotReplay::Mismatch { differences })) => panic!("{differences:?}"),
        Err(error) => panic!("{error}"),
    };
    assert!(replayed.difference.is_none(), "{:?}", replayed.difference);
    let again = of_verdict(record.verdict(), replayed.finished.record);
    assert_eq!(again.hash, record.hash);
}

/// A: a task that sleeps is given a place far behind in the order of a published scheduler, which then lets the others run
/// first; its twin, which was left alone, runs on. A task that runs is refused, with what to do. The write is made again
/// when the record is replayed.
#[test]
fn a_sleeping_task_is_given_a_vtime_and_the_scheduler_orders_by_it() {
    let Ok(program) = std::env::var("SCHEDRIG_TEST_BPFLAND") else {
        println!("skipped: SCHEDRIG_TEST_BPFLAND names no scx_bpfland; `cargo xtask test` installs one");
        return;
    };
    let record = pass(&spec("seed-vtime", "1n1l1c1t", STANDARD, &program), |rig| {
        let burst = Burst {
            sleep: millis(4),
            burst: millis(4),
        };
        rig.cgroup("a").spawn(Spin.workers(2))?;
        rig.cgroup("b").spawn(burst.workers(2))?;
        rig.run_for(millis(300))?;
        let spinner = seen(rig, "a/0")?;
        let target = Target::task(spinner.pid, spinner.start_time, "scx.dsq_vtime");
        let error = rig.kernel_ops().write(&[target.u64(1)]).unwrap_err().to_string();
        assert!(
            error.contains("entry[0]") && error.contains("work that blocks"),
            "{error}"
        );
        let mut tries = 0;
        let written = loop {
            let sleeper = seen(rig, "b/0")?;
            let mut furthest = 0;
            for comm in ["a/0", "a/1", "b/0", "b/1"] {
                furthest = furthest.max(seen(rig, comm)?.vtime);
            }
            let later = furthest + 3_000_000_000;
            let target = Target::task(sleeper.pid, sleeper.start_time, "scx.dsq_vtime");
            let mut ops = rig.kernel_ops().tagged("behind");
            if ops.write(&[target.clone().u64(later)]).is_ok() {
                assert_eq!(ops.read_u64(target)?, later);
                break sleeper.ran;
            }
            tries += 1;
            assert!(tries < 200, "b/0 never sleeps");
            rig.run_for(millis(1))?;
        };
        let twin = seen(rig, "b/1")?.ran;
        rig.run_for(millis(150))?;
        assert_eq!(
            seen(rig, "b/0")?.ran,
            written,
            "it waits for the others to catch up"
        );
        assert!(seen(rig, "b/1")?.ran > twin, "its twin runs");
        rig.run_for(secs(2))?;
        assert!(seen(rig, "b/0")?.ran > written, "they have caught up");
        rig.without("starvation");
        Ok(())
    });
    let told = record
        .observations
        .iter()
        .find(|seen| seen.asked == "kernel op behind (write)")
        .unwrap();
    assert!(
        told.seen.to_string().contains("from a frozen machine"),
        "{}",
        told.seen
    );
    is_replayed(&record);
}

/// A: a bit of a word of flags of a CPU's sched_ext runqueue is set and read back, cold and hot; its neighbours stay.
#[test]
fn a_bit_of_a_runqueues_flags_is_flipped_and_read_back() {
    /// None of `enum scx_rq_flags`.
    const BIT: u32 = 1 << 28;
    pass(&spec("flip", "1n1l2c1t", STANDARD, "scx_baton"), |rig| {
        rig.cgroup("a").spawn(Spin.workers(2))?;
        rig.run_for(millis(50))?;
        let flags = || Target::per_cpu("runqueues", 1, "scx.flags");
        let mut ops = rig.kernel_ops();
        let before = ops.read_u32(flags())?;
        assert_eq!(before & (BIT | BIT << 1), 0);
        ops.write(&[flags().or_u32(BIT)])?;
        assert_eq!(ops.read_u32(flags())?, before | BIT);
        let mut ops = ops.hot();
        ops.write(&[flags().or_u32(BIT << 1)])?;
        assert_eq!(ops.read_u32(flags())?, before | BIT | BIT << 1);
        let other = ops.read_u32(Target::per_cpu("runqueues", 0, "scx.flags"))?;
        assert_eq!(other & BIT, 0);
        rig.run_for(millis(50))?;
        let later = rig.kernel_ops().read_u32(flags())?;
        assert_eq!(
            later & (BIT | BIT << 1),
            BIT | BIT << 1,
            "the kernel has not touched it"
        );
        rig.kernel_ops()
            .write(&[flags().u32(later & !(BIT | BIT << 1))])?;
        Ok(())
    });
}

/// A22, A23: a pid that was given to another task is noticed.
#[test]
fn a_task_that_has_another_ones_pid_is_refused() {
    const LAST_PID: &str = "/proc/sys/kernel/ns_last_pid";
    pass(&spec("recycled", "1n1l2c1t", STANDARD, "scx_baton"), |rig| {
        let program = rig.put_program("/bin/true")?;
        let burst = Burst {
            sleep: millis(20),
            burst: millis(1),
        };
        rig.run_for(millis(20))?;
        let started = rig.now().0.0;
        assert!(rig.exec(&[&program], secs(5))?.0.success());
        let pid: i32 = rig.read_file(LAST_PID)?.trim().parse()?;
        rig.run_for(millis(100))?;
        rig.put_file(LAST_PID, 0o644, format!("{}", pid - 1).as_bytes())?;
        rig.cgroup("a").spawn(burst.workers(1))?;
        rig.run_for(millis(50))?;
        let worker = seen(rig, "a/0")?;
        assert_eq!(worker.pid, pid, "the pid was given again");
        let target = Target::task(pid, started, "scx.dsq_vtime");
        let error = rig.kernel_ops().write(&[target.u64(1)]).unwrap_err().to_string();
        assert!(error.contains("PID recycled"), "{error}");
        Ok(())
    });
}
