//! The guest's kernel read from outside, against what the guest itself reads of it.

mod domains;
mod maps;
mod placement;
mod proc_task;
mod rqs;
mod sched_debug;
mod schedstat;
mod scx_dump;
mod tasks;
mod truth;
