//! Fair shares: on-CPU time in proportion to weight, among groups and inside one.
//!
//! A worker cannot use more than one CPU, so a weight that asks for more is worth one CPU, and the others share
//! what that leaves (as `sched_ext` schedulers and EEVDF do on several CPUs; "infeasible weights").

use std::collections::BTreeMap;

use record::{EventKind, Evidence, Percent, Window};
use spec::{GroupName, Nanos, WorkerId, WorkerReport};

use crate::{Outcome, task};

/// `sched_prio_to_weight` of `kernel/sched/core.c`: the weight of nice -20 … 19.
const NICE_WEIGHTS: [u32; 40] = [
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121,
    2501, 1991, 1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29,
    23, 18, 15,
];

/// One competitor: its share is compared with its due.
struct Entity {
    name: String,
    weight: f64,
    /// The most it can use, in on-CPU seconds.
    cap: f64,
    got: f64,
    /// Where it was last seen.
    cpu: Option<u32>,
}

/// Groups get on-CPU time in proportion to their `cpu.weight`.
pub(crate) fn groups(evidence: &Evidence, names: &[GroupName], within: Percent) -> Outcome {
    let Some(span) = ran(evidence) else {
        return Outcome::inconclusive("the workers never ran");
    };
    let mut entities = Vec::new();
    for name in names {
        let Some(group) = evidence.groups.iter().find(|group| group.name == *name) else {
            return Outcome::inconclusive(format!("there is no group `{name}`"));
        };
        let totals = totals(evidence, name);
        entities.push(Entity {
            name: format!("group {name}"),
            weight: f64::from(group.weight.get()),
            cap: span * totals.len() as f64,
            got: totals.values().map(|(got, _)| got.as_secs_f64()).sum(),
            cpu: None,
        });
    }
    compare(evidence, &mut entities, within)
}

/// The workers of a group get on-CPU time in proportion to their nice weights.
pub(crate) fn workers(evidence: &Evidence, group: &GroupName, within: Percent) -> Outcome {
    let Some(span) = ran(evidence) else {
        return Outcome::inconclusive("the workers never ran");
    };
    let nice = nice_values(evidence);
    let mut entities: Vec<Entity> = totals(evidence, group)
        .into_iter()
        .map(|(id, (got, report))| Entity {
            name: task(report),
            weight: f64::from(nice_weight(nice.get(id).copied().unwrap_or(0))),
            cap: span,
            got: got.as_secs_f64(),
            cpu: Some(report.last_cpu),
        })
        .collect();
    compare(evidence, &mut entities, within)
}

fn compare(evidence: &Evidence, entities: &mut [Entity], within: Percent) -> Outcome {
    if entities.len() < 2 {
        return Outcome::inconclusive(format!("{} competitors: a share needs two", entities.len()));
    }
    let total: f64 = entities.iter().map(|entity| entity.got).sum();
    if total == 0.0 {
        return Outcome::inconclusive("no competitor had any on-CPU time");
    }
    let dues = dues(entities, total);
    let mut rows: Vec<(f64, String)> = entities
        .iter()
        .zip(&dues)
        .map(|(entity, due)| {
            let off = (entity.got - due) / due;
            let cpu = entity
                .cpu
                .map_or_else(String::new, |cpu| format!(", last on CPU {cpu}"));
            let Entity { name, got, .. } = entity;
            (
                off,
                format!(
                    "{name} got {got:.3}s of its due {due:.3}s ({:+.1} %){cpu}",
                    off * 100.0
                ),
            )
        })
        .collect();
    rows.sort_by(|one, other| other.0.abs().total_cmp(&one.0.abs()));
    let Some((worst, line)) = rows.first().cloned() else {
        return Outcome::inconclusive("there were no competitors");
    };
    let until = evidence
        .windows
        .last()
        .map_or_else(String::new, |window| format!(" until {}", window.to));
    if worst.abs() <= within.fraction() {
        Outcome::pass(format!(
            "{} competitors within {within}; the farthest: {line}",
            entities.len()
        ))
    } else {
        let details = rows.into_iter().map(|(_, line)| line).collect();
        Outcome::fail(format!("{line}{until}; allowed are ±{within}"), details)
    }
}

/// What each is due of `total`: in proportion to weight, none above its cap, the rest shared on.
fn dues(entities: &[Entity], total: f64) -> Vec<f64> {
    let mut dues = vec![0.0; entities.len()];
    let mut open: Vec<usize> = (0..entities.len()).collect();
    let mut left = total;
    while !open.is_empty() {
        let weight: f64 = open.iter().map(|&n| entities[n].weight).sum();
        let capped: Vec<usize> = open
            .iter()
            .copied()
            .filter(|&n| left * entities[n].weight / weight > entities[n].cap)
            .collect();
        if capped.is_empty() {
            for n in open.drain(..) {
                dues[n] = left * entities[n].weight / weight;
            }
            break;
        }
        for n in capped {
            dues[n] = entities[n].cap;
            left = (left - entities[n].cap).max(0.0);
            open.retain(|&other| other != n);
        }
    }
    dues
}

