//! Where a target is.

use guestmem::GuestVirt;
use wire::kernel_op::{OpValue, Target};

use super::range::{DirectMap, check_kva};
use super::{OpError, task};
use crate::{GuestKernel, Object};

/// The address of a target, checked for a value like this one.
pub(super) fn find(kernel: &GuestKernel<'_>, target: &Target, value: &OpValue) -> Result<GuestVirt, OpError> {
    let len = len(value);
    match target {
        Target::Symbol { name } => Ok(kernel.symbol(name)?),
        Target::Direct { kva } => Ok(direct_map(kernel).check(*kva, len)?),
        Target::Kva { kva } => Ok(check_kva(*kva, len)?),
        Target::PerCpuField { symbol, cpu, field } => {
            let own = kernel.named_per_cpu(symbol, *cpu)?;
            number(own.field(field)?, &format!("{symbol}[{cpu}].{field}"), value)
        }
        Target::TaskField {
            pid,
            start_time_ns,
            field,
        } => {
            let task = task::find(kernel, i64::from(*pid), *start_time_ns)?;
            let field_of = task.object().field(field)?;
            number(field_of, &format!("task[{pid}].{field}"), value)
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

fn direct_map(kernel: &GuestKernel<'_>) -> DirectMap {
    let map = kernel.direct_map();
    DirectMap {
        base: map.start.0,
        size: map.end.0.saturating_sub(map.start.0),
    }
}

/// The address of a field that is a number, and no smaller than the value.
fn number(field: Object<'_>, what: &str, value: &OpValue) -> Result<GuestVirt, OpError> {
    let (size, asked, what) = (field.size(), len(value), what.to_owned());
    if matches!(value, OpValue::Bytes(_)) {
        return Err(OpError::NoBytes { what });
    }
    if asked > size {
        return Err(OpError::TooWide { what, size, asked });
    }
    Ok(field.address())
}
