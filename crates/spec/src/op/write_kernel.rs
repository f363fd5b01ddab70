//! A write to the guest's kernel.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{OpError, Operation};
use crate::Topology;
use crate::kernel_op::{Direction, KernelOpRequest};

/// Writes to the memory of the guest's kernel, each place checked before it is touched. A read changes nothing and is no op.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteKernel {
    /// What is written, and where.
    pub op: KernelOpRequest,
}

impl fmt::Display for WriteKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "kernel op {} ({} entries)", self.op.tag, self.op.entries.len())
    }
}

impl Operation for WriteKernel {
    const BY_HOST: bool = true;

    fn check(&self, _: &Topology) -> Result<(), OpError> {
        match self.op.direction {
            Direction::Write => Ok(()),
            Direction::Read => Err(OpError::Invalid(format!(
                "kernel op {} reads; only a write is an op",
                self.op.tag
            ))),
        }
    }

    fn describe(&self) -> String {
        format!("the host writes to the kernel ({})", self.op.tag)
    }
}
