//! A deterministic test rig for Linux process schedulers, EEVDF and sched_ext.
//!
//! A test declares a machine and a scheduler; the rig boots the real, unmodified kernel in a VM of that shape,
//! runs workers in it, and judges what they got. The test's body is plain host code: between two of its calls
//! the guest stands still, its clock included.
//!
//! ```no_run
//! use schedrig::prelude::*;
//!
//! #[schedrig::test(topology = "1n2l2c1t", scheduler = "scx_baton")]
//! fn two_groups_share_the_machine(rig: &mut Rig) -> Outcome {
//!     let a = rig.cgroup("a").cpus(Llc(0)).spawn(Spin.workers(4))?;
//!     let b = rig.cgroup("b").cpus(Llc(1)).spawn(Spin.workers(4))?;
//!     rig.run_for(secs(2))?;
//!     rig.check(share(&[&a, &b]).within(percent(10)))?;
//!     rig.finish()
//! }
//! # fn main() {}
//! ```
//!
//! Without a single check a run still fails on a scheduler that exits, a stall, a starved or lost worker, a
//! kernel warning and a violated cpuset ([`check::defaults`]).
//!
//! *Architecture invariant:* this crate chooses the backend (in `backend.rs`, and nowhere else) and wires the parts
//! together; what they do is theirs.
//!
//! ```text
//! RunSpec ─► Setup: backend, kernel (kstore), scheduler, machines (saves; booted, attached, warm)
//!              └─ run(seed) ─► fork ─► Session ─► body(&mut Rig) ─► Evidence ─► judge ─► Record on disk
//! ```
#![forbid(unsafe_code)]

mod backend;
mod checks;
mod error;
mod kernel;
mod live;
mod machines;
mod progress;
mod replay;
mod repro;
mod rig;
mod run;
mod scenario;
mod scheduler;
mod setup;
mod testing;
mod work;

pub use backend::backends;
pub use checks::{fair, percent, share};
pub use error::{BodyError, Outcome, RigError};
pub use introspect::{Query, QueryError};
pub use kernel::{DEFAULT_KERNEL, PreparedKernel};
pub use kstore::KernelRequest;
pub use live::{LiveError, ask_running};
pub use machine::{Backend, HookId, Instrument, WatchId, When};
pub use machines::SelfTest;
pub use progress::Progress;
pub use record::{
    Attach, AttachError, CheckResult, Dump, Evidence, Expectation, Judgement, NoSuchValue, Percent, Record,
    Series, Snapshot, Source, Value, Verdict, View, Window,
};
pub use replay::{CannotReplay, Replay, ReplayOptions, Replayed};
pub use rig::{Forks, Group, GroupBuilder, KernelOps, Rig};
pub use run::{Exactly, Keep, ReplayCommand, RunSpec, TimedLook, default_records_dir};
pub use schedrig_macros::test;
pub use session::{Doing, Hit, HitAction, HitFilter, HitKind, Limits, Look, LookFn, Status, chain};
pub use setup::{Finished, Setup, handle, run};
pub use spec::kernel_op::{KernelOp, OpValue, Target};
pub use spec::{
    CpuSet, Cpus, CpusError, GroupName, GuestTime, Jitter, JitterError, KernelPath, Llc, Nanos, Node, Op,
    OpError, OpOutcome, SchedulerSpec, SchedulerSpecError, Topology, Weight, Work, WorkError, WorkerReport,
    Workers, op,
};
pub use work::{Burst, JitteredBurst, PingPong, Program, Spin};

/// What a test file needs.
pub mod prelude {
    pub use crate::{
        Burst, Group, HitAction, HitFilter, Llc, Nanos, Node, Outcome, PingPong, Program, Rig, Spin, Target,
        When, Work, Workers, fair, millis, percent, secs, share,
    };
}

#[doc(hidden)]
pub use testing::{Declared, run_declared};

/// That many seconds of guest time.
pub const fn secs(seconds: u64) -> Nanos {
    Nanos::from_secs(seconds)
}

/// That many milliseconds of guest time.
pub const fn millis(millis: u64) -> Nanos {
    Nanos::from_millis(millis)
}
