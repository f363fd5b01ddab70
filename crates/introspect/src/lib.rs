//! A guest kernel from the outside.
//!
//! ```text
//!  kernel file ──► DebugInfo: symbols, types          guest RAM (PhysMem), running, frozen or saved
//!                      └──────────────┬─────────────────────┘
//!                      Placement: where the kernel lies, found in several ways that must agree
//!                                     ▼
//!                  GuestKernel: reads and writes at kernel addresses
//!                                     ▼
//!        Object: a place with a type      collections: lists, trees, hash tables, bounded
//!                                     ▼
//!        sched, task, cgroup, …: the kernel's own objects, each by the names that the kernel gives them
//!                                     ▼
//!                               record::Value: trees of text and JSON
//! ```
//!
//! Architecture invariant: this crate reads memory and kernel files that it is given. It knows no virtual machine, and
//! it hard-codes no layout: what a kernel lacks is told as absent, never guessed. All that is in the guest's memory is
//! the guest's claim: every walk is bounded, finds circles, and a value that cannot be read says why.
#![forbid(unsafe_code)]

pub mod bpf;
pub mod btf;
mod callback;
pub mod cgroup;
pub mod collections;
mod debuginfo;
mod error;
mod function;
pub mod irq;
pub mod kernel;
mod memo;
mod object;
pub mod ops;
pub mod path;
mod percpu;
mod query;
mod render;
pub mod sched;
pub mod task;
#[cfg(any(test, feature = "testing"))]
#[allow(clippy::unwrap_used, reason = "the helpers of tests are tests")]
#[cfg_attr(not(test), allow(dead_code, reason = "fuzz targets use a part"))]
pub mod testing;
pub mod workqueue;

pub use callback::{Callback, callbacks, operations};
pub use debuginfo::{DebugInfo, DebugInfoError};
pub use error::ReadError;
pub use function::{Argument, Function, code_at};
pub use kernel::{GuestKernel, Hints, Placement, PlacementError};
pub use object::Object;
pub use percpu::{NAMED as NAMED_PER_CPU, PerCpuError};
pub use query::{Query, QueryError};
pub use render::{Limits, render};
pub use sched::names::brief_line;
