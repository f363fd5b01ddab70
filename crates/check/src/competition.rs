//! How long a worker may have to wait by arithmetic, because so many others want the same CPUs.

use std::collections::BTreeMap;

use record::{Evidence, Window};
use spec::{CpuSet, GroupName, Nanos, WorkerId, WorkerReport};

use crate::machine;
use crate::share::nice_weight;

/// The longest slice that schedulers give by default: `SCX_SLICE_DFL` of `kernel/sched/ext.c`. EEVDF's is shorter.
const SLICE: Nanos = Nanos::from_millis(20);

/// What each worker of a window weighs, and where it may run.
pub(crate) struct Competition<'r> {
    competitors: BTreeMap<&'r WorkerId, Competitor>,
}

struct Competitor {
    weight: f64,
    /// `None`: on all CPUs.
    cpus: Option<CpuSet>,
    online: usize,
}

impl<'r> Competition<'r> {
    /// Among the workers of a window.
    pub(crate) fn of(evidence: &'r Evidence, window: &'r Window) -> Competition<'r> {
        let nice = machine::nice_values(evidence);
        let weight = |worker: &WorkerReport| nice_weight(nice.get(&worker.id).copied().unwrap_or(0));
        let mut groups: BTreeMap<&GroupName, f64> = BTreeMap::new();
        for worker in &window.workers {
            *groups.entry(&worker.id.group).or_default() += weight(worker);
        }
        let online = machine::cpus(evidence).map_or(1, |cpus| cpus.len());
        let competitor = |worker: &'r WorkerReport| {
            let group = evidence.groups.iter().find(|group| group.name == worker.id.group);
            let of_group = groups.get(&worker.id.group).copied().unwrap_or(1.0);
            let group_weight = group.map_or(100.0, |group| f64::from(group.weight.get()));
            let competitor = Competitor {
                weight: group_weight * weight(worker) / of_group,
                cpus: group.and_then(|group| group.cpus.clone()),
                online,
            };
            (&worker.id, competitor)
        };
        Competition {
            competitors: window.workers.iter().map(competitor).collect(),
        }
    }

    /// The longest time that a worker waits if the others that may use its CPUs run before it in turn, each a slice for each
    /// time that it weighs as much as this one.
    pub(crate) fn longest_wait(&self, worker: &WorkerId) -> Nanos {
        let Some(this) = self.competitors.get(worker) else {
            return Nanos::ZERO;
        };
        let others = self.competitors.iter();
        let others = others.filter(|(id, other)| **id != worker && this.meets(other));
        let turns: f64 = others
            .map(|(_, other)| (other.weight / this.weight).max(1.0))
            .sum();
        Nanos((turns / this.cpus() as f64 * SLICE.0 as f64) as u64)
    }
}

impl Competitor {
    fn cpus(&self) -> usize {
        self.cpus.as_ref().map_or(self.online, CpuSet::len).max(1)
    }

    fn meets(&self, other: &Competitor) -> bool {
        match (&self.cpus, &other.cpus) {
            (Some(one), Some(other)) => !one.intersection(other).is_empty(),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use record::{Event, EventKind};
    use spec::GuestTime;

    use super::*;
    use crate::fixtures::{run, worker};

    fn wait(evidence: &Evidence, index: usize) -> Nanos {
        let window = &evidence.windows[0];
        Competition::of(evidence, window).longest_wait(&window.workers[index].id)
    }

    #[test]
    fn everybody_has_a_turn_before_the_next() {
        let mut evidence = run((0..1_000).map(|index| worker("a", index)).collect());
        evidence.groups[0].cpus = Some("3".parse().unwrap());
        assert_eq!(wait(&evidence, 0), Nanos(999 * SLICE.0));
        evidence.groups[0].cpus = Some("0-2".parse().unwrap());
        assert_eq!(wait(&evidence, 7), Nanos(333 * SLICE.0));
    }

    #[test]
    fn only_who_may_use_the_same_cpus_competes() {
        let mut evidence = run(vec![worker("a", 0), worker("b", 0), worker("c", 0)]);
        for (group, cpus) in evidence.groups.iter_mut().zip(["0", "0-1", "1"]) {
            group.cpus = Some(cpus.parse().unwrap());
        }
        assert_eq!(wait(&evidence, 0), SLICE);
        assert_eq!(wait(&evidence, 1), SLICE);
    }

    #[test]
    fn who_weighs_less_waits_longer() {
        let mut evidence = run(vec![worker("a", 0), worker("a", 1)]);
        let spawned = |event: &mut Event| match &mut event.what {
            EventKind::Spawned { nice, .. } => *nice = 19,
            _ => panic!("only spawns"),
        };
        spawned(&mut evidence.events[1]);
        evidence.events.push(Event {
            at: GuestTime::default(),
            what: EventKind::Booted {
                release: "7.2".into(),
                cpus: 1,
            },
        });
        assert_eq!(wait(&evidence, 0), SLICE);
        assert_eq!(wait(&evidence, 1).0 / SLICE.0, 1024 / 15);
    }
}
