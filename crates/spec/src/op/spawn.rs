//! Workers.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::{end, read, value, word};
use super::{Form, OpError, Operation};
use crate::{GroupName, Topology, Work, Workers};

/// Makes workers in a cgroup; they wait at a gate until the next [`RunFor`](super::RunFor).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Flat", into = "Flat")]
pub struct Spawn {
    /// The cgroup they live in.
    pub group: GroupName,
    /// What they do, how many there are, their nice value.
    pub workers: Workers,
}

/// As it is written in records and on the wire.
#[derive(Serialize, Deserialize)]
struct Flat {
    group: GroupName,
    work: Work,
    count: u32,
    nice: i8,
}

impl From<Flat> for Spawn {
    fn from(flat: Flat) -> Spawn {
        let Flat {
            group,
            work,
            count,
            nice,
        } = flat;
        let workers = Workers { work, count, nice };
        Spawn { group, workers }
    }
}

impl From<Spawn> for Flat {
    fn from(spawn: Spawn) -> Flat {
        let Spawn { group, workers } = spawn;
        let Workers { work, count, nice } = workers;
        Flat {
            group,
            work,
            count,
            nice,
        }
    }
}

impl fmt::Display for Spawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Workers { work, count, nice } = &self.workers;
        write!(f, "spawn {} {work} {count}", self.group)?;
        match nice {
            0 => Ok(()),
            nice => write!(f, " nice={nice}"),
        }
    }
}

/// The nice values of the kernel (`MIN_NICE`, `MAX_NICE` in include/linux/sched/prio.h).
const NICE: std::ops::RangeInclusive<i8> = -20..=19;

impl Operation for Spawn {
    const FORMS: &'static [Form] = &[Form {
        usage: "spawn CGROUP WORK COUNT [nice=N]",
        help: "makes workers, which wait until the guest runs next",
    }];

    fn parse(_: &str, arguments: &str) -> Result<Spawn, String> {
        let (group, rest) = value(arguments, "the cgroup")?;
        let (work, rest) = value::<Work>(rest, "the work")?;
        let (count, rest) = value(rest, "the count")?;
        let mut workers = Workers::new(work, count);
        if let Some((option, rest)) = word(rest) {
            let nice = option
                .strip_prefix("nice=")
                .ok_or_else(|| format!("unknown option `{option}`"))?;
            workers.nice = read(nice, "nice")?;
            end(rest)?;
        }
        Ok(Spawn { group, workers })
    }

    fn check(&self, _: &Topology) -> Result<(), OpError> {
        let Workers { work, count, nice } = &self.workers;
        if !NICE.contains(nice) {
            return Err(OpError::Invalid(format!(
                "nice {nice} of the workers in {} is out of bounds; it is {} to {}",
                self.group,
                NICE.start(),
                NICE.end()
            )));
        }
        work.check(*count)
            .map_err(|error| OpError::Invalid(error.to_string()))
    }

    fn describe(&self) -> String {
        format!("the agent makes {} in {}", self.workers, self.group)
    }
}
