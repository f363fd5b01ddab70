//! A CPU that goes offline, or comes back.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::{end, value};
use super::{Form, OpError, Operation};
use crate::Topology;

/// Takes a CPU offline, or brings it back online (Documentation/core-api/cpu_hotplug.rst).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// Its number.
    pub cpu: u32,
    /// Is it to be online?
    pub online: bool,
}

impl Cpu {
    /// Takes that CPU offline.
    pub fn offline(cpu: u32) -> Cpu {
        Cpu { cpu, online: false }
    }

    /// Brings that CPU back online.
    pub fn online(cpu: u32) -> Cpu {
        Cpu { cpu, online: true }
    }
}

const OFFLINE: &str = "offline";
const ONLINE: &str = "online";

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keyword = if self.online { ONLINE } else { OFFLINE };
        write!(f, "{keyword} {}", self.cpu)
    }
}

impl Operation for Cpu {
    const FORMS: &'static [Form] = &[
        Form {
            usage: "offline CPU",
            help: "takes a CPU offline; CPU 0 stays online",
        },
        Form {
            usage: "online CPU",
            help: "brings a CPU back online",
        },
    ];

    fn parse(keyword: &str, arguments: &str) -> Result<Cpu, String> {
        let (cpu, rest) = value(arguments, "the CPU")?;
        end(rest)?;
        let online = keyword == ONLINE;
        Ok(Cpu { cpu, online })
    }

    fn check(&self, topology: &Topology) -> Result<(), OpError> {
        if self.cpu >= topology.cpus() {
            return Err(OpError::no_such_cpus(topology, format!("CPU {}", self.cpu)));
        }
        if self.cpu == 0 && !self.online {
            // arch/x86/kernel/topology.c: since 6.5 there is no `cpu0_hotplug` any more.
            return Err(OpError::Invalid(
                "CPU 0 of an x86 machine cannot go offline; take another one".to_owned(),
            ));
        }
        Ok(())
    }

    fn describe(&self) -> String {
        match self.online {
            true => format!("the agent brings CPU {} online", self.cpu),
            false => format!("the agent takes CPU {} offline", self.cpu),
        }
    }
}
