//! A task whose fields may be written: the one that is meant, asleep, and in no queue (contract A22).

use guestmem::GuestVirt;

use crate::task::{Task, by_pid};
use crate::{GuestKernel, ReadError};

/// `TASK_DEAD`
const TASK_DEAD: u64 = 0x80;
/// Between a start time as it was told and the real one, in ns.
const START_GRANULARITY: u64 = 10_000_000;
/// The class that a task must be of.
const CLASS: &str = "ext_sched_class";

/// A task whose fields may not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// L1
    #[error("the task found has pid {found}, {expected} was asked for")]
    Pid {
        /// Its pid.
        found: i64,
        /// What was asked for.
        expected: i64,
    },
    /// L2
    #[error(
        "PID recycled: pid {pid} started {found} ns after boot, and {expected} ns (and less than 10 ms more) was asked for"
    )]
    Recycled {
        /// The pid.
        pid: i64,
        /// When it started.
        found: u64,
        /// When it should have.
        expected: u64,
    },
    /// L3
    #[error("the task {pid} is dead: state {state:#x}")]
    Dead {
        /// The pid.
        pid: i64,
        /// `__state`.
        state: u64,
    },
    /// L4
    #[error(
        "the task {pid} is on a runqueue (on_rq {on_rq}): give it work that blocks, as sleeping or waiting"
    )]
    OnRunqueue {
        /// The pid.
        pid: i64,
        /// `on_rq`.
        on_rq: u64,
    },
    /// L5a
    #[error("the task {pid} is in the DSQ at {dsq:#x}: give it work that blocks, as sleeping or waiting")]
    InDsq {
        /// The pid.
        pid: i64,
        /// `scx.dsq`.
        dsq: u64,
    },
    /// L5b
    #[error(
        "the task {pid} is on the list of the runnable at {next:#x}: give it work that blocks, as sleeping or waiting"
    )]
    Runnable {
        /// The pid.
        pid: i64,
        /// `scx.runnable_node.next`.
        next: u64,
    },
    /// L6
    #[error(
        "the task {pid} is not scheduled by sched_ext (its class is at {found:#x}): give it SchedPolicy::Ext"
    )]
    Class {
        /// The pid.
        pid: i64,
        /// `sched_class`.
        found: u64,
    },
    /// L8
    #[error("the task {pid} has not started: start_boottime is 0")]
    NotStarted {
        /// The pid.
        pid: i64,
    },
}

/// The task that is meant, when its fields may be written. What is wrong first is told.
pub(super) fn find<'k>(
    kernel: &'k GuestKernel<'k>,
    pid: i64,
    start_time_ns: u64,
) -> Result<Task<'k>, super::OpError> {
    kernel.symbol("init_task")?;
    let class = kernel.symbol(CLASS)?;
    let task = by_pid(kernel, pid)?;
    check(&task, pid, start_time_ns, class)?;
    Ok(task)
}

fn check(task: &Task<'_>, pid: i64, expected: u64, class: GuestVirt) -> Result<(), super::OpError> {
    let found = task.pid()?;
    if found != pid {
        return Err(Unfit::Pid { found, expected: pid }.into());
    }
    let found = task.start_time()?;
    if !matches!(found.checked_sub(expected), Some(0..START_GRANULARITY)) {
        return Err(Unfit::Recycled { pid, found, expected }.into());
    }
    let state = task.raw_state()?;
    if state & TASK_DEAD != 0 {
        return Err(Unfit::Dead { pid, state }.into());
    }
    let on_rq = task.on_rq()?;
    if on_rq != 0 {
        return Err(Unfit::OnRunqueue { pid, on_rq }.into());
    }
    let object = task.object();
    let pointer = |path: &str| -> Result<u64, ReadError> { Ok(object.pointer(path)?.0) };
    let dsq = pointer("scx.dsq")?;
    if dsq != 0 {
        return Err(Unfit::InDsq { pid, dsq }.into());
    }
    let own = object.field("scx.runnable_node")?.address().0;
    let next = pointer("scx.runnable_node.next")?;
    if next != 0 && next != own {
        return Err(Unfit::Runnable { pid, next }.into());
    }
    let found = pointer("sched_class")?;
    if found != class.0 {
        return Err(Unfit::Class { pid, found }.into());
    }
    if task.start_boottime()? == 0 {
        return Err(Unfit::NotStarted { pid }.into());
    }
    Ok(())
}
