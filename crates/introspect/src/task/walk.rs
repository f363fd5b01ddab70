//! All tasks, by the lists that the kernel keeps of them (contracts A19 to A23).
//!
//! A list of leaders that is broken is an error. A broken list of one process's threads costs the rest of these threads,
//! and is told in [`Tasks::problems`].

use guestmem::GuestVirt;
use hashbrown::HashSet;
use record::Value;

use super::Task;
use crate::object::Container;
use crate::{GuestKernel, Object, ReadError};

/// Leaders and threads that a walk visits at the most, together.
pub const MOST_TASKS: usize = 1 << 16;

/// Leaders that a machine has without much going on.
const USUAL_TASKS: usize = 256;

/// Between a task's start as `/proc` tells it, in hundredths of a second, and its real one.
const START_GRANULARITY: u64 = 10_000_000;

/// What a walk found.
#[derive(Debug)]
pub struct Tasks<'k> {
    /// The tasks: each leader, and behind it its threads.
    pub tasks: Vec<Task<'k>>,
    /// What of their lists could not be walked.
    pub problems: Vec<ReadError>,
}

/// A task was not found, or the list of leaders is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TasksError {
    /// More tasks than any machine has.
    #[error("the list of tasks does not end: {visited} visited, at which the walk ends")]
    TooMany {
        /// Tasks visited.
        visited: usize,
    },
    /// `init_task.tasks` leads to itself.
    #[error("the list of tasks is empty: init_task.tasks at {head} leads to itself; has the kernel booted?")]
    Empty {
        /// The list's head.
        head: GuestVirt,
    },
    /// A `next` is zero.
    #[error("the list of tasks ends in zero at {at}, after {visited} visited")]
    ZeroNext {
        /// The node with it.
        at: GuestVirt,
        /// Tasks visited.
        visited: usize,
    },
    /// A leader cannot be read.
    #[error("the list of tasks leads to {at}, which is not mapped, after {visited} visited: {source}")]
    UnmappedLeader {
        /// The leader's `tasks`.
        at: GuestVirt,
        /// Tasks visited.
        visited: usize,
        /// Why not.
        source: Box<ReadError>,
    },
    /// A leader comes again.
    #[error("the list of tasks runs in a circle: {at} comes again after {visited} visited")]
    Cycle {
        /// The leader's `tasks`.
        at: GuestVirt,
        /// Tasks visited.
        visited: usize,
    },
    /// No such task.
    #[error("no task has pid {pid}: {visited} visited")]
    NotFound {
        /// The pid asked for.
        pid: i64,
        /// Tasks visited.
        visited: usize,
    },
    /// The pid is another task's now.
    #[error("pid {pid} was recycled: its task started {started} ns after boot, {expected} was expected")]
    Recycled {
        /// The pid asked for.
        pid: i64,
        /// When the task that was meant started.
        expected: u64,
        /// When the task with that pid started.
        started: u64,
    },
}

/// All tasks.
///
/// # Errors
/// [`ReadError::Tasks`] when the list of leaders is broken.
pub fn all<'k>(kernel: &'k GuestKernel<'k>) -> Result<Tasks<'k>, ReadError> {
    let mut tasks = Vec::new();
    let mut walk = Walk::default();
    walk.first(kernel, &mut |task| {
        // Read in any case, so that a task that is not mapped is found here.
        task.pid()?;
        tasks.push(task);
        Ok(false)
    })?;
    Ok(Tasks {
        tasks,
        problems: walk.problems,
    })
}

/// The task with this pid: a thread's too.
///
/// # Errors
/// [`TasksError::NotFound`], or what is broken before it is found.
pub fn by_pid<'k>(kernel: &'k GuestKernel<'k>, pid: i64) -> Result<Task<'k>, ReadError> {
    let mut walk = Walk::default();
    let found = walk.first(kernel, &mut |task| Ok(task.pid()? == pid))?;
    let visited = walk.visited;
    found.ok_or_else(|| broken(TasksError::NotFound { pid, visited }))
}

/// The task with this pid that started then (`starttime` of `/proc/PID/stat` in ns: whole hundredths of a second, so it
/// starts within the 10 ms from there).
///
/// # Errors
/// [`TasksError::Recycled`] when the pid is another's by now, and those of [`by_pid`].
pub fn by_identity<'k>(kernel: &'k GuestKernel<'k>, pid: i64, expected: u64) -> Result<Task<'k>, ReadError> {
    let task = by_pid(kernel, pid)?;
    let started = task.start_boottime()?;
    match started.checked_sub(expected) {
        Some(0..START_GRANULARITY) => Ok(task),
        _ => Err(broken(TasksError::Recycled {
            pid,
            expected,
            started,
        })),
    }
}

/// The tasks of this name.
///
/// # Errors
/// Those of [`all`].
pub fn by_comm<'k>(kernel: &'k GuestKernel<'k>, comm: &str) -> Result<Vec<Task<'k>>, ReadError> {
    let mut tasks = all(kernel)?.tasks;
    tasks.retain(|task| task.comm().is_ok_and(|name| name == comm));
    Ok(tasks)
}