/// Each worker's on-CPU time over all windows, with its last report.
fn totals<'r>(
    evidence: &'r Evidence,
    group: &GroupName,
) -> BTreeMap<&'r WorkerId, (Nanos, &'r WorkerReport)> {
    let mut totals = BTreeMap::new();
    for worker in evidence.windows.iter().flat_map(|window| &window.workers) {
        if worker.id.group == *group {
            let entry = totals.entry(&worker.id).or_insert((Nanos::ZERO, worker));
            *entry = (Nanos(entry.0.0.saturating_add(worker.on_cpu.0)), worker);
        }
    }
    totals
}

/// The length of all windows in seconds, or `None` where there is none.
fn ran(evidence: &Evidence) -> Option<f64> {
    let length = |window: &Window| window.to.since(window.from).as_secs_f64();
    let span: f64 = evidence.windows.iter().map(length).sum();
    (span > 0.0).then_some(span)
}

fn nice_values(evidence: &Evidence) -> BTreeMap<&WorkerId, i8> {
    evidence
        .events
        .iter()
        .filter_map(|event| match &event.what {
            EventKind::Spawned { id, nice, .. } => Some((id, *nice)),
            _ => None,
        })
        .collect()
}

fn nice_weight(nice: i8) -> u32 {
    let index = (i32::from(nice) + 20).clamp(0, 39) as usize;
    NICE_WEIGHTS[index]
}

#[cfg(test)]
mod tests {
    use record::Verdict;

    use super::*;
    use crate::fixtures::{run, worker};

    /// A window of two seconds in which worker n of group `a` got `millis[n]`.
    fn shares(millis: &[u64]) -> Evidence {
        let workers = millis.iter().enumerate().map(|(index, &millis)| {
            let mut report = worker("a", index as u32);
            report.on_cpu = Nanos::from_millis(millis);
            report
        });
        run(workers.collect())
    }

    fn group(name: &str) -> GroupName {
        name.parse().unwrap()
    }

    #[test]
    fn equal_workers_pass_and_one_that_is_off_is_named() {
        let fair = workers(&shares(&[500, 510, 495, 495]), &group("a"), Percent(10.0));
        assert_eq!(fair.verdict, Verdict::Pass, "{}", fair.reason);
        let unfair = workers(&shares(&[500, 500, 500, 300]), &group("a"), Percent(10.0));
        assert_eq!(unfair.verdict, Verdict::Fail);
        for word in [
            "a/3 (pid 103)",
            "0.300s of its due 0.450s (-33.3 %)",
            "CPU 0",
            "[    3.000000]",
        ] {
            assert!(unfair.reason.contains(word), "{word} in {}", unfair.reason);
        }
    }

    #[test]
    fn nice_weights_count() {
        let mut evidence = shares(&[1_507, 493]);
        for (event, value) in evidence.events.iter_mut().zip([0, 5]) {
            let EventKind::Spawned { nice, .. } = &mut event.what else {
                panic!("only spawns")
            };
            *nice = value;
        }
        let outcome = workers(&evidence, &group("a"), Percent(1.0));
        assert_eq!(outcome.verdict, Verdict::Pass, "{}", outcome.reason);
    }

    #[test]
    fn a_worker_is_never_due_more_than_one_cpu() {
        let entity = |weight, cap| Entity {
            name: String::new(),
            weight,
            cap,
            got: 0.0,
            cpu: None,
        };
        let dues = dues(&[entity(1000.0, 2.0), entity(1.0, 2.0), entity(1.0, 2.0)], 4.0);
        assert_eq!(dues, [2.0, 1.0, 1.0]);
    }

    #[test]
    fn groups_are_compared_by_their_cgroup_weight() {
        let mut reports = vec![worker("a", 0), worker("b", 1)];
        reports[0].on_cpu = Nanos::from_millis(1_500);
        reports[1].on_cpu = Nanos::from_millis(500);
        let mut evidence = run(reports);
        let both = [group("a"), group("b")];
        assert_eq!(groups(&evidence, &both, Percent(10.0)).verdict, Verdict::Fail);
        evidence.groups[0].weight = 300.try_into().unwrap();
        let outcome = groups(&evidence, &both, Percent(1.0));
        assert_eq!(outcome.verdict, Verdict::Pass, "{}", outcome.reason);
    }

    #[test]
    fn a_share_without_competitors_is_inconclusive() {
        assert_eq!(
            workers(&shares(&[500]), &group("a"), Percent(10.0)).verdict,
            Verdict::Inconclusive
        );
        assert_eq!(
            workers(&shares(&[0, 0]), &group("a"), Percent(10.0)).verdict,
            Verdict::Inconclusive
        );
        assert_eq!(
            groups(&shares(&[5]), &[group("z")], Percent(10.0)).verdict,
            Verdict::Inconclusive
        );
    }
}
