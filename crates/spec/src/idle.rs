//! How long CPUs idled, as the agent reads it.

use serde::{Deserialize, Serialize};

use crate::{CpuSet, GuestTime, Nanos};

/// How long each CPU idled over a span of guest time: `idle` and `iowait` of `/proc/stat` (`get_idle_time`,
/// `fs/proc/stat.c`), which counts in steps of [`IdleTimes::STEP`].
///
/// CPUs that were offline at the begin or the end of the span are not listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleTimes {
    /// When the times were read first: at the span's begin or a little before.
    pub from: GuestTime,
    /// When they were read again: at its end or a little after.
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
    /// The unit in which the kernel shows these times (`USER_HZ` is 100): a difference of two is off by less than this.
    pub const STEP: Nanos = Nanos::from_millis(10);

    /// The CPUs that are listed.
    pub fn cpus(&self) -> CpuSet {
        self.cpus.iter().map(|one| one.cpu).collect()
    }

    /// The least that each of some CPUs must have idled, together; nothing is known of those that are not listed.
    pub fn at_least(&self, cpus: &CpuSet) -> Nanos {
        let listed = self.cpus.iter().filter(|one| cpus.contains(one.cpu));
        Nanos(listed.map(|one| one.idle.saturating_sub(Self::STEP).0).sum())
    }
}
