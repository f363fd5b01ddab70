//! Reads a sample from a kernel that stands still.
//!
//! ```text
//!  every CPU       nr_running, curr, idle, clock, nr_switches, local DSQ     a dozen words
//!  if one idles    leaf_cfs_rq_list ─► trees of the fair class ┐ of the CPUs that have more to run
//!                  scx.runnable_list ──────────────────────────┘ than they run
//! ```
//! `runnable_list` has all tasks of sched_ext that wait, in whatever queue: their scheduler's own too.

use introspect::sched::{CfsRq, Entity, Rq, Scx};
use introspect::task::Task;
use introspect::{GuestKernel, ReadError};
use record::{CpuSample, Running, Sample, Unread, Waiter};
use spec::{GuestTime, Nanos};

/// DSQs of a scheduler that a sample has.
const MAX_DSQS: usize = 64;

/// What the CPUs have to run, now that it is `at` in the guest.
///
/// # Errors
/// [`ReadError`] when a CPU's own numbers cannot be read. Queues that cannot be read are listed in [`Sample::unread`]:
/// where another CPU is in the middle of a change when the machine stops, they may well be broken.
pub fn read_sample(kernel: &GuestKernel<'_>, at: GuestTime) -> Result<Sample, ReadError> {
    let root = if_any(Scx::of(kernel).root())?.flatten();
    let mut sample = Sample {
        at,
        scheduler: root.map_or(0, |root| root.object().address().0),
        ..Sample::default()
    };
    if sample.scheduler != 0 {
        read_dsqs(kernel, &mut sample)?;
    }
    let mut rqs = Vec::new();
    for cpu in kernel.possible_cpus()?.iter() {
        let rq = Rq::of(kernel, cpu)?;
        if if_any(rq.online())?.unwrap_or(true) {
            sample.cpus.push(cpu_of(cpu, &rq, at)?);
            rqs.push(rq);
        }
    }
    if sample.cpus.iter().any(CpuSample::could_run) {
        read_waiting(&rqs, &mut sample);
    }
    Ok(sample)
}

fn read_dsqs(kernel: &GuestKernel<'_>, sample: &mut Sample) -> Result<(), ReadError> {
    for sched in Scx::of(kernel).scheds()? {
        for dsq in sched.user_dsqs()?.iter().take(MAX_DSQS) {
            sample.dsqs.push((dsq.name()?, dsq.nr()?));
        }
    }
    Ok(())
}

