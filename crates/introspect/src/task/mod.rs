//! Processes, threads and the kernel's own tasks.
//!
//! ```text
//!  init_task.tasks ─► leader ─► leader ─► … ─► init_task           every process, the kernel's threads too
//!                       └ signal->thread_head ─► thread_node of each thread of it
//!
//!  Task (struct task_struct) ─┬─ who: pid, tgid, comm, flags, parent, leader, cgroup
//!                             ├─ what now: state, cpu, on_cpu, on_rq
//!                             ├─ how it competes: class, policy, prio, cpus, Entity (se), ScxEntity (scx)
//!                             └─ what it got: cputime, run delay, switches, averages
//! ```
//! The accessors of a [`Task`] read one field each, when they are called.

mod cputime;
mod flags;
mod scx;
mod state;
mod view;
mod walk;

#[cfg(test)]
mod tests;

pub use cputime::CpuTime;
pub(crate) use cputime::{adjust, prev as prev_cputime};
pub use scx::ScxEntity;
pub use state::State;
pub use view::Task;
pub use walk::{MOST_TASKS, Tasks, TasksError, all, by_comm, by_identity, by_pid, list};
