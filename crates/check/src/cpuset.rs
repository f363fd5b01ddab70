//! Workers on CPUs that their cpuset excludes.

use std::collections::BTreeSet;

use record::{EventKind, Evidence};
use spec::op::Cpu;
use spec::{CpuSet, GuestTime, Op};

use crate::{Outcome, count, task};

/// Every worker was seen only on CPUs of its group's cpuset.
pub(crate) fn honoured(evidence: &Evidence) -> Outcome {
    let confined: Vec<_> = evidence
        .groups
        .iter()
        .filter_map(|group| Some((&group.name, group.cpus.as_ref()?)))
        .collect();
    if confined.is_empty() {
        return Outcome::skip("no group has a cpuset");
    }
    let mut checked = 0;
    let mut violations = Vec::new();
    for window in &evidence.windows {
        let offline = offline(evidence, window.from);
        for worker in &window.workers {
            let Some((_, allowed)) = confined.iter().find(|(name, _)| **name == worker.id.group) else {
                continue;
            };
            // The kernel gives a group its parent's CPUs while all of its own are offline.
            if allowed.difference(&offline).is_empty() {
                continue;
            }
            checked += 1;
            let outside = worker.cpus.difference(allowed);
            if !outside.is_empty() {
                let (task, from, to) = (task(worker), window.from, window.to);
                violations.push(format!(
                    "{task} ran on CPU {outside} between {from} and {to}, and its cpuset is {allowed}"
                ));
            }
        }
    }
    match violations.first() {
        Some(first) => Outcome::fail(first.clone(), violations.clone()),
        None if checked == 0 => Outcome::skip("no worker ran in a group with a cpuset that was online"),
        None => {
            let groups = count(confined.len(), "group");
            Outcome::pass(format!("{groups} stayed on the CPUs of the cpuset"))
        }
    }
}

/// The CPUs that were taken offline and not brought back by then.
fn offline(evidence: &Evidence, by: GuestTime) -> CpuSet {
    let mut offline = BTreeSet::new();
    for event in evidence.events.iter().filter(|event| event.at <= by) {
        match event.what {
            EventKind::Applied {
                op: Op::Cpu(Cpu { cpu, online: false }),
            } => offline.insert(cpu),
            EventKind::Applied {
                op: Op::Cpu(Cpu { cpu, online: true }),
            } => offline.remove(&cpu),
            _ => continue,
        };
    }
    offline.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use record::Verdict;

    use super::*;
    use crate::fixtures::{run, worker};

    #[test]
    fn a_worker_outside_of_its_cpuset_is_named_with_the_cpu() {
        let mut evidence = run(vec![worker("a", 0)]);
        assert_eq!(
            honoured(&evidence).verdict,
            Verdict::Skip,
            "no cpuset, no promise"
        );
        evidence.groups[0].cpus = Some("0-1".parse().unwrap());
        assert_eq!(honoured(&evidence).verdict, Verdict::Pass);
        evidence.windows[0].workers[0].cpus = "1,3".parse().unwrap();
        let outcome = honoured(&evidence);
        assert_eq!(outcome.verdict, Verdict::Fail);
        assert!(
            outcome.reason.contains("a/0 (pid 100) ran on CPU 3"),
            "{}",
            outcome.reason
        );
        evidence.windows.clear();
        assert_eq!(honoured(&evidence).verdict, Verdict::Skip);
    }

    #[test]
    fn a_group_is_not_confined_while_all_of_its_cpus_are_offline() {
        let mut evidence = run(vec![worker("a", 0)]);
        evidence.groups[0].cpus = Some("2-3".parse().unwrap());
        evidence.windows[0].workers[0].cpus = "0".parse().unwrap();
        let from = evidence.windows[0].from;
        let mut verdict_after = |op: Cpu| {
            let what = EventKind::Applied { op: op.into() };
            evidence.events.push(record::Event { at: from, what });
            honoured(&evidence).verdict
        };
        assert_eq!(verdict_after(Cpu::offline(3)), Verdict::Fail, "CPU 2 is left");
        assert_eq!(verdict_after(Cpu::offline(2)), Verdict::Skip);
        assert_eq!(verdict_after(Cpu::online(3)), Verdict::Fail);
    }
}
