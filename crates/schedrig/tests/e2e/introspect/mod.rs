//! The guest's kernel read from outside, against what the guest itself reads of it.

mod aarch64;
mod booted;
mod domains;
mod kaslr;
mod lies;
mod maps;
mod placement;
mod plain;
mod proc_task;
mod rqs;
mod sched_debug;
mod schedstat;
mod scx_dump;
mod tasks;
mod truth;
