//! Reading and writing at an address that was checked.

use guestmem::GuestVirt;
use wire::kernel_op::{KernelOp, Mode, OpValue, Target};

use super::{OpError, place};
use crate::{GuestKernel, ReadError};

/// What is there, as wide as the entry's value.
pub(super) fn read(kernel: &GuestKernel<'_>, entry: &KernelOp) -> Result<OpValue, OpError> {
    if let OpValue::OrU32(mask) = entry.value {
        return Err(OpError::OrOfARead { mask });
    }
    let at = place::find(kernel, &entry.target, &entry.value)?;
    match &entry.value {
        OpValue::U32(_) | OpValue::OrU32(_) => kernel.read_u32(at).map(OpValue::U32).map_err(unmapped(at)),
        OpValue::U64(_) => kernel.read_u64(at).map(OpValue::U64).map_err(unmapped(at)),
        OpValue::Bytes(hint) => {
            let bytes = kernel.read_chunked(at, hint.len());
            bytes.map(OpValue::Bytes).map_err(short(at, hint.len()))
        }
    }
}

/// Writes the entry's value.
pub(super) fn write(kernel: &GuestKernel<'_>, entry: &KernelOp, mode: Mode) -> Result<(), OpError> {
    if let (Target::TaskField { .. }, OpValue::OrU32(mask)) = (&entry.target, &entry.value) {
        return Err(OpError::OrOfATask { mask: *mask });
    }
    let at = place::find(kernel, &entry.target, &entry.value)?;
    match &entry.value {
        OpValue::U32(value) => kernel.write(at, &value.to_le_bytes()).map_err(unmapped(at)),
        OpValue::U64(value) => kernel.write(at, &value.to_le_bytes()).map_err(unmapped(at)),
        OpValue::Bytes(bytes) => kernel.write(at, bytes).map_err(short(at, bytes.len())),
        OpValue::OrU32(mask) => match mode {
            Mode::Cold => {
                let word = kernel.read_u32(at).map_err(unmapped(at))?;
                kernel
                    .write(at, &(word | mask).to_le_bytes())
                    .map_err(unmapped(at))
            }
            Mode::Hot => kernel.fetch_or_u32(at, *mask).map(drop).map_err(unmapped(at)),
        },
    }
}

fn unmapped(at: GuestVirt) -> impl Fn(ReadError) -> OpError {
    move |error| OpError::Unmapped {
        kva: at.0,
        why: error.to_string(),
    }
}

fn short(at: GuestVirt, len: usize) -> impl Fn(ReadError) -> OpError {
    move |error| OpError::UnmappedOrShort {
        kva: at.0,
        len,
        why: error.to_string(),
    }
}
