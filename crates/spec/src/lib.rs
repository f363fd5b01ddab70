//! Plain data that the host and the guest's agent share: topology, cpu sets, cgroups, workers, times.
//!
//! *Architecture invariant:* no I/O, no knowledge of virtual machines or of how a worker works. A value here
//! is valid by construction or says what is wrong with it when it is parsed.
#![forbid(unsafe_code)]

mod cgroup;
mod cpuset;
mod report;
mod time;
mod topology;
pub mod work;

pub use cgroup::{CgroupSpec, GroupName, GroupNameError, Weight, WeightError};
pub use cpuset::{CpuSet, CpuSetError, MAX_CPUS};
pub use report::{ExitStatus, Gap, WorkerId, WorkerReport};
pub use time::{GuestTime, Nanos, NanosError};
pub use topology::{Llc, Node, Topology, TopologyError};
pub use work::{Jitter, JitterError, Work, WorkError, WorkersError};
