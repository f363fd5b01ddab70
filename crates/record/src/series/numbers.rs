//! A series in a few numbers.

use std::collections::BTreeMap;

use spec::GuestTime;

use super::{Counts, Sample, Series};

/// A series in a few numbers, of the samples that are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Numbers {
    /// Samples in which the queues of some CPU could not be read, and times at which none could be taken.
    pub incomplete: u64,
    /// Why not, the last time.
    pub why_incomplete: Option<String>,
    /// The greatest imbalance; `None` without a sample.
    pub imbalance: Option<Imbalance>,
    /// The most tasks in each CPU's local DSQ; none in kernels without sched_ext.
    pub local_dsqs: BTreeMap<u32, u64>,
    /// The most tasks in each DSQ that a scheduler has created, by name.
    pub dsqs: BTreeMap<String, u64>,
    /// What the kernel counted in all windows together; counts of 0 are left out.
    pub counted: Counts,
}

/// How unevenly the tasks were spread over the CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imbalance {
    /// When.
    pub at: GuestTime,
    /// The most tasks that a CPU had to run.
    pub most: u64,
    /// The fewest.
    pub least: u64,
}

impl Imbalance {
    /// That of a sample; `None` without CPUs.
    pub fn of(sample: &Sample) -> Option<Imbalance> {
        let running = || sample.cpus.iter().map(|cpu| cpu.running.all);
        Some(Imbalance {
            at: sample.at,
            most: running().max()?,
            least: running().min()?,
        })
    }

    /// `most` to `least`, which counts as one at the least: 1 is even.
    pub fn ratio(&self) -> f64 {
        self.most as f64 / self.least.max(1) as f64
    }

    fn exceeds(&self, other: &Imbalance) -> bool {
        let cross =
            |one: &Imbalance, other: &Imbalance| u128::from(one.most) * u128::from(other.least.max(1));
        cross(self, other) > cross(other, self)
    }
}

impl Series {
    /// The greatest of its numbers, and the sums of the kernel's counts.
    pub fn numbers(&self) -> Numbers {
        let mut numbers = Numbers {
            incomplete: self.failed,
            why_incomplete: self.failure.clone(),
            counted: self.counted(),
            ..Numbers::default()
        };
        for sample in &self.samples {
            numbers.take(sample);
        }
        numbers
    }

    /// What the kernel counted in all windows together. Of a scheduler that came within a window, all that it has counted.
    fn counted(&self) -> Counts {
        let mut counted = Counts::new();
        for window in &self.counts {
            for (of, counts) in &window.after {
                for (name, after) in counts {
                    let before = window.before.get(of).and_then(|counts| counts.get(name));
                    let more = after.wrapping_sub(before.copied().unwrap_or_default());
                    if more != 0 {
                        let sum = counted
                            .entry(of.clone())
                            .or_default()
                            .entry(name.clone())
                            .or_default();
                        *sum = sum.wrapping_add(more);
                    }
                }
            }
        }
        counted
    }
}

impl Numbers {
    fn take(&mut self, sample: &Sample) {
        if let Some(unread) = sample.unread.last() {
            self.incomplete = self.incomplete.saturating_add(1);
            self.why_incomplete = Some(format!("CPU {}: {}", unread.cpu, unread.why));
        }
        let worst = self.imbalance;
        let now = Imbalance::of(sample).filter(|now| worst.is_none_or(|worst| now.exceeds(&worst)));
        self.imbalance = now.or(worst);
        for (name, depth) in &sample.dsqs {
            let most = self.dsqs.entry(name.clone()).or_default();
            *most = (*depth).max(*most);
        }
        for cpu in &sample.cpus {
            if let Some(depth) = cpu.local_dsq {
                let most = self.local_dsqs.entry(cpu.cpu).or_default();
                *most = depth.max(*most);
            }
        }
    }
}
