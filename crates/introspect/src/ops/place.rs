//! Where a target is.

use guestmem::GuestVirt;
use wire::kernel_op::{OpValue, Target};

use super::range::{DirectMap, RangeError, check_kva};
use super::{OpError, task};
use crate::{GuestKernel, Object};

/// The address of a target, checked for a value like this one.
pub(super) fn find(kernel: &GuestKernel<'_>, target: &Target, value: &OpValue) -> Result<GuestVirt, OpError> {
    let len = len(value);
    match target {
        Target::Symbol { name } => Ok(kernel.symbol(name)?),
        Target::Direct { kva } => Ok(check_direct(kernel, *kva, len)?),
        Target::Kva { kva } => Ok(check_kva(*kva, len)?),
        Target::PerCpuField { symbol, cpu, field } => {
            let own = kernel.named_per_cpu(symbol, *cpu)?;
            number(own.field(field)?, target, value)
        }
        Target::TaskField {
            pid,
            start_time_ns,
            field,
        } => {
            let task = task::find(kernel, i64::from(*pid), *start_time_ns)?;
            number(task.object().field(field)?, target, value)
        }
    }
}

/// Bytes of a value.
pub(super) fn len(value: &OpValue) -> u64 {
    match value {
        OpValue::U32(_) | OpValue::OrU32(_) => 4,
        OpValue::U64(_) => 8,
        OpValue::Bytes(bytes) => bytes.len() as u64,
    }
}

/// Checks that so many bytes at an address are in the direct map of RAM.
pub(crate) fn check_direct(kernel: &GuestKernel<'_>, kva: u64, len: u64) -> Result<GuestVirt, RangeError> {
    let map = kernel.direct_map();
    let map = DirectMap {
        base: map.start.0,
        size: map.end.0.saturating_sub(map.start.0),
    };
    map.check(kva, len)
}

/// The address of a field that is a number, and no smaller than the value.
fn number(field: Object<'_>, target: &Target, value: &OpValue) -> Result<GuestVirt, OpError> {
    let (size, asked, what) = (field.size(), len(value), target.to_string());
    if matches!(value, OpValue::Bytes(_)) {
        return Err(OpError::NoBytes { what });
    }
    if asked > size {
        return Err(OpError::TooWide { what, size, asked });
    }
    Ok(field.address())
}
