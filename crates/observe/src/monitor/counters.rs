//! What the kernel counts of its scheduling, over a time: `schedstat` of each CPU, and the events of sched_ext.

use std::collections::BTreeMap;

use introspect::GuestKernel;
use introspect::sched::{Rq, Scx};
use record::Value;

/// Counts since boot, by what they are of (`cpu0`, the scheduler's name) and the kernel's name for them. A count that
/// cannot be read is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<(String, String), i64>);

/// Counts of a CPU: `struct rq` has them with `CONFIG_SCHEDSTATS`, the last three always.
const OF_A_CPU: [&str; 8] = [
    "yld_count",
    "sched_count",
    "sched_goidle",
    "ttwu_count",
    "ttwu_local",
    "nr_switches",
    "rq_sched_info.run_delay",
    "rq_sched_info.pcount",
];

impl Counters {
    /// Those of a kernel that stands still.
    pub fn read(kernel: &GuestKernel<'_>) -> Counters {
        let mut counts = BTreeMap::new();
        for rq in Rq::all(kernel).unwrap_or_default() {
            let Ok(cpu) = rq.cpu() else { continue };
            for name in OF_A_CPU {
                if let Ok(count) = rq.object().u64(name) {
                    counts.insert((format!("cpu{cpu}"), name.to_owned()), count.cast_signed());
                }
            }
        }
        for sched in Scx::of(kernel).scheds().unwrap_or_default() {
            let (Ok(of), Ok(events)) = (sched.name(), sched.events()) else {
                continue;
            };
            let events = events.into_iter();
            counts.extend(events.map(|(name, count)| ((of.clone(), name), count)));
        }
        Counters(counts)
    }

    /// Adds what was counted from `before` to `after`; of a scheduler that came in between all that it has counted.
    pub fn add(&mut self, before: &Counters, after: &Counters) {
        for (key, count) in &after.0 {
            let from = before.0.get(key).copied().unwrap_or_default();
            let sum = self.0.entry(key.clone()).or_default();
            *sum = sum.wrapping_add(count.wrapping_sub(from));
        }
    }

    /// Those that are not 0, by what they are of.
    pub fn value(&self) -> Value {
        let mut all: BTreeMap<&str, Vec<(record::Name, Value)>> = BTreeMap::new();
        for ((of, name), count) in self.0.iter().filter(|(_, count)| **count != 0) {
            let counts = all.entry(of).or_default();
            counts.push((name.clone().into(), Value::from(*count)));
        }
        let trees = all.into_iter();
        Value::Tree(
            trees
                .map(|(of, counts)| (of.to_owned().into(), Value::Tree(counts)))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(counts: &[(&str, &str, i64)]) -> Counters {
        let key = |of: &str, name: &str| (of.to_owned(), name.to_owned());
        Counters(
            counts
                .iter()
                .map(|(of, name, count)| (key(of, name), *count))
                .collect(),
        )
    }

    #[test]
    fn counts_of_several_windows_add_up_and_a_scheduler_that_came_counts_from_nothing() {
        let before = counters(&[("cpu0", "ttwu_count", 10), ("cpu0", "yld_count", 5)]);
        let after = counters(&[
            ("cpu0", "ttwu_count", 13),
            ("cpu0", "yld_count", 5),
            ("baton", "SCX_EV_DISPATCH_KEEP_LAST", 2),
        ]);
        let mut sum = Counters::default();
        sum.add(&before, &after);
        sum.add(&after, &counters(&[("cpu0", "ttwu_count", 20)]));
        let value = sum.value();
        assert_eq!(value.get("cpu0.ttwu_count").unwrap().as_u64(), Some(10));
        assert_eq!(
            value.get("baton.SCX_EV_DISPATCH_KEEP_LAST").unwrap().as_u64(),
            Some(2)
        );
        assert!(value.get("cpu0.yld_count").is_err(), "{value}");
    }
}
