//! Plain data that the host and the guest's agent share: topology, cpu sets, cgroups, workers, times, and the ops that
//! are done to a guest ([`op`]).
//!
//! *Architecture invariant:* no I/O, no knowledge of virtual machines or of how a worker works. A value here
//! is valid by construction or says what is wrong with it when it is parsed.
#![forbid(unsafe_code)]

mod cgroup;
mod cpus;
mod cpuset;
pub mod kernel_op;
pub mod op;
mod report;
pub mod text;
mod time;
mod topology;
pub mod work;
mod workers;

pub use cgroup::{CgroupSpec, GroupName, GroupNameError, Weight, WeightError};
pub use cpus::{Cpus, CpusError};
pub use cpuset::{CpuSet, CpuSetError, MAX_CPUS};
pub use op::{Op, OpError, OpOutcome};
pub use report::{ExitStatus, Gap, WorkerId, WorkerReport};
pub use time::{GuestTime, Nanos, NanosError};
pub use topology::{Llc, Node, Topology, TopologyError};
pub use work::{Jitter, JitterError, Work, WorkError, WorkersError};
pub use workers::Workers;
