//! Kernel ops as observations.

use record::{Observation, Value};
use spec::GuestTime;
use wire::kernel_op::{Direction, KernelOpReply, KernelOpRequest, Mode, OpValue};

/// Bytes of a value that an observation shows.
const MAX_BYTES: usize = 64;

/// The request with its outcome. The kernel stood still for every op here; a hot one is recorded as one that need not
/// have waited for that.
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
                .map_or_else(|| Value::Missing("not read".to_owned()), value_of),
            Direction::Write => value_of(&entry.value),
        };
        (entry.target.to_string().into(), value)
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

fn value_of(value: &OpValue) -> Value {
    match value {
        OpValue::U32(value) => Value::from(*value),
        OpValue::U64(value) => Value::from(*value),
        OpValue::OrU32(mask) => Value::from(format!("| {mask:#x}")),
        OpValue::Bytes(bytes) => {
            let shown = &bytes[..bytes.len().min(MAX_BYTES)];
            let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            match bytes.len() - shown.len() {
                0 => Value::from(hex),
                _ => Value::from(format!(
                    "{hex} (truncated after {MAX_BYTES} of {} bytes)",
                    bytes.len()
                )),
            }
        }
    }
}