fn read_waiting(rqs: &[Rq<'_>], sample: &mut Sample) {
    for (cpu, rq) in sample.cpus.iter().zip(rqs) {
        // A task that is about to sleep counts no more and still runs: it can hide another, the wait of which begins
        // anew then. That is for a moment, and no false alarm.
        let runs = u64::from(cpu.curr != 0);
        if cpu.running.all <= runs {
            continue;
        }
        let known = sample.waiting.len();
        if let Err(error) = waiting_on(cpu, rq, &mut sample.waiting) {
            sample.waiting.truncate(known);
            let (cpu, why) = (cpu.cpu, error.to_string());
            sample.unread.push(Unread { cpu, why });
        }
    }
}

fn cpu_of(cpu: u32, rq: &Rq<'_>, at: GuestTime) -> Result<CpuSample, ReadError> {
    let curr = rq.curr()?;
    let idle = rq.object().pointer("idle")? == curr.address();
    let scx = if_any(rq.scx())?;
    Ok(CpuSample {
        cpu,
        running: Running {
            all: rq.nr_running()?,
            fair: if_any(rq.cfs_nr_running())?,
            rt: if_any(rq.rt_nr_running())?,
            dl: if_any(rq.dl_nr_running())?,
            ext: scx.map(|scx| scx.nr_running()).transpose()?,
        },
        curr: if idle { 0 } else { Task::new(curr).pid()? },
        idle_since: (idle && !core_scheduling(rq)?).then_some(at),
        preempted: false,
        clock: Nanos(rq.clock()?),
        switches: rq.nr_switches()?,
        local_dsq: scx.map(|scx| scx.local_dsq()?.nr()).transpose()?,
    })
}

/// `rq->core_enabled`: core scheduling can make a CPU idle so that it runs no stranger beside its sibling's task.
fn core_scheduling(rq: &Rq<'_>) -> Result<bool, ReadError> {
    let enabled = if_any(rq.object().u64("core_enabled"))?;
    Ok(enabled.is_some_and(|enabled| enabled != 0))
}

fn waiting_on(on: &CpuSample, rq: &Rq<'_>, waiting: &mut Vec<Waiter>) -> Result<(), ReadError> {
    if on.running.fair != Some(0) {
        // Without groups there is the CPU's own queue alone.
        let queues = match if_any(rq.leaf_cfs_rqs())? {
            Some(queues) => queues,
            None => vec![rq.cfs()?],
        };
        for queue in queues {
            if is_throttled(&queue)? {
                continue;
            }
            for entity in queue.queued()? {
                waiting.extend(fair(on.cpu, &entity)?);
            }
        }
    }
    if on.running.ext.is_some_and(|ext| ext != 0) {
        for task in rq.scx()?.runnable()? {
            let task = Task::new(task);
            // The one that runs is in the list for a moment, when it is put back.
            if task.pid()? != on.curr {
                waiting.extend(waiter(on.cpu, &task)?);
            }
        }
    }
    Ok(())
}

/// A task in the fair class's tree; `None` for a group, and for a task that sleeps but stays queued.
fn fair(cpu: u32, entity: &Entity<'_>) -> Result<Option<Waiter>, ReadError> {
    if if_any(entity.sched_delayed())?.unwrap_or(false) {
        return Ok(None);
    }
    match entity.task()? {
        Some(task) => waiter(cpu, &Task::new(task)),
        None => Ok(None),
    }
}

/// Its tasks have used up their `cpu.max`: they wait for time, not for a CPU.
fn is_throttled(queue: &CfsRq<'_>) -> Result<bool, ReadError> {
    Ok(if_any(queue.throttle_count())?.is_some_and(|count| count > 0))
}

/// `None` for a task that is blocked and stays queued, so that another can run in its name (`CONFIG_SCHED_PROXY_EXEC`).
fn waiter(cpu: u32, task: &Task<'_>) -> Result<Option<Waiter>, ReadError> {
    /// `TASK_RUNNING`.
    const RUNNING: u64 = 0;
    if task.raw_state()? != RUNNING {
        return Ok(None);
    }
    let since = match if_any(task.object().u64("sched_info.last_queued"))? {
        None => if_any(task.object().u64("scx.runnable_at"))?,
        queued => queued,
    };
    Ok(Some(Waiter {
        pid: task.pid()?,
        comm: task.comm()?,
        cpu,
        allowed: task.cpus()?,
        since,
        ran: Nanos(task.sum_exec_runtime()?),
    }))
}

/// `None` for what the kernel does not have by its making.
fn if_any<T>(found: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use guestmem::{GuestPhys, MemError, PhysMem};
    use introspect::Object;
    use introspect::testing::{Corrupted, Noted, Whole};

    use super::*;

    const NOW: GuestTime = GuestTime(Nanos::from_millis(9));

    /// On CPU 0 a task runs and three wait in a group's tree; CPU 1 idles; on CPU 2 one runs and one of sched_ext waits.
    fn arranged(whole: &Whole) -> GuestKernel<'_> {
        let kernel = whole.kernel(whole.memory());
        for (cpu, field, value) in [
            (0, "cfs.h_nr_queued", 3),
            (1, "nr_running", 0),
            (2, "nr_running", 2),
            (2, "scx.nr_running", 1),
        ] {
            set(&kernel, cpu, field, value);
        }
        let idle = kernel.symbol("init_task").unwrap().0;
        set(&kernel, 0, "idle", idle);
        set(&kernel, 2, "idle", idle);
        kernel
    }

    fn set(kernel: &GuestKernel<'_>, cpu: u32, field: &str, value: u64) {
        let rq = Rq::of(kernel, cpu).unwrap().object();
        rq.field(field).unwrap().write(value).unwrap();
    }

    fn task<'k>(kernel: &'k GuestKernel<'k>, pid: i64) -> Object<'k> {
        introspect::task::by_pid(kernel, pid).unwrap().object()
    }

    fn waiting(sample: &Sample) -> Vec<(i64, u32)> {
        sample
            .waiting
            .iter()
            .map(|waiter| (waiter.pid, waiter.cpu))
            .collect()
    }

    #[test]
    fn a_sample_has_all_cpus_and_the_tasks_that_wait() {
        let whole = Whole::new();
        let kernel = arranged(&whole);
        let sample = read_sample(&kernel, NOW).unwrap();
        assert_eq!(sample.at, NOW);
        assert_ne!(sample.scheduler, 0);
        assert_eq!(sample.unread, []);
        let first = CpuSample {
            cpu: 0,
            running: Running {
                all: 4,
                fair: Some(3),
                rt: None,
                dl: None,
                ext: Some(0),
            },
            curr: 4,
            clock: Nanos::from_millis(9),
            local_dsq: Some(1),
            ..CpuSample::default()
        };
        assert_eq!(sample.cpus[0], first);
        let idle: Vec<Option<GuestTime>> = sample.cpus.iter().map(|cpu| cpu.idle_since).collect();
        assert_eq!(idle, [None, Some(NOW), None]);
        assert_eq!(sample.cpus[1].curr, 0);
        assert_eq!(waiting(&sample), [(1, 0), (2, 0), (3, 0), (10, 2)]);
        let last = Waiter {
            pid: 10,
            comm: "worker9".to_owned(),
            cpu: 2,
            allowed: "0-2".parse().unwrap(),
            since: Some(8_000_009),
            ran: Nanos(3_009),
        };
        assert_eq!(sample.waiting[3], last);
    }

    #[test]
    fn tasks_that_wait_for_no_cpu_are_left_out() {
        let whole = Whole::new();
        let kernel = arranged(&whole);
        task(&kernel, 2)
            .field("se.sched_delayed")
            .unwrap()
            .write(1)
            .unwrap();
        set(&kernel, 2, "curr", task(&kernel, 10).address().0);
        assert_eq!(waiting(&read_sample(&kernel, NOW).unwrap()), [(1, 0), (3, 0)]);
        task(&kernel, 3).field("__state").unwrap().write(2).unwrap();
        assert_eq!(waiting(&read_sample(&kernel, NOW).unwrap()), [(1, 0)]);
        for queue in Rq::of(&kernel, 0).unwrap().leaf_cfs_rqs().unwrap() {
            queue.object().field("throttle_count").unwrap().write(1).unwrap();
        }
        assert_eq!(waiting(&read_sample(&kernel, NOW).unwrap()), []);
    }

    #[test]
    fn while_no_cpu_idles_no_waiting_task_is_read() {
        let whole = Whole::new();
        let kernel = arranged(&whole);
        set(&kernel, 1, "idle", kernel.symbol("init_task").unwrap().0);
        let sample = read_sample(&kernel, NOW).unwrap();
        assert_eq!((sample.cpus.len(), waiting(&sample)), (3, Vec::new()));
    }

    #[test]
    fn a_cpu_that_core_scheduling_can_make_idle_does_not_count_as_idle() {
        let whole = Whole::new();
        let kernel = arranged(&whole);
        set(&kernel, 1, "core_enabled", 1);
        let sample = read_sample(&kernel, NOW).unwrap();
        assert_eq!((sample.cpus[1].idle_since, sample.cpus[1].curr), (None, 0));
    }

    #[test]
    fn cpus_that_are_offline_are_left_out() {
        let whole = Whole::new();
        let kernel = arranged(&whole);
        set(&kernel, 0, "online", 0);
        let sample = read_sample(&kernel, NOW).unwrap();
        let cpus: Vec<u32> = sample.cpus.iter().map(|cpu| cpu.cpu).collect();
        assert_eq!((cpus, waiting(&sample)), (vec![1, 2], vec![(10, 2)]));
    }

    #[test]
    fn a_queue_that_is_broken_is_reported_and_costs_no_other() {
        let whole = Whole::new();
        let kernel = arranged(&whole);
        task(&kernel, 3).field("cpus_ptr").unwrap().write(0).unwrap();
        let sample = read_sample(&kernel, NOW).unwrap();
        assert_eq!(waiting(&sample), [(10, 2)]);
        let [Unread { cpu: 0, why }] = sample.unread.as_slice() else {
            panic!("{:?}", sample.unread);
        };
        assert!(why.contains("cpumask") && why.contains("NULL"), "{why}");
        let mut monitor = super::super::Monitor::default();
        monitor.tick(NOW, &kernel);
        assert_eq!(monitor.series().numbers().incomplete, 1);
    }

    /// Memory that has nothing where something is read first.
    struct Nothing;

    impl PhysMem for Nothing {
        fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError> {
            Err(MemError::ReadOnly { at, len: into.len() })
        }

        fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError> {
            Err(MemError::ReadOnly { at, len: from.len() })
        }

        fn regions(&self) -> Vec<guestmem::Region> {
            Vec::new()
        }

        fn data(&self) -> Vec<guestmem::Extent> {
            Vec::new()
        }
    }

    #[test]
    fn without_the_cpus_own_numbers_there_is_no_sample() {
        let whole = Whole::new();
        let kernel = whole.kernel(&Nothing);
        let mut monitor = super::super::Monitor::default();
        monitor.tick(NOW, &kernel);
        assert_eq!((monitor.series().taken, monitor.series().failed), (0, 1));
        assert!(matches!(read_sample(&kernel, NOW), Err(ReadError::Memory { .. })));
    }

    #[test]
    fn whatever_is_damaged_a_sample_ends() {
        const MAX_READS: u64 = 5_000_000;
        let whole = Whole::new();
        arranged(&whole);
        let noted = Noted::new(whole.memory());
        read_sample(&whole.kernel(&noted), NOW).unwrap();
        let (words, reads) = noted.words();
        assert!(
            words.len() > 80 && reads < 2_000,
            "{} words in {reads} reads",
            words.len()
        );
        let mut other = 0;
        for (number, _) in words.iter().enumerate() {
            for kind in 0..10 {
                let [low, high] = (number as u16).to_le_bytes();
                let recipe = [kind, low, high, low.wrapping_add(7), high, kind.wrapping_mul(29)];
                let damaged = Corrupted::new(whole.memory(), &words, &recipe, MAX_READS);
                let sample = read_sample(&whole.kernel(&damaged), NOW);
                other += u32::from(sample.is_err() || sample.is_ok_and(|sample| !sample.unread.is_empty()));
            }
        }
        assert!(other >= 100, "{other} told what is wrong");
    }
}
