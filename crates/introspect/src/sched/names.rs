//! The kernel's own names: of enumerators, of flags, of tasks.

use record::Value;

use crate::btf::{Btf, Enumerator, KindSet, Missing, TypeId};
use crate::{Object, ReadError};

/// The name of a value of the enumeration `of`; the number where it has none.
pub(crate) fn enumerator(btf: &Btf, of: &str, value: i64) -> Result<String, ReadError> {
    let name = btf.enum_name(enumeration(btf, of)?, value);
    Ok(name.map_or_else(|| value.to_string(), str::to_owned))
}

/// The names of the bits, by the enumeration `of`.
pub(crate) fn flags(btf: &Btf, of: &str, bits: u64) -> Result<String, ReadError> {
    Ok(named_bits(btf.enumerators(enumeration(btf, of)?), bits))
}

/// `A|B|0x40`: the names of the bits, the lowest first, and what has none; `0` of none.
///
/// Constants of several bits are masks, and those that begin with two underscores are the kernel's arithmetic.
pub(crate) fn named_bits<'a>(all: impl Iterator<Item = Enumerator<'a>>, bits: u64) -> String {
    let single = |one: &Enumerator<'_>| {
        one.unsigned().is_power_of_two() && !one.name.starts_with("__") && !one.name.ends_with("_SHIFT")
    };
    let mut named: Vec<(u64, &str)> = all
        .filter(single)
        .filter(|one| bits & one.unsigned() != 0)
        .map(|one| (one.unsigned(), one.name))
        .collect();
    named.sort_by_key(|(bit, _)| *bit);
    named.dedup_by_key(|(bit, _)| *bit);
    let known = named.iter().fold(0, |known, (bit, _)| known | bit);
    let mut parts: Vec<String> = named.iter().map(|(_, name)| (*name).to_owned()).collect();
    if bits & !known != 0 {
        parts.push(format!("{:#x}", bits & !known));
    }
    if parts.is_empty() {
        "0".to_owned()
    } else {
        parts.join("|")
    }
}

/// An enumeration by name.
pub(crate) fn enumeration(btf: &Btf, of: &str) -> Result<TypeId, ReadError> {
    let found = btf.find(of, KindSet::ENUM | KindSet::TYPEDEF);
    found.ok_or_else(|| {
        ReadError::NoType(Missing {
            kind: "enum",
            name: of.to_owned(),
        })
    })
}

/// A task, as briefly as it can be told: `struct task_struct`.
pub(crate) fn brief(task: Object<'_>) -> Value {
    Value::tree([
        ("pid", Value::from(task.i64("pid"))),
        ("comm", Value::from(task.str("comm"))),
    ])
}

/// A task in one word, as the kernel's messages have it: `comm[pid]`.
pub fn brief_line(task: Object<'_>) -> String {
    let part = |part: Result<String, ReadError>| part.unwrap_or_else(|_| "?".to_owned());
    let pid = task.i64("pid").map(|pid| pid.to_string());
    format!("{}[{}]", part(task.str("comm")), part(pid))
}

/// [`brief`] of a pointer that may be NULL, or that this kernel does not have.
pub(crate) fn brief_at(task: Result<Option<Object<'_>>, ReadError>) -> Value {
    match task {
        Ok(Some(task)) => brief(task),
        Ok(None) => Value::from("none"),
        Err(error) => Value::missing(&error),
    }
}

/// The part at the newer path, or at the older in a kernel from before it was renamed.
pub(crate) fn either<'k>(object: &Object<'k>, newer: &str, older: &str) -> Result<Object<'k>, ReadError> {
    match object.field(newer) {
        Err(error) if error.is_absent() => object.field(older),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &'static str, value: i64) -> Enumerator<'static> {
        Enumerator {
            name,
            value,
            signed: false,
        }
    }

    const OPS: [(&str, i64); 5] = [
        ("SCX_OPS_KEEP_BUILTIN_IDLE", 1),
        ("SCX_OPS_ENQ_LAST", 2),
        ("SCX_OPS_ALL_FLAGS", 3),
        ("__SCX_OPS_INTERNAL", 4),
        ("SCX_OPS_STATE_SHIFT", 8),
    ];

    fn named(bits: u64) -> String {
        named_bits(OPS.into_iter().map(|(name, value)| one(name, value)), bits)
    }

    #[test]
    fn flags_are_told_by_name_the_lowest_first() {
        assert_eq!(named(3), "SCX_OPS_KEEP_BUILTIN_IDLE|SCX_OPS_ENQ_LAST");
        assert_eq!(named(0), "0");
    }

    #[test]
    fn bits_without_a_name_and_constants_that_are_no_flags_stay_numbers() {
        assert_eq!(named(2 | 4 | 8), "SCX_OPS_ENQ_LAST|0xc");
    }
}
