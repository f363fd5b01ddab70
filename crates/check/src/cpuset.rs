//! Workers on CPUs that their cpuset excludes.

use record::Evidence;

use crate::{Outcome, task};

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
        for worker in &window.workers {
            let Some((_, allowed)) = confined.iter().find(|(name, _)| **name == worker.id.group) else {
                continue;
            };
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
        None if checked == 0 => Outcome::inconclusive("no worker of a group with a cpuset ran"),
        None => Outcome::pass(format!("{} groups stayed on their CPUs", confined.len())),
    }
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
        assert_eq!(honoured(&evidence).verdict, Verdict::Inconclusive);
    }
}
