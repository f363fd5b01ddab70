//! What a test's body can do to its guest's kernel.

use spec::OpOutcome;
use spec::kernel_op::{Direction, KernelOp, KernelOpReply, KernelOpRequest, MAX_TAG, Mode, OpValue, Target};
use spec::op::WriteKernel;

use super::Rig;
use crate::RigError;

/// Reads and writes of the guest's kernel, each place checked before it is touched.
///
/// A write changes the execution: it is an op ([`WriteKernel`]), and applied again when the record is replayed.
pub struct KernelOps<'r> {
    rig: &'r mut Rig,
    tag: String,
    mode: Mode,
}

impl Rig {
    /// Reads and writes of the guest's kernel, by symbols, addresses, and fields of CPUs and tasks.
    pub fn kernel_ops(&mut self) -> KernelOps<'_> {
        KernelOps {
            rig: self,
            tag: "test".to_owned(),
            mode: Mode::Cold,
        }
    }
}

impl KernelOps<'_> {
    /// Names them in the record; at most 256 bytes of the tag are kept.
    #[must_use]
    pub fn tagged(self, tag: &str) -> Self {
        let tag = spec::text::cut(tag, MAX_TAG).to_owned();
        KernelOps { tag, ..self }
    }

    /// As of a kernel that may run meanwhile: bits are set in one step.
    #[must_use]
    pub fn hot(self) -> Self {
        KernelOps {
            mode: Mode::Hot,
            ..self
        }
    }

    /// Writes, in this order; the first entry that fails ends it, and what was written stays.
    ///
    /// # Errors
    /// [`RigError::KernelOp`] with the entry's index and the reason.
    pub fn write(&mut self, entries: &[KernelOp]) -> Result<(), RigError> {
        self.perform(KernelOpRequest::write(&self.tag, entries.to_vec()))
            .map(drop)
    }

    /// Reads, in this order; each value is as wide as its entry's.
    ///
    /// # Errors
    /// [`RigError::KernelOp`] with the entry's index and the reason; then nothing was read.
    pub fn read(&mut self, entries: &[KernelOp]) -> Result<Vec<OpValue>, RigError> {
        let reply = self.perform(KernelOpRequest::read(&self.tag, entries.to_vec()))?;
        Ok(reply.read_values)
    }

    /// Reads 32 bits.
    ///
    /// # Errors
    /// As [`KernelOps::read`].
    pub fn read_u32(&mut self, target: Target) -> Result<u32, RigError> {
        let values = self.read(&[target.u32(0)])?;
        match values.first() {
            Some(OpValue::U32(value)) => Ok(*value),
            other => Err(mismatch(other)),
        }
    }

    /// Reads 64 bits.
    ///
    /// # Errors
    /// As [`KernelOps::read`].
    pub fn read_u64(&mut self, target: Target) -> Result<u64, RigError> {
        let values = self.read(&[target.u64(0)])?;
        match values.first() {
            Some(OpValue::U64(value)) => Ok(*value),
            other => Err(mismatch(other)),
        }
    }

    fn perform(&mut self, request: KernelOpRequest) -> Result<KernelOpReply, RigError> {
        self.rig.see()?;
        let request = KernelOpRequest {
            mode: self.mode,
            ..request
        };
        let reply = match request.direction {
            Direction::Read => self.rig.session.kernel_op(&request)?,
            Direction::Write => match self.rig.apply(WriteKernel { op: request })? {
                OpOutcome::KernelOp(reply) => reply,
                other => return Err(super::mismatch("write_kernel", &other)),
            },
        };
        if reply.success {
            Ok(reply)
        } else {
            Err(RigError::KernelOp { reason: reply.reason })
        }
    }
}

fn mismatch(value: Option<&OpValue>) -> RigError {
    RigError::KernelOp {
        reason: format!("the reply has {value:?}; this is a defect of schedrig"),
    }
}
