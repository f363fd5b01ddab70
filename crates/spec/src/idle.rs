//! How long CPUs idled, as the agent reads it.

use serde::{Deserialize, Serialize};

use crate::{CpuSet, GuestTime, Nanos};

/// How long each CPU idled over a span of guest time, at the least: the span without the time in which it ran tasks
/// (`rq_cpu_time` in `/proc/schedstat`).
///
/// CPUs that were offline at the begin or the end of the span are not listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleTimes {
    /// A little before the begin of what is measured.
    pub from: GuestTime,
    /// A little after its end.
    pub to: GuestTime,
    /// How long each CPU idled, in ascending order.
    pub cpus: Vec<CpuIdle>,
}

/// How long a CPU idled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuIdle {
    /// Which.
    pub cpu: u32,
    /// How long.
    pub idle: Nanos,
}

impl IdleTimes {
    /// The CPUs that are listed.
    pub fn cpus(&self) -> CpuSet {
        self.cpus.iter().map(|one| one.cpu).collect()
    }

    /// The least that each of some CPUs must have idled, together; nothing is known of those that are not listed.
    pub fn at_least(&self, cpus: &CpuSet) -> Nanos {
        let listed = self.cpus.iter().filter(|one| cpus.contains(one.cpu));
        Nanos(listed.map(|one| one.idle.0).sum())
    }
}
