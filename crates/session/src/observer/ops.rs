//! Kernel ops, as the record tells them.

use record::{Observation, Value};
use spec::GuestTime;
use wire::kernel_op::{Direction, KernelOp, KernelOpReply, KernelOpRequest, Mode, OpValue, Target};

/// Bytes of a value that are told.
const MOST_BYTES: usize = 64;

/// What was asked, and what came of it. On this kernel, which stood still, a hot op is told to be one that need not have
/// waited for that.
pub(super) fn observation(at: GuestTime, request: &KernelOpRequest, reply: &KernelOpReply) -> Observation {
    let verb = match request.direction {
        Direction::Read => "read",
        Direction::Write => "write",
    };
    let taken = match request.mode {
        Mode::Cold => "from a frozen machine",
        Mode::Hot => "as from a live machine",
    };
    let entries = request.entries.iter().enumerate().map(|(index, entry)| {
        let value = match request.direction {
            Direction::Read => reply
                .read_values
                .get(index)
                .map_or_else(|| Value::Missing("it was not read".to_owned()), value_of),
            Direction::Write => value_of(&entry.value),
        };
        (place_of(entry).into(), value)
    });
    Observation {
        at,
        asked: format!("kernel op {} ({verb})", request.tag),
        seen: Value::tree([
            ("taken", Value::from(taken)),
            ("success", Value::Bool(reply.success)),
            ("reason", Value::from(reply.reason.as_str())),
            ("entries", Value::Tree(entries.collect())),
        ]),
    }
}

fn place_of(entry: &KernelOp) -> String {
    match &entry.target {
        Target::Symbol { name } => name.clone(),
        Target::Direct { kva } => format!("direct {kva:#x}"),
        Target::Kva { kva } => format!("kva {kva:#x}"),
        Target::PerCpuField { symbol, cpu, field } => format!("{symbol}[{cpu}].{field}"),
        Target::TaskField { pid, field, .. } => format!("task[{pid}].{field}"),
    }
}

fn value_of(value: &OpValue) -> Value {
    match value {
        OpValue::U32(value) => Value::from(*value),
        OpValue::U64(value) => Value::from(*value),
        OpValue::OrU32(mask) => Value::from(format!("| {mask:#x}")),
        OpValue::Bytes(bytes) => {
            let shown = &bytes[..bytes.len().min(MOST_BYTES)];
            let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            match bytes.len() - shown.len() {
                0 => Value::from(hex),
                more => Value::from(format!("{hex} and {more} bytes more")),
            }
        }
    }
}
