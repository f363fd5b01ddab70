//! The shape of a machine: NUMA nodes, last-level caches, cores, hardware threads.
//!
//! `2n4l2c2t` reads: 2 NUMA nodes, 4 LLCs in all, 2 cores in each LLC, 2 threads in each core; 16 CPUs. CPU
//! numbers run thread by thread, core by core, LLC by LLC, node by node:
//!
//! ```text
//! node    ├────────── 0 ──────────┤├────────── 1 ─ …
//! LLC     ├─── 0 ────┤├─── 1 ────┤├─── 2 ─ …
//! core    ├ 0 ┤├ 1 ─┤├ 2 ┤├ 3 ─┤├ …
//! cpu       0 1  2 3   4 5  6 7    8 …
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cpuset::{CpuSet, MAX_CPUS};

/// A last-level cache, numbered from 0 over the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Llc(pub u32);

/// A NUMA node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Node(pub u32);

/// A machine's shape; see the module's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Topology {
    numa_nodes: u32,
    llcs: u32,
    cores_per_llc: u32,
    threads_per_core: u32,
}

/// A shape that no machine can have, or a text that describes none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// The text is not of the form.
    #[error(
        "`{text}` is not a topology; write {{numa}}n{{llc}}l{{cores per llc}}c{{threads per core}}t, as in `1n2l4c1t`"
    )]
    Form {
        /// The text.
        text: String,
    },
    /// A count is zero.
    #[error("a topology has at least one of each, and this one has no {what}")]
    Zero {
        /// What there is none of.
        what: &'static str,
    },
    /// The LLCs cannot be dealt evenly to the nodes.
    #[error(
        "{llcs} LLCs do not divide evenly over {numa_nodes} NUMA nodes; LLCs are counted over the whole machine"
    )]
    Uneven {
        /// LLCs in all.
        llcs: u32,
        /// Nodes.
        numa_nodes: u32,
    },
    /// More than two threads in a core.
    #[error("{threads} threads per core: x86 cores have 1 or 2")]
    Threads {
        /// The count.
        threads: u32,
    },
    /// Too many CPUs.
    #[error("{cpus} CPUs are too many: a machine has at most {MAX_CPUS}")]
    TooLarge {
        /// The product.
        cpus: u64,
    },
}

/// The smallest machine with something to balance: `1n1l2c1t`.
impl Default for Topology {
    fn default() -> Topology {
        Topology {
            numa_nodes: 1,
            llcs: 1,
            cores_per_llc: 2,
            threads_per_core: 1,
        }
    }
}

impl Topology {
    /// A checked shape: `llcs` are counted over the whole machine.
    pub fn new(
        numa_nodes: u32,
        llcs: u32,
        cores_per_llc: u32,
        threads_per_core: u32,
    ) -> Result<Topology, TopologyError> {
        let counts = [
            (numa_nodes, "NUMA node"),
            (llcs, "LLC"),
            (cores_per_llc, "core"),
            (threads_per_core, "thread"),
        ];
        if let Some((_, what)) = counts.iter().find(|(count, _)| *count == 0) {
            return Err(TopologyError::Zero { what });
        }
        if !llcs.is_multiple_of(numa_nodes) {
            return Err(TopologyError::Uneven { llcs, numa_nodes });
        }
        if threads_per_core > 2 {
            return Err(TopologyError::Threads {
                threads: threads_per_core,
            });
        }
        let cpus = u64::from(llcs)
            .saturating_mul(u64::from(cores_per_llc))
            .saturating_mul(threads_per_core.into());
        if cpus > MAX_CPUS.into() {
            return Err(TopologyError::TooLarge { cpus });
        }
        Ok(Topology {
            numa_nodes,
            llcs,
            cores_per_llc,
            threads_per_core,
        })
    }

    /// NUMA nodes.
    pub fn numa_nodes(&self) -> u32 {
        self.numa_nodes
    }

    /// LLCs over the whole machine.
    pub fn llcs(&self) -> u32 {
        self.llcs
    }

    /// LLCs in each NUMA node.
    pub fn llcs_per_node(&self) -> u32 {
        self.llcs / self.numa_nodes
    }

    /// Cores in each LLC.
    pub fn cores_per_llc(&self) -> u32 {
        self.cores_per_llc
    }

    /// Hardware threads in each core: 1 or 2.
    pub fn threads_per_core(&self) -> u32 {
        self.threads_per_core
    }

    /// CPUs over the whole machine.
    pub fn cpus(&self) -> u32 {
        self.llcs * self.cpus_per_llc()
    }

    /// CPUs in each LLC.
    pub fn cpus_per_llc(&self) -> u32 {
        self.cores_per_llc * self.threads_per_core
    }

