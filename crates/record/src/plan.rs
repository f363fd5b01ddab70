//! What was asked of a run.

use serde::{Deserialize, Serialize};
use spec::Topology;

use crate::Expectation;

/// The inputs of a run: on a deterministic backend they decide everything in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The test's or scenario's name.
    pub name: String,
    /// The machine's shape.
    pub topology: Topology,
    /// Guest RAM in MiB.
    pub memory_mib: u32,
    /// Instruction-counter shift: an instruction takes 2^shift ns of guest time.
    pub shift: u8,
    /// Kernel arguments beside the rig's own.
    pub kernel_args: String,
    /// The kernel.
    pub kernel: KernelFacts,
    /// The scheduler under test; `None` = the kernel's own (EEVDF).
    pub scheduler: Option<SchedulerPlan>,
    /// The seed.
    pub seed: u64,
    /// What the run is judged by.
    pub expectations: Vec<Expectation>,
}

/// Which kernel ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelFacts {
    /// As it was asked for, `apt:sid`.
    pub request: String,
    /// `uname -r`.
    pub release: String,
    /// The GNU build id in hex.
    pub build_id: String,
}

/// Which scheduler ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerPlan {
    /// The program's file name.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// SHA-256 of the program in hex.
    pub sha256: String,
}
