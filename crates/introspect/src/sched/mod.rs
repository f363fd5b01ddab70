//! What each CPU has to run, and how the kernel chooses among it.
//!
//! ```text
//!  Rq (struct rq, one a CPU) ─┬─ curr, idle, stop, donor
//!                             ├─ CfsRq (cfs) ── tree of Entity: tasks, and groups with a CfsRq of their own
//!                             │    └ leaf_cfs_rq_list: the CfsRqs of all groups that are in use on the CPU
//!                             ├─ ScxRq (scx) ── Dsq: the local one
//!                             └─ Domain (sd) ─ parent ─► Domain …, each with a ring of Group
//!
//!  ScxSched (scx_root and below) ─┬─ ops, exit kind, exit info, events
//!                                 └─ Dsq: global (one a node), bypass (one a CPU), the user's (by id)
//! ```
//!
//! All views are thin: an accessor reads one field, under the kernel's name for it, when it is called.

mod cfs;
mod domains;
pub(crate) mod dsq;
mod eevdf;
pub(crate) mod group_path;
pub(crate) mod jiffies;
pub(crate) mod names;
mod overview;
pub(crate) mod rq;
mod scx;
mod scx_rq;

pub use cfs::{CfsRq, Entity};
pub use domains::{Domain, Group};
pub use dsq::Dsq;
pub use jiffies::{jiffies, ns_per_jiffy};
pub use overview::{dispatch_queues, everything, runqueue, runqueues};
pub use rq::Rq;
pub use scx::{ExitInfo, Scx, ScxSched};
pub use scx_rq::ScxRq;