    /// All CPUs.
    pub fn all_cpus(&self) -> CpuSet {
        (0..self.cpus()).collect()
    }

    /// The CPUs that share an LLC; `None` where the machine has no such LLC.
    pub fn cpus_of_llc(&self, llc: Llc) -> Option<CpuSet> {
        let width = self.cpus_per_llc();
        (llc.0 < self.llcs).then(|| (llc.0 * width..(llc.0 + 1) * width).collect())
    }

    /// The CPUs of a NUMA node; `None` where the machine has no such node.
    pub fn cpus_of_node(&self, node: Node) -> Option<CpuSet> {
        let width = self.cpus() / self.numa_nodes;
        (node.0 < self.numa_nodes).then(|| (node.0 * width..(node.0 + 1) * width).collect())
    }

    /// The hardware threads of `cpu`'s core, itself included; `None` where the machine has no such CPU.
    pub fn siblings(&self, cpu: u32) -> Option<CpuSet> {
        let first = cpu / self.threads_per_core * self.threads_per_core;
        (cpu < self.cpus()).then(|| (first..first + self.threads_per_core).collect())
    }

    /// The ACPI SLIT distance between two nodes: 10 at home, 20 abroad.
    pub fn distance(&self, from: Node, to: Node) -> u32 {
        if from == to { 10 } else { 20 }
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Topology {
            numa_nodes,
            llcs,
            cores_per_llc,
            threads_per_core,
        } = self;
        write!(f, "{numa_nodes}n{llcs}l{cores_per_llc}c{threads_per_core}t")
    }
}

impl FromStr for Topology {
    type Err = TopologyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut rest = text;
        let mut counts = [0; 4];
        for (count, letter) in counts.iter_mut().zip(['n', 'l', 'c', 't']) {
            let wrong = || TopologyError::Form {
                text: text.to_owned(),
            };
            let (number, tail) = rest.split_once(letter).ok_or_else(wrong)?;
            if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(wrong());
            }
            *count = number.parse().map_err(|_| wrong())?;
            rest = tail;
        }
        if !rest.is_empty() {
            return Err(TopologyError::Form {
                text: text.to_owned(),
            });
        }
        let [numa_nodes, llcs, cores_per_llc, threads_per_core] = counts;
        Topology::new(numa_nodes, llcs, cores_per_llc, threads_per_core)
    }
}

impl From<Topology> for String {
    fn from(topology: Topology) -> String {
        topology.to_string()
    }
}

impl TryFrom<String> for Topology {
    type Error = TopologyError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cpus_are_numbered_as_in_the_picture() {
        let shape: Topology = "2n4l2c2t".parse().unwrap();
        assert_eq!(shape.cpus(), 16);
        assert_eq!(shape.cpus_of_llc(Llc(1)).unwrap().to_string(), "4-7");
        assert_eq!(shape.cpus_of_node(Node(1)).unwrap().to_string(), "8-15");
        assert_eq!(shape.siblings(5).unwrap().to_string(), "4-5");
        assert_eq!(shape.cpus_of_llc(Llc(4)), None);
        assert_eq!(shape.siblings(16), None);
    }

    #[test]
    fn impossible_shapes_are_refused_with_the_reason() {
        let check = |text: &str, expect: &str| {
            let error = text.parse::<Topology>().unwrap_err().to_string();
            assert!(error.contains(expect), "{text}: {error}");
        };
        check("", "as in `1n2l4c1t`");
        check("8", "as in `1n2l4c1t`");
        check("1n2l4c1tx", "as in `1n2l4c1t`");
        check("1n2l+4c1t", "as in `1n2l4c1t`");
        check("1n0l4c1t", "no LLC");
        check("2n3l4c1t", "do not divide evenly");
        check("1n1l1c3t", "1 or 2");
        check("1n100l100c2t", "too many");
        check("1n4294967295l4294967295c2t", "too many");
    }

    proptest! {
        #[test]
        fn every_shape_survives_its_own_text(nodes in 1u32..5, per in 1u32..4, cores in 1u32..6, threads in 1u32..3) {
            let shape = Topology::new(nodes, nodes * per, cores, threads).unwrap();
            prop_assert_eq!(shape.to_string().parse::<Topology>().unwrap(), shape);
            let mut seen = Vec::new();
            for llc in 0..shape.llcs() {
                seen.extend(shape.cpus_of_llc(Llc(llc)).unwrap().iter());
            }
            prop_assert_eq!(seen, (0..shape.cpus()).collect::<Vec<_>>());
        }

        #[test]
        fn no_text_panics(text in "[0-9nlct]{0,16}") {
            let _ = text.parse::<Topology>();
        }
    }
}
