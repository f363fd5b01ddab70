//! All samples in a few numbers.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use spec::GuestTime;

use super::Sample;

/// All samples in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// Samples taken.
    pub samples: u64,
    /// Samples in which the queues of some CPU could not be read: who waited there is not known.
    pub incomplete: u64,
    /// Why not, the last time.
    pub unread: Option<String>,
    /// The greatest imbalance; `None` without a sample.
    pub imbalance: Option<Imbalance>,
    /// The most tasks in each CPU's local DSQ; none in kernels without sched_ext.
    pub local_dsq: BTreeMap<u32, u64>,
    /// The most tasks in each DSQ that a scheduler has made.
    pub dsqs: BTreeMap<String, u64>,
    /// Findings that were not kept, for their number.
    pub unlisted: u64,
}

/// How unevenly the tasks were spread over the CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imbalance {
    /// When.
    pub at: GuestTime,
    /// The most tasks that a CPU had to run.
    pub most: u64,
    /// The fewest.
    pub least: u64,
}

impl Imbalance {
    /// `most` to `least`, of which there is one at the least: 1 is even.
    pub fn ratio(&self) -> f64 {
        self.most as f64 / self.least.max(1) as f64
    }

    fn exceeds(&self, other: &Imbalance) -> bool {
        let cross =
            |one: &Imbalance, other: &Imbalance| u128::from(one.most) * u128::from(other.least.max(1));
        cross(self, other) > cross(other, self)
    }
}

/// The imbalance of a sample; `None` without CPUs.
pub fn imbalance(sample: &Sample) -> Option<Imbalance> {
    let running = || sample.cpus.iter().map(|cpu| cpu.running.all);
    Some(Imbalance {
        at: sample.at,
        most: running().max()?,
        least: running().min()?,
    })
}

impl Summary {
    pub(super) fn take(&mut self, sample: &Sample) {
        self.samples = self.samples.saturating_add(1);
        if let Some(unread) = sample.unread.last() {
            self.incomplete = self.incomplete.saturating_add(1);
            self.unread = Some(format!("CPU {}: {}", unread.cpu, unread.why));
        }
        let worst = self.imbalance;
        let now = imbalance(sample).filter(|now| worst.is_none_or(|worst| now.exceeds(&worst)));
        self.imbalance = now.or(worst);
        for (name, depth) in &sample.dsqs {
            let most = self.dsqs.entry(name.clone()).or_default();
            *most = (*depth).max(*most);
        }
        for cpu in &sample.cpus {
            if let Some(depth) = cpu.local_dsq {
                let most = self.local_dsq.entry(cpu.cpu).or_default();
                *most = depth.max(*most);
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} samples", self.samples)?;
        if let Some(worst) = &self.imbalance {
            let (ratio, most, least, at) = (worst.ratio(), worst.most, worst.least, worst.at);
            write!(
                f,
                ", imbalance at most {ratio:.1} ({most} tasks to {least}, at {at})"
            )?;
        }
        if let Some((cpu, depth)) = self
            .local_dsq
            .iter()
            .max_by_key(|(cpu, depth)| (**depth, u32::MAX - **cpu))
        {
            write!(f, ", local DSQ at most {depth} deep (CPU {cpu})")?;
        }
        if let Some(why) = &self.unread {
            write!(f, ", {} incomplete ({why})", self.incomplete)?;
        }
        match self.unlisted {
            0 => Ok(()),
            unlisted => write!(f, ", {unlisted} findings more than are kept"),
        }
    }
}
