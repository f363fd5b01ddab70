//! What it takes to make a run again.

use serde::{Deserialize, Serialize};
use spec::op::HostProgram;
use spec::{Nanos, Op};

use crate::Manifest;

/// With the plan, all that decides a run: made again from this, it is the same execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayInputs {
    /// The machine.
    pub manifest: Manifest,
    /// The scheduler's program, as it was found on the host.
    pub scheduler: Option<HostProgram>,
    /// How long things may take.
    pub limits: GuestLimits,
    /// The ops that the test applied, once the scheduler was attached: a test's body is code of the host, and nothing else
    /// of it reaches the guest.
    pub script: Vec<Op>,
}

/// How long things may take, in guest time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestLimits {
    /// From the kernel's first instruction to the agent's first call.
    pub boot: Nanos,
    /// A command, beyond the time that it asks for.
    pub silence: Nanos,
    /// A scheduler, to attach, and to end when it is asked to.
    pub scheduler: Nanos,
}