/// All tasks, a line each, and what of their lists is broken.
///
/// # Errors
/// Those of [`all`].
pub fn list(kernel: &GuestKernel<'_>) -> Result<Value, ReadError> {
    let found = all(kernel)?;
    let mut rows: Vec<Value> = found.tasks.iter().map(Task::row).collect();
    rows.extend(found.problems.iter().map(|problem| Value::missing(problem)));
    Ok(Value::List(rows))
}

#[derive(Default)]
struct Walk {
    /// Leaders and threads so far.
    visited: usize,
    /// Nodes of the list of threads that is walked.
    threads: HashSet<GuestVirt>,
    problems: Vec<ReadError>,
}

/// Is it the task that is looked for?
type Wanted<'w, 'k> = &'w mut dyn FnMut(Task<'k>) -> Result<bool, ReadError>;

impl Walk {
    /// The first task that is wanted. `init_task` is none, and no leader comes twice.
    fn first<'k>(
        &mut self,
        kernel: &'k GuestKernel<'k>,
        wanted: Wanted<'_, 'k>,
    ) -> Result<Option<Task<'k>>, ReadError> {
        let head = kernel.variable("init_task", "task_struct")?.field("tasks")?;
        let leaders = Container::of(kernel.btf(), "task_struct", "tasks")?;
        let threads = Container::of(kernel.btf(), "task_struct", "thread_node")?;
        let mut seen = HashSet::with_capacity(USUAL_TASKS);
        let mut at = head;
        loop {
            let next = at
                .pointer("next")
                .map_err(|source| self.unmapped_leader(at, source))?;
            let visited = self.visited;
            if next == head.address() {
                return match visited {
                    0 => Err(broken(TasksError::Empty { head: next })),
                    _ => Ok(None),
                };
            }
            if next.0 == 0 {
                let at = at.address();
                return Err(broken(TasksError::ZeroNext { at, visited }));
            }
            if !seen.insert(next) {
                return Err(broken(TasksError::Cycle { at: next, visited }));
            }
            self.visit()?;
            at = head.elsewhere(next);
            let leader = Task::new(leaders.around(&at));
            if wanted(leader).map_err(|source| self.unmapped_leader(at, source))? {
                return Ok(Some(leader));
            }
            if let Some(thread) = self.thread_of(leader, threads, wanted)? {
                return Ok(Some(thread));
            }
        }
    }

    /// The first thread of this leader that is wanted. The only error is that of a walk that is too long.
    fn thread_of<'k>(
        &mut self,
        leader: Task<'k>,
        threads: Container,
        wanted: Wanted<'_, 'k>,
    ) -> Result<Option<Task<'k>>, ReadError> {
        self.threads.clear();
        let (mut head, mut at) = (None, leader.object().field("signal->thread_head"));
        loop {
            let next = at.and_then(|at| {
                let head = *head.get_or_insert(at);
                next_thread(at, head, &mut self.threads)
            });
            let node = match next {
                Ok(Some(node)) => node,
                Ok(None) => return Ok(None),
                Err(problem) => {
                    self.problems.push(problem);
                    return Ok(None);
                }
            };
            at = Ok(node);
            let thread = Task::new(threads.around(&node));
            if thread.object().address() == leader.object().address() {
                continue;
            }
            self.visit()?;
            match wanted(thread) {
                Ok(true) => return Ok(Some(thread)),
                Ok(false) => {}
                Err(problem) => self.problems.push(problem),
            }
        }
    }

    fn visit(&mut self) -> Result<(), ReadError> {
        if self.visited == MOST_TASKS {
            let visited = self.visited;
            return Err(broken(TasksError::TooMany { visited }));
        }
        self.visited += 1;
        Ok(())
    }

    fn unmapped_leader(&self, at: Object<'_>, source: ReadError) -> ReadError {
        match source {
            ReadError::Memory { .. } => broken(TasksError::UnmappedLeader {
                at: at.address(),
                visited: self.visited,
                source: Box::new(source),
            }),
            other => other,
        }
    }
}

/// The node behind `at`; `None` at the list's end.
fn next_thread<'k>(
    at: Object<'k>,
    head: Object<'k>,
    seen: &mut HashSet<GuestVirt>,
) -> Result<Option<Object<'k>>, ReadError> {
    let next = at.pointer("next")?;
    if next == head.address() {
        return Ok(None);
    }
    let what = || format!("the threads in {}", head.describe());
    if next.0 == 0 {
        let what = format!("next in {}", what());
        return Err(ReadError::Null { what });
    }
    if !seen.insert(next) {
        return Err(ReadError::Cycle {
            what: what(),
            at: next,
            visited: seen.len(),
        });
    }
    Ok(Some(at.elsewhere(next)))
}

fn broken(error: TasksError) -> ReadError {
    Box::new(error).into()
}
