//! The `--group` argument: `NAME:WORK:COUNT[@CPUS][,weight=N][,nice=N]`.

use std::str::FromStr;

use schedrig::op::Spawn;
use schedrig::{Cpus, GroupName, OpError, Topology, Weight, Work, Workers};
use spec::CgroupSpec;

/// A cgroup with its workers, as `--group` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupArg {
    pub(crate) name: GroupName,
    cpus: Option<Cpus>,
    weight: Weight,
    workers: Workers,
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

impl GroupArg {
    /// The cgroup on a machine of that shape.
    ///
    /// # Errors
    /// [`OpError::NoSuchCpus`].
    pub(crate) fn cgroup(&self, topology: &Topology) -> Result<CgroupSpec, OpError> {
        Ok(CgroupSpec {
            name: self.name.clone(),
            cpus: self.cpus.as_ref().map(|cpus| cpus.on(topology)).transpose()?,
            weight: self.weight,
        })
    }

    /// The op that makes its workers.
    pub(crate) fn spawn(&self) -> Spawn {
        Spawn {
            group: self.name.clone(),
            workers: self.workers.clone(),
        }
    }
}

impl FromStr for GroupArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut options = text.split(',');
        let head = options.next().unwrap_or_default();
        let (head, cpus) = match head.split_once('@') {
            // Commas part the options, so a list is written with `+`.
            Some((head, cpus)) => (head, Some(cpus.parse().map_err(in_words)?)),
            None => (head, None),
        };
        let [name, work, count] = head.split(':').collect::<Vec<_>>()[..] else {
            return Err("write NAME:WORK:COUNT[@CPUS][,weight=N][,nice=N], as in `a:spin:8@llc0`".to_owned());
        };
        let work: Work = work.parse().map_err(in_words)?;
        let mut group = GroupArg {
            name: name.parse().map_err(in_words)?,
            cpus,
            weight: Weight::DEFAULT,
            workers: Workers::new(work, number(count, "workers", 1, MAX_WORKERS.into())? as u32),
        };
        for option in options {
            match option.split_once('=') {
                Some(("weight", weight)) => group.weight = weight.parse().map_err(in_words)?,
                Some(("nice", nice)) => group.workers.nice = number(nice, "nice", -20, 19)? as i8,
                _ => {
                    return Err(format!(
                        "unknown group option `{option}`; options: `weight=N`, `nice=N`"
                    ));
                }
            }
        }
        Ok(group)
    }
}

/// With its causes: the next step is in the last one.
fn in_words(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::from(error))
}

fn number(text: &str, what: &str, least: i64, most: i64) -> Result<i64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("{what}: `{text}` is not a number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(text: &str) -> GroupArg {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn groups_read_in_all_their_parts() {
        let shape: Topology = "1n2l4c1t".parse().unwrap();
        let check = |text: &str, cgroup: &str, spawn: &str| {
            let arg = group(text);
            let group = arg.cgroup(&shape).unwrap();
            assert_eq!(schedrig::op::MakeCgroup { group }.to_string(), cgroup);
            assert_eq!(arg.spawn().to_string(), spawn);
        };
        check(
            "a:burst/4ms/1ms:8@llc1,weight=300,nice=-5",
            "cgroup a cpus=4-7 weight=300",
            "spawn a burst/4ms/1ms 8 nice=-5",
        );
        check(
            "c:burst/4ms/1ms/20%:8@node0",
            "cgroup c cpus=0-7",
            "spawn c burst/4ms/1ms/20% 8",
        );
        check("b:spin:1@0-2+5", "cgroup b cpus=0-2,5", "spawn b spin 1");
        check("b:spin:1", "cgroup b", "spawn b spin 1");
    }

    #[test]
    fn what_is_wrong_with_a_group_is_said() {
        let check = |text: &str, expect: &str| {
            let error = text.parse::<GroupArg>().unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        };
        check("a", "NAME:WORK:COUNT");
        check("a/b:spin:1", "cannot name a group");
        check("a:spun:1", "`spun`");
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
        check("a:spin:1@", "an empty list of CPUs");
        check("a:spin:1,weight=0", "from 1 to 10000");
        check("a:spin:1,colour=red", "unknown group option `colour=red`");
    }

    #[test]
    fn cpus_that_the_machine_lacks_are_named() {
        let shape: Topology = "1n2l2c1t".parse().unwrap();
        let check = |text: &str, expect: &str| {
            let error = group(text).cgroup(&shape).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("a:spin:1@llc2", "no LLC 2");
        check("a:spin:1@3-4", "no CPU 4");
    }
}
