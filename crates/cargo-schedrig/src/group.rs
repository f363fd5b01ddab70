//! The `--group` argument: `NAME:WORK:COUNT[@CPUS][,weight=N][,nice=N]`.

use std::str::FromStr;

use schedrig::{CpuSet, GroupName, Llc, Node, Topology, Weight, Work};

/// A cgroup with its workers, as `--group` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupArg {
    pub(crate) name: GroupName,
    pub(crate) work: Work,
    pub(crate) count: u32,
    pub(crate) cpus: Option<CpuChoice>,
    pub(crate) weight: Weight,
    pub(crate) nice: i8,
}

/// Where its cpuset lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CpuChoice {
    Llc(Llc),
    Node(Node),
    Set(CpuSet),
}

/// What `--help` says of the argument.
pub(crate) fn help() -> String {
    format!(
        "A cgroup and its workers. CPUS is llcN, nodeN or a list as in 0-2+5. The same NAME again adds workers. WORK is {}",
        Work::help()
    )
}

/// More workers in one group than any machine has use for.
const MAX_WORKERS: u32 = 1_000;

impl CpuChoice {
    /// The CPUs on a machine of that shape, or what it lacks.
    pub(crate) fn on(&self, topology: &Topology) -> Result<CpuSet, String> {
        let (found, what) = match self {
            CpuChoice::Llc(llc) => (topology.cpus_of_llc(*llc), format!("LLC {}", llc.0)),
            CpuChoice::Node(node) => (topology.cpus_of_node(*node), format!("NUMA node {}", node.0)),
            CpuChoice::Set(set) => {
                let outside = set.difference(&topology.all_cpus());
                (outside.is_empty().then(|| set.clone()), format!("CPU {outside}"))
            }
        };
        found.ok_or_else(|| format!("the machine {topology} has no {what}"))
    }
}

impl FromStr for GroupArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut options = text.split(',');
        let head = options.next().unwrap_or_default();
        let (head, cpus) = match head.split_once('@') {
            Some((head, cpus)) => (head, Some(cpu_choice(cpus)?)),
            None => (head, None),
        };
        let [name, work, count] = head.split(':').collect::<Vec<_>>()[..] else {
            return Err("write NAME:WORK:COUNT[@CPUS][,weight=N][,nice=N], as in `a:spin:8@llc0`".to_owned());
        };
        let mut group = GroupArg {
            name: name
                .parse()
                .map_err(|error: spec::GroupNameError| error.to_string())?,
            // With its causes: the next step is in the last one.
            work: work
                .parse()
                .map_err(|error: spec::WorkError| format!("{:#}", anyhow::Error::from(error)))?,
            count: number(count, "workers", 1, MAX_WORKERS.into())? as u32,
            cpus,
            weight: Weight::DEFAULT,
            nice: 0,
        };
        for option in options {
            match option.split_once('=') {
                Some(("weight", weight)) => {
                    let weight = number(weight, "weight", 1, 10_000)? as u32;
                    group.weight = weight
                        .try_into()
                        .map_err(|error: spec::WeightError| error.to_string())?;
                }
                Some(("nice", nice)) => group.nice = number(nice, "nice", -20, 19)? as i8,
                _ => {
                    return Err(format!(
                        "there is no group option `{option}`; there are `weight=N` and `nice=N`"
                    ));
                }
            }
        }
        Ok(group)
    }
}

fn cpu_choice(text: &str) -> Result<CpuChoice, String> {
    let index = |number: &str| number.parse::<u32>().ok();
    if let Some(llc) = text.strip_prefix("llc").and_then(index) {
        Ok(CpuChoice::Llc(Llc(llc)))
    } else if let Some(node) = text.strip_prefix("node").and_then(index) {
        Ok(CpuChoice::Node(Node(node)))
    } else {
        // Commas part the options, so a list is written with `+`.
        let set: CpuSet = text.replace('+', ",").parse().map_err(|error| {
            format!("`{text}` are no CPUs ({error}); write `llc0`, `node1` or a list as in `0-2+5`")
        })?;
        if set.is_empty() {
            Err("no CPUs after `@`".to_owned())
        } else {
            Ok(CpuChoice::Set(set))
        }
    }
}

fn number(text: &str, what: &str, least: i64, most: i64) -> Result<i64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{what}: `{text}` is not a number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_read_in_all_their_parts() {
        let group: GroupArg = "a:burst/4ms/1ms:8@llc1,weight=300,nice=-5".parse().unwrap();
        assert_eq!(group.name.as_str(), "a");
        assert_eq!(group.work, Work::BURST);
        assert_eq!((group.count, group.weight.get(), group.nice), (8, 300, -5));
        assert_eq!(group.cpus, Some(CpuChoice::Llc(Llc(1))));
        let jittered: GroupArg = "c:burst/4ms/1ms/20%:8@llc1".parse().unwrap();
        assert_eq!(jittered.work.to_string(), "burst/4ms/1ms/20%");
        let plain: GroupArg = "b:spin:1@0-2+5".parse().unwrap();
        assert_eq!(plain.cpus, Some(CpuChoice::Set("0-2,5".parse().unwrap())));
    }

    #[test]
    fn what_is_wrong_with_a_group_is_said() {
        let check = |text: &str, expect: &str| {
            let error = text.parse::<GroupArg>().unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        };
        check("a", "NAME:WORK:COUNT");
        check("a/b:spin:1", "cannot name a group");
        check("a:spun:1", "there is no work `spun`");
        check(
            "a:burst/4ms/1:2",
            "`1` is not a span of time; write a number and a unit",
        );
        check(
            "a:burst/4ms/1ms/120%:2",
            "`120%` is not a jitter; write whole percent from 0 to 100",
        );
        check("a:spin:0", "from 1 to 1000");
        check("a:spin:1@moon", "`moon` are no CPUs");
        check("a:spin:1,weight=0", "from 1 to 10000");
        check("a:spin:1,colour=red", "no group option `colour=red`");
    }

    #[test]
    fn cpus_that_the_machine_lacks_are_named() {
        let shape: Topology = "1n2l2c1t".parse().unwrap();
        assert_eq!(CpuChoice::Llc(Llc(1)).on(&shape).unwrap().to_string(), "2-3");
        assert!(
            CpuChoice::Llc(Llc(2))
                .on(&shape)
                .unwrap_err()
                .contains("no LLC 2")
        );
        assert!(
            CpuChoice::Set("3-4".parse().unwrap())
                .on(&shape)
                .unwrap_err()
                .contains("no CPU 4")
        );
    }
}
