//! Kernel ops: batches of reads and writes of a kernel, each place checked before it is touched (contracts A1 to A27).
//!
//! ```text
//!  Target ─ place ─► an address, checked ─ access ─► read, written, OR-ed
//!    Symbol        the symbol's
//!    Direct        within the direct map of RAM     (range)
//!    Kva           within the kernel's half         (range)
//!    PerCpuField   of one of four variables
//!    TaskField     of a task that sleeps and is the one that is meant    (task)
//! ```

mod access;
mod place;
mod range;
mod task;
#[cfg(test)]
mod tests;

use wire::kernel_op::{Direction, KernelOp, KernelOpReply, KernelOpRequest, MAX_REPLY, OpValue, cut};

use crate::{GuestKernel, ReadError};

pub(crate) use place::check_direct;
pub use range::{DirectMap, KVA_FROM, RangeError, check_kva};
pub use task::Unfit;

/// An entry of a batch could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// An OR, of a batch that reads.
    #[error("OrU32 with mask {mask:#x} is a write; to read the word, ask for a U32")]
    OrOfARead {
        /// The mask.
        mask: u32,
    },
    /// An OR of a task's field.
    #[error("OrU32 with mask {mask:#x} is not for a task's field; write the whole U32")]
    OrOfATask {
        /// The mask.
        mask: u32,
    },
    /// Bytes where there is a number.
    #[error("{what} is a number: ask for a U32 or a U64, not for bytes")]
    NoBytes {
        /// The field.
        what: String,
    },
    /// More than the field has.
    #[error("{what} has {size} bytes, and {asked} would overwrite its neighbour: use another width")]
    TooWide {
        /// The field.
        what: String,
        /// Its bytes.
        size: u64,
        /// Bytes of the value.
        asked: u64,
    },
    /// An address that is not in its range.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// A task that is not the one that is meant, or does not sleep.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// Nothing is there.
    #[error("page unmapped at {kva:#x}: {why}")]
    Unmapped {
        /// The address.
        kva: u64,
        /// What was found.
        why: String,
    },
    /// Bytes of which not all are there.
    #[error("unmapped or short: {len} bytes at {kva:#x}: {why}")]
    UnmappedOrShort {
        /// The address.
        kva: u64,
        /// How many.
        len: usize,
        /// What was found.
        why: String,
    },
    /// More than a reply holds.
    #[error("what the batch reads exceeds the {MAX_REPLY} bytes of a reply; ask for less at a time")]
    TooLong,
    /// It could not be found.
    #[error("{0}")]
    Read(String),
}

impl From<ReadError> for OpError {
    fn from(error: ReadError) -> OpError {
        let record::Value::Missing(text) = record::Value::missing(&error) else {
            return OpError::Read(error.to_string());
        };
        OpError::Read(text)
    }
}

/// Bytes of a reply beside the values.
const ROOM: usize = 1024;

/// Carries a batch out, up to the first entry that fails; what was written until then stays.
pub fn perform(kernel: &GuestKernel<'_>, request: &KernelOpRequest) -> KernelOpReply {
    let mut values = Vec::new();
    let mut left = MAX_REPLY - ROOM;
    for (index, entry) in request.entries.iter().enumerate() {
        let done = match request.direction {
            Direction::Write => access::write(kernel, entry, request.mode),
            Direction::Read => read(kernel, entry, &mut left).map(|value| values.push(value)),
        };
        if let Err(error) = done {
            return refused(request.request_id, &format!("entry[{index}]: {error}"));
        }
    }
    KernelOpReply {
        request_id: request.request_id,
        success: true,
        reason: String::new(),
        read_values: values,
    }
}

/// The reply to a batch of which nothing was done, or not all.
pub fn refused(request_id: u32, reason: &str) -> KernelOpReply {
    KernelOpReply {
        request_id,
        success: false,
        reason: cut(reason).to_owned(),
        read_values: Vec::new(),
    }
}

/// One read; `left` is what the reply has room for.
fn read(kernel: &GuestKernel<'_>, entry: &KernelOp, left: &mut usize) -> Result<OpValue, OpError> {
    /// Bytes of a value beside its own.
    const AROUND: usize = 16;
    let len = match &entry.value {
        OpValue::Bytes(bytes) => bytes.len(),
        _ => 8,
    };
    *left = left.checked_sub(len + AROUND).ok_or(OpError::TooLong)?;
    access::read(kernel, entry)
}
