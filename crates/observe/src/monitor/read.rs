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
use spec::{GuestTime, Nanos};

use super::{CpuSample, Running, Sample, Unread, Waiter};

impl Sample {
    /// What the CPUs have to run, now that it is `at` in the guest.
    ///
    /// # Errors
    /// [`ReadError`] when a CPU's own numbers cannot be read. Queues that cannot are told in [`Sample::unread`]: where
    /// another CPU is in the middle of a change when the machine stops, they may well be broken.
    pub fn read(kernel: &GuestKernel<'_>, at: GuestTime) -> Result<Sample, ReadError> {
        let root = if_any(Scx::of(kernel).root())?.flatten();
        let mut sample = Sample {
            at,
            scheduler: root.map_or(0, |root| root.object().address().0),
            ..Sample::default()
        };
        let mut rqs = Vec::new();
        for cpu in kernel.possible_cpus()?.iter() {
            let rq = Rq::of(kernel, cpu)?;
            if if_any(rq.online())?.unwrap_or(true) {
                sample.cpus.push(cpu_of(cpu, &rq)?);
                rqs.push(rq);
            }
        }
        if sample.cpus.iter().any(CpuSample::could_run) {
            sample.read_waiting(&rqs);
        }
        Ok(sample)
    }

    fn read_waiting(&mut self, rqs: &[Rq<'_>]) {
        for (cpu, rq) in self.cpus.iter().zip(rqs) {
            // Without tasks that sleep but stay queued it would be exact; with them it is never too few.
            let runs = u64::from(cpu.curr != 0);
            if cpu.running.all <= runs {
                continue;
            }
            let known = self.waiting.len();
            if let Err(error) = waiting_on(cpu, rq, &mut self.waiting) {
                self.waiting.truncate(known);
                let (cpu, why) = (cpu.cpu, error.to_string());
                self.unread.push(Unread { cpu, why });
            }
        }
    }
}

fn cpu_of(cpu: u32, rq: &Rq<'_>) -> Result<CpuSample, ReadError> {
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
        idle: idle && !core_scheduling(rq)?,
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
                waiting.push(waiter(on.cpu, &task)?);
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
    let task = entity.task()?.map(Task::new);
    task.map(|task| waiter(cpu, &task)).transpose()
}

/// Its tasks have used up their `cpu.max`: they wait for time, not for a CPU.
fn is_throttled(queue: &CfsRq<'_>) -> Result<bool, ReadError> {
    Ok(if_any(queue.throttle_count())?.is_some_and(|count| count > 0))
}

fn waiter(cpu: u32, task: &Task<'_>) -> Result<Waiter, ReadError> {
    let since = match if_any(task.object().u64("sched_info.last_queued"))? {
        None => if_any(task.object().u64("scx.runnable_at"))?,
        queued => queued,
    };
    Ok(Waiter {
        pid: task.pid()?,
        comm: task.comm()?,
        cpu,
        allowed: task.cpus()?,
        since,
        ran: Nanos(task.sum_exec_runtime()?),
    })
}

/// `None` for what the kernel does not have by its making.
fn if_any<T>(found: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_absent() => Ok(None),
        Err(error) => Err(error),
    }
}
