//! A cgroup.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::{read, value, word};
use super::{Form, OpError, Operation};
use crate::{CgroupSpec, Topology, Weight, cpus};

/// Makes a cgroup below the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakeCgroup {
    /// Its name, cpuset and weight.
    pub group: CgroupSpec,
}

impl fmt::Display for MakeCgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CgroupSpec { name, cpus, weight } = &self.group;
        write!(f, "cgroup {name}")?;
        if let Some(cpus) = cpus {
            write!(f, " cpus={cpus}")?;
        }
        match *weight {
            Weight::DEFAULT => Ok(()),
            weight => write!(f, " weight={}", weight.get()),
        }
    }
}

impl Operation for MakeCgroup {
    const FORMS: &'static [Form] = &[Form {
        usage: "cgroup NAME [cpus=LIST] [weight=N]",
        help: "makes a cgroup below the root",
    }];

    fn parse(_: &str, arguments: &str) -> Result<MakeCgroup, String> {
        let (name, mut rest) = value(arguments, "the name")?;
        let mut group = CgroupSpec {
            name,
            cpus: None,
            weight: Weight::DEFAULT,
        };
        while let Some((option, after)) = word(rest) {
            match option.split_once('=') {
                Some(("cpus", cpus)) => group.cpus = Some(read(cpus, "cpus")?),
                Some(("weight", weight)) => group.weight = read(weight, "weight")?,
                _ => return Err(format!("unknown option `{option}`")),
            }
            rest = after;
        }
        Ok(MakeCgroup { group })
    }

    fn check(&self, topology: &Topology) -> Result<(), OpError> {
        let cpus = self.group.cpus.as_ref();
        cpus.map_or(Ok(()), |cpus| cpus::exist(cpus, topology))
    }

    fn describe(&self) -> String {
        format!("the agent makes cgroup {}", self.group.name)
    }
}
