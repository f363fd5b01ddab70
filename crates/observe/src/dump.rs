//! The kernel at the instant of a failure: a summary first, then everything.

use introspect::sched::{Dsq, ExitInfo, Rq, Scx};
use introspect::task::Task;
use introspect::{GuestKernel, Object, ReadError};
use record::{Dump, DumpTrigger, Tag};
use spec::{GuestTime, Nanos};

use crate::snapshot;

/// A task that waits for a CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its process id.
    pub pid: i64,
    /// Its name.
    pub comm: String,
    /// The CPU on whose runqueue it is.
    pub cpu: i64,
    /// The dispatch queue that it is in; `None` if it is in none: the scheduler holds it back or has lost it.
    pub queue: Option<String>,
    /// How long it has been runnable without running.
    pub since: Nanos,
}

impl Waiting {
    fn read(task: &Object<'_>, cpu: i64) -> Result<Waiting, ReadError> {
        let view = Task::new(*task);
        let scx = view.scx()?;
        let queue = scx.dsq()?.map(|dsq| name_of(&dsq)).transpose()?;
        Ok(Waiting {
            pid: view.pid()?,
            comm: view.comm()?,
            cpu,
            queue,
            since: Nanos(scx.runnable_for()?.max(0).cast_unsigned()),
        })
    }
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Waiting {
            pid,
            comm,
            cpu,
            queue,
            since,
        } = self;
        write!(f, "{comm}[{pid}] has waited {since} on CPU {cpu}, ")?;
        match queue {
            Some(queue) => write!(f, "in DSQ {queue}"),
            None => write!(f, "in no DSQ: the scheduler has taken it and not dispatched it"),
        }
    }
}

fn name_of(dsq: &Dsq<'_>) -> Result<String, ReadError> {
    dsq.name()
}

/// The task that has waited longest under sched_ext, by the lists that the kernel's own watchdog looks at
/// (`check_rq_for_timeouts`). Runqueues that cannot be read are skipped.
///
/// # Errors
/// [`ReadError`] where the runqueues cannot be read.
pub fn longest_wait(kernel: &GuestKernel<'_>) -> Result<Option<Waiting>, ReadError> {
    let mut longest: Option<Waiting> = None;
    for rq in Rq::all(kernel)? {
        let cpu = rq.cpu()?;
        // The first one of each CPU has waited longest.
        let Ok(Some(task)) = rq.scx().and_then(|scx| scx.longest_runnable()) else {
            continue;
        };
        if let Ok(waiting) = Waiting::read(&task, cpu)
            && longest.as_ref().is_none_or(|other| other.since < waiting.since)
        {
            longest = Some(waiting);
        }
    }
    Ok(longest)
}

/// Everything that explains a failure, of a kernel that stands still. What cannot be read says so in its place.
///
/// The dump is about the tasks that have waited for as long as `stuck_from`, and their CPUs; if there are none, about the task
/// that runs on `cpu`.
pub fn dump(
    kernel: &GuestKernel<'_>,
    tag: Tag,
    at: GuestTime,
    trigger: DumpTrigger,
    stuck_from: Nanos,
    cpu: Option<u32>,
) -> Dump {
    let waiting = all_waiting(kernel, stuck_from);
    let mut headline: Vec<String> = waiting.iter().map(Waiting::to_string).collect();
    let words = last_words(kernel);
    headline.extend(words.headline);
    let mut tasks: Vec<i64> = waiting.iter().map(|waiting| waiting.pid).collect();
    let mut cpus: Vec<u32> = waiting
        .iter()
        .filter_map(|waiting| waiting.cpu.try_into().ok())
        .collect();
    if tasks.is_empty() {
        cpus.extend(cpu);
        tasks.extend(cpu.and_then(|cpu| running(kernel, cpu)));
    }
    cpus.sort_unstable();
    cpus.dedup();
    Dump {
        trigger,
        headline,
        tasks,
        cpus,
        backtrace: words.backtrace,
        log: Vec::new(),
        timeline: Vec::new(),
        snapshot: snapshot(kernel, tag, at),
    }
}

/// The process id of the task that runs on a CPU; `None` if it is idle.
fn running(kernel: &GuestKernel<'_>, cpu: u32) -> Option<i64> {
    let current = Rq::of(kernel, cpu).and_then(|rq| rq.curr()).ok()?;
    Task::new(current).pid().ok().filter(|pid| *pid > 0)
}

/// The tasks that have waited for so long, the longest first.
fn all_waiting(kernel: &GuestKernel<'_>, from: Nanos) -> Vec<Waiting> {
    let mut found = Vec::new();
    for rq in Rq::all(kernel).unwrap_or_default() {
        let Ok(cpu) = rq.cpu() else { continue };
        let tasks = rq.scx().and_then(|scx| scx.runnable()).unwrap_or_default();
        found.extend(tasks.iter().filter_map(|task| Waiting::read(task, cpu).ok()));
    }
    found.retain(|waiting| waiting.since >= from);
    found.sort_by_key(|waiting| std::cmp::Reverse(waiting.since));
    found
}

/// What ending schedulers report of their end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastWords {
    /// Kind, reason, message, and below it where in the kernel it was found.
    pub headline: Vec<String>,
    /// Only the places in the kernel: `function+0x10`, the innermost first.
    pub backtrace: Vec<String>,
}

/// What ending schedulers report of their end.
pub fn last_words(kernel: &GuestKernel<'_>) -> LastWords {
    let mut words = LastWords::default();
    for sched in Scx::of(kernel).scheds().unwrap_or_default() {
        let (Ok(name), Ok(kind)) = (sched.name(), sched.exit_kind()) else {
            continue;
        };
        if kind == "SCX_EXIT_NONE" {
            continue;
        }
        let info = sched.exit_info().ok().flatten();
        let said = |text: Option<Result<String, ReadError>>| {
            text.and_then(Result::ok).filter(|text| !text.is_empty())
        };
        let reason = said(info.as_ref().map(ExitInfo::reason));
        let message = said(info.as_ref().map(ExitInfo::msg));
        let more: Vec<String> = [reason, message].into_iter().flatten().collect();
        words.headline.push(format!(
            "{name} ends with {kind}{}{}",
            if more.is_empty() { "" } else { ": " },
            more.join(": ")
        ));
        let frames = info.and_then(|info| info.backtrace().ok()).unwrap_or_default();
        words
            .headline
            .extend(frames.iter().map(|frame| format!("  {frame}")));
        words.backtrace.extend(frames);
    }
    words
}
