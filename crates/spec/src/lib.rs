//! Plain data that the host and the guest's agent share: topology, cpu sets, cgroups, workers, times, the ops that are
//! done to a guest ([`op`]), and the spelling of a place in a guest's kernel ([`KernelPath`]).
//!
//! *Architecture invariant:* no I/O, no knowledge of virtual machines or of how a worker works. A value here
//! is valid by construction or says what is wrong with it when it is parsed.
#![forbid(unsafe_code)]

mod cgroup;
mod cpus;
mod cpuset;
mod idle;
pub mod kernel_op;
mod kernel_path;
pub mod op;
mod report;
mod scheduler;
pub mod text;
mod time;
mod topology;
pub mod work;
mod workers;

pub use cgroup::{CgroupSpec, GroupName, GroupNameError, Weight, WeightError};
pub use cpus::{Cpus, CpusError};
pub use cpuset::{CpuSet, CpuSetError, MAX_CPUS};
pub use idle::{CpuIdle, IdleTimes};
pub use kernel_path::{KernelPath, KernelPathError, MAX_KERNEL_PATH, PathProblem, PathRoot, PathStep};
pub use op::{Op, OpError, OpOutcome};
pub use report::{ExitStatus, Gap, SchedClass, WorkerId, WorkerReport};
pub use scheduler::{SchedulerSpec, SchedulerSpecError};
pub use time::{GuestTime, Nanos, NanosError};
pub use topology::{Llc, Node, Topology, TopologyError};
pub use work::{Jitter, JitterError, Work, WorkError, WorkersError};
pub use workers::Workers;
