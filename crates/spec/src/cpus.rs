//! A choice of CPUs, made before the machine is known.

use std::convert::Infallible;
use std::str::FromStr;

use crate::op::OpError;
use crate::{CpuSet, CpuSetError, Llc, Node, Topology};

/// Some CPUs of a machine. Reads as `llc0`, `node1`, or a list with `,` or `+` between its items: `0-2,5`, `0-2+5`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cpus {
    /// The CPUs that share a last-level cache.
    Llc(Llc),
    /// The CPUs of a NUMA node.
    Node(Node),
    /// These CPUs.
    Set(CpuSet),
}

/// A text that chooses no CPUs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CpusError {
    /// The text is neither an LLC, nor a node, nor a list.
    #[error("`{text}` are no CPUs ({reason}); write `llc0`, `node1` or a list as in `0-2+5`")]
    List {
        /// The text.
        text: String,
        /// Why it is no list.
        reason: CpuSetError,
    },
    /// The list is empty.
    #[error("an empty list of CPUs; write `llc0`, `node1` or a list as in `0-2+5`")]
    Empty,
}

impl Cpus {
    /// The CPUs on a machine of that shape.
    ///
    /// # Errors
    /// [`OpError::NoSuchCpus`] with what the machine lacks.
    pub fn on(&self, topology: &Topology) -> Result<CpuSet, OpError> {
        let (found, what) = match self {
            Cpus::Llc(llc) => (topology.cpus_of_llc(*llc), format!("LLC {}", llc.0)),
            Cpus::Node(node) => (topology.cpus_of_node(*node), format!("NUMA node {}", node.0)),
            Cpus::Set(set) => return exist(set, topology).map(|()| set.clone()),
        };
        found.ok_or_else(|| OpError::no_such_cpus(topology, what))
    }
}

/// Does the machine have all of these CPUs, and are there any?
pub(crate) fn exist(set: &CpuSet, topology: &Topology) -> Result<(), OpError> {
    let outside = set.difference(&topology.all_cpus());
    if set.is_empty() {
        Err(OpError::no_such_cpus(topology, "CPU in an empty list".to_owned()))
    } else if outside.is_empty() {
        Ok(())
    } else {
        Err(OpError::no_such_cpus(topology, format!("CPU {outside}")))
    }
}

impl FromStr for Cpus {
    type Err = CpusError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let index = |number: &str| number.parse::<u32>().ok();
        if let Some(llc) = text.strip_prefix("llc").and_then(index) {
            return Ok(Cpus::Llc(Llc(llc)));
        }
        if let Some(node) = text.strip_prefix("node").and_then(index) {
            return Ok(Cpus::Node(Node(node)));
        }
        let set: CpuSet = text.replace('+', ",").parse().map_err(|reason| CpusError::List {
            text: text.to_owned(),
            reason,
        })?;
        if set.is_empty() {
            Err(CpusError::Empty)
        } else {
            Ok(Cpus::Set(set))
        }
    }
}

impl TryFrom<&str> for Cpus {
    type Error = CpusError;

    fn try_from(text: &str) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// For what always chooses some CPUs.
impl From<Infallible> for CpusError {
    fn from(never: Infallible) -> CpusError {
        match never {}
    }
}

impl From<Llc> for Cpus {
    fn from(llc: Llc) -> Cpus {
        Cpus::Llc(llc)
    }
}

impl From<Node> for Cpus {
    fn from(node: Node) -> Cpus {
        Cpus::Node(node)
    }
}

impl From<CpuSet> for Cpus {
    fn from(set: CpuSet) -> Cpus {
        Cpus::Set(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_reads_as_a_cache_a_node_or_a_list() {
        let check = |text: &str, expect: Cpus| assert_eq!(text.parse(), Ok(expect), "{text}");
        check("llc1", Cpus::Llc(Llc(1)));
        check("node0", Cpus::Node(Node(0)));
        check("0-2+5", Cpus::Set("0-2,5".parse().unwrap()));
        check("0-2,5", Cpus::Set("0-2,5".parse().unwrap()));
        for text in ["", "moon", "llc", "llc-1"] {
            let error = text.parse::<Cpus>().unwrap_err().to_string();
            assert!(error.contains("write `llc0`"), "{text}: {error}");
        }
    }

    #[test]
    fn what_the_machine_lacks_is_named_with_what_it_has() {
        let shape: Topology = "1n2l2c1t".parse().unwrap();
        assert_eq!(Cpus::Llc(Llc(1)).on(&shape).unwrap().to_string(), "2-3");
        let check = |text: &str, expect: &str| {
            let error = text.parse::<Cpus>().unwrap().on(&shape).unwrap_err().to_string();
            assert!(error.contains(expect) && error.contains("CPUs 0-3"), "{error}");
        };
        check("llc2", "no LLC 2");
        check("node1", "no NUMA node 1");
        check("3-4", "no CPU 4");
    }
}
