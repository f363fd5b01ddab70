//! What the workers of each cgroup did, over all windows of a run.

use std::collections::{BTreeMap, BTreeSet};

use record::{EventKind, Evidence};
use spec::{CpuSet, GroupName, Nanos, SchedClass, Weight, WorkerReport};

/// A cgroup and the sums over its workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow<'r> {
    /// The cgroup's name.
    pub name: &'r GroupName,
    /// What its workers do: each work once, in the order of spawning.
    pub works: Vec<&'r str>,
    /// How many workers reported.
    pub workers: u64,
    /// How many tasks they had at the most; 0 where that was not counted.
    pub tasks: u64,
    /// Their nice values.
    pub nices: BTreeSet<i8>,
    /// The classes that scheduled them at the ends of the windows.
    pub classes: BTreeSet<SchedClass>,
    /// The cpuset; `None` = all CPUs.
    pub cpuset: Option<&'r CpuSet>,
    /// `cpu.weight`.
    pub weight: Weight,
    /// Work units done.
    pub work_units: u64,
    /// Time on CPUs.
    pub on_cpu: Nanos,
    /// That, of all groups' time on CPUs.
    pub share: Ratio,
    /// Time runnable but waiting.
    pub run_delay: Nanos,
    /// CPU changes.
    pub migrations: u64,
    /// The longest time that one of its workers wanted to run and did not; `None` where no worker measures it.
    pub longest_gap: Option<Nanos>,
    /// The time on CPUs of the worker that had the least.
    pub least_on_cpu: Nanos,
    /// The time on CPUs of the worker that had the most.
    pub most_on_cpu: Nanos,
    /// The CPUs on which its workers ran.
    pub cpus_used: CpuSet,
}

/// A part of a whole, exact. Of nothing, everything is nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// The part.
    pub part: u64,
    /// The whole.
    pub whole: u64,
}

impl Ratio {
    /// As a fraction of one, for scripts.
    pub fn fraction(self) -> f64 {
        match self.whole {
            0 => 0.0,
            whole => self.part as f64 / whole as f64,
        }
    }
}

impl GroupRow<'_> {
    /// How far apart its workers are: the most time on CPUs less the least, of their mean.
    pub fn worker_spread(&self) -> Ratio {
        let apart = self.most_on_cpu.saturating_sub(self.least_on_cpu);
        Ratio {
            part: apart.0.saturating_mul(self.workers),
            whole: self.on_cpu.0,
        }
    }
}

/// A row for each cgroup.
pub(super) fn rows(evidence: &Evidence) -> Vec<GroupRow<'_>> {
    let reports = || evidence.windows.iter().flat_map(|window| &window.workers);
    let whole = reports().map(|report| report.on_cpu.0).sum();
    evidence
        .groups
        .iter()
        .map(|group| {
            let own: Vec<&WorkerReport> = reports().filter(|report| report.id.group == group.name).collect();
            let sum = |of: fn(&WorkerReport) -> u64| own.iter().map(|report| of(report)).sum::<u64>();
            let (mut each, mut tasks) = (BTreeMap::<u32, Nanos>::new(), BTreeMap::<u32, u32>::new());
            for report in &own {
                each.entry(report.id.index).or_default().0 += report.on_cpu.0;
                let most = tasks.entry(report.id.index).or_default();
                *most = report.tasks.max(*most);
            }
            let on_cpu = Nanos(sum(|report| report.on_cpu.0));
            GroupRow {
                name: &group.name,
                works: works(evidence, &group.name),
                workers: each.len() as u64,
                tasks: tasks.values().copied().map(u64::from).sum(),
                nices: nices(evidence, &group.name),
                classes: own.iter().filter_map(|report| report.class).collect(),
                cpuset: group.cpus.as_ref(),
                weight: group.weight,
                work_units: sum(|report| report.work_units),
                on_cpu,
                share: Ratio {
                    part: on_cpu.0,
                    whole,
                },
                run_delay: Nanos(sum(|report| report.run_delay.0)),
                migrations: sum(|report| report.migrations),
                longest_gap: own
                    .iter()
                    .filter_map(|report| report.longest_gap)
                    .map(|gap| gap.span)
                    .max(),
                least_on_cpu: each.values().min().copied().unwrap_or_default(),
                most_on_cpu: each.values().max().copied().unwrap_or_default(),
                cpus_used: own.iter().flat_map(|report| report.cpus.iter()).collect(),
            }
        })
        .collect()
}

fn works<'r>(evidence: &'r Evidence, group: &GroupName) -> Vec<&'r str> {
    let mut works: Vec<&str> = Vec::new();
    for event in &evidence.events {
        if let EventKind::Spawned { id, work, .. } = &event.what
            && id.group == *group
            && !works.contains(&work.as_str())
        {
            works.push(work);
        }
    }
    works
}

fn nices(evidence: &Evidence, group: &GroupName) -> BTreeSet<i8> {
    let nice = evidence.events.iter().filter_map(|event| match &event.what {
        EventKind::Spawned { id, nice, .. } if id.group == *group => Some(*nice),
        _ => None,
    });
    nice.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_row_sums_its_workers_over_all_windows() {
        let record = samples::record();
        let rows = rows(&record.evidence);
        let [a, b] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!(
            (a.name.as_str(), a.workers, a.works.as_slice()),
            ("a", 2, &["spin"][..])
        );
        assert_eq!(a.on_cpu, Nanos::from_millis(3_200));
        assert_eq!(
            a.share,
            Ratio {
                part: 3_200_000_000,
                whole: 4_000_000_000
            }
        );
        assert_eq!(
            (a.least_on_cpu, a.most_on_cpu),
            (Nanos::from_millis(1_200), Nanos::from_secs(2))
        );
        // 0.8 s apart, and 1.6 s is their mean.
        assert_eq!(
            a.worker_spread(),
            Ratio {
                part: 1_600_000_000,
                whole: 3_200_000_000
            }
        );
        assert_eq!(a.longest_gap, Some(Nanos::from_micros(3_500)));
        assert_eq!((b.workers, b.worker_spread().part), (1, 0));
    }

    #[test]
    fn a_group_whose_workers_never_ran_has_a_row_of_nothing() {
        let mut record = samples::record();
        record.evidence.windows.clear();
        for row in rows(&record.evidence) {
            assert_eq!((row.workers, row.on_cpu, row.longest_gap), (0, Nanos::ZERO, None));
            assert_eq!((row.least_on_cpu, row.most_on_cpu), (Nanos::ZERO, Nanos::ZERO));
            assert_eq!((row.share.fraction(), row.worker_spread().fraction()), (0.0, 0.0));
        }
    }
}
