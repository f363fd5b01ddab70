//! What a [`KernelPath`] leads to in a kernel.

use guestmem::GuestVirt;
use spec::{KernelPath, PathRoot, PathStep};

use crate::bpf::{Bpf, Held, Key, Map};
use crate::ops::{check_direct, check_kva};
use crate::sched::Scx;
use crate::{GuestKernel, NAMED_PER_CPU, Object, ReadError, task};

/// What a path leads to.
#[derive(Debug, Clone, Copy)]
pub enum Place<'k> {
    /// Something of which the kernel, or a BPF program, tells the type.
    Typed(Object<'k>),
    /// Bytes without a type, at a symbol or an address.
    Bytes {
        /// Where.
        at: GuestVirt,
        /// How many.
        bytes: u64,
    },
}

/// A path leads to nothing in this kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// A symbol without a type has no fields.
    #[error("this kernel tells no type of `{name}`: give the name alone, or with a size as `{name}:4`")]
    Untyped {
        /// The symbol.
        name: String,
    },
    /// A pointer is followed by an arrow.
    #[error("`{name}` is a pointer: write `{name}->FIELD`")]
    Pointer {
        /// The symbol.
        name: String,
    },
    /// No arrow follows what is no pointer.
    #[error("`{name}` is no pointer: write `{name}.FIELD`")]
    NoPointer {
        /// What the arrow follows.
        name: String,
    },
    /// A size for something that has its own.
    #[error("`{name}` has a type, and so a size of its own: leave the size out")]
    Sized {
        /// The variable.
        name: String,
    },
    /// A map has several entries.
    #[error("the map {map} holds {entries} entries: give a key as in `map[{map}][0]`")]
    SeveralEntries {
        /// The map.
        map: String,
        /// How many.
        entries: u64,
    },
    /// A map has no such entry.
    #[error("the map {map} has no entry with the key {key}")]
    NoEntry {
        /// The map.
        map: String,
        /// The key.
        key: u64,
    },
    /// A value of a map has no type or no single place.
    #[error(
        "the value of the map {map} has no type of its own, or one for each CPU: look at all of it with `map {map}`"
    )]
    NoValue {
        /// The map.
        map: String,
    },
    /// No scheduler has such a queue.
    #[error("no scheduler has a DSQ {id:#x}; they have {}", list(there))]
    NoDsq {
        /// The id.
        id: u64,
        /// The ids that there are.
        there: Vec<u64>,
    },
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Symbols the types of which are known, as the kernel tells those of per-CPU variables only.
const TYPED: [(&str, Symbol); 2] = [
    ("scx_root", Symbol::PointerTo("scx_sched")),
    ("init_task", Symbol::Of("task_struct")),
];

/// What a symbol is.
#[derive(Clone, Copy)]
enum Symbol {
    PointerTo(&'static str),
    Of(&'static str),
}

/// Bytes of a symbol or an address, where a path does not tell how many.
const DEFAULT_BYTES: u64 = 8;
/// Entries of a map among which a key is looked for.
const MAX_ENTRIES: usize = 1 << 16;

/// Follows a path.
///
/// # Errors
/// [`ResolveError`] with the first part of the path that leads nowhere.
pub fn resolve<'b>(bpf: &'b Bpf<'b>, path: &KernelPath) -> Result<Place<'b>, ResolveError> {
    let kernel = bpf.kernel();
    let steps = path.steps();
    let bytes = path.bytes().unwrap_or(DEFAULT_BYTES);
    match path.root() {
        PathRoot::Task(pid) => {
            let task = task::by_pid(kernel, i64::from(*pid))?;
            part(task.object(), "task[…]", steps)
        }
        PathRoot::Dsq(id) => part(dsq(kernel, *id)?, "dsq[…]", steps),
        PathRoot::Map(name) => map(bpf, name, steps),
        PathRoot::Address(at) => {
            let at = check_kva(*at, bytes).map_err(|error| bad_address(*at, &error))?;
            untyped("kva[…]", at, bytes, steps)
        }
        PathRoot::Direct(at) => {
            let at = check_direct(kernel, *at, bytes).map_err(|error| bad_address(*at, &error))?;
            untyped("direct[…]", at, bytes, steps)
        }
        PathRoot::Name(name) => named(bpf, name, steps, path.bytes()),
    }
}

/// A per-CPU variable, a symbol, or a variable of a BPF program: in this order.
fn named<'b>(
    bpf: &'b Bpf<'b>,
    name: &str,
    steps: &[PathStep],
    bytes: Option<u64>,
) -> Result<Place<'b>, ResolveError> {
    let kernel = bpf.kernel();
    let per_cpu = NAMED_PER_CPU.iter().any(|(named, _)| *named == name);
    if let ([PathStep::Index(cpu), rest @ ..], true) = (steps, per_cpu) {
        let cpu = u32::try_from(*cpu).unwrap_or(u32::MAX);
        return part(kernel.per_cpu(name, cpu)?, name, rest);
    }
    let typed = TYPED.iter().find(|(typed, _)| *typed == name);
    match (typed, steps) {
        (Some((_, Symbol::PointerTo(of))), [PathStep::Arrow(first), rest @ ..]) => {
            let pointed = kernel.pointer_variable(name, of)?;
            let pointed = pointed.ok_or_else(|| ReadError::NotLoaded {
                kind: "scheduler",
                name: name.to_owned(),
            })?;
            let steps: Vec<PathStep> = [PathStep::Field(first.clone())]
                .into_iter()
                .chain(rest.to_vec())
                .collect();
            part(pointed, name, &steps)
        }
        (Some((_, Symbol::PointerTo(_))), [_, ..]) => Err(ResolveError::Pointer {
            name: name.to_owned(),
        }),
        (Some((_, Symbol::Of(of))), _) => part(kernel.variable(name, of)?, name, steps),
        _ => {
            let missing = match kernel.symbol(name) {
                Ok(at) => return untyped(name, at, bytes.unwrap_or(DEFAULT_BYTES), steps),
                Err(missing) => missing,
            };
            match bpf.global(name) {
                Ok(_) if bytes.is_some() => Err(ResolveError::Sized {
                    name: name.to_owned(),
                }),
                Ok(variable) => part(variable, name, steps),
                Err(error) if error.is_absent() || matches!(error, ReadError::NotLoaded { .. }) => {
                    Err(missing.into())
                }
                Err(error) => Err(error.into()),
            }
        }
    }
}

/// The part of an object that steps lead to.
fn part<'b>(object: Object<'b>, name: &str, steps: &[PathStep]) -> Result<Place<'b>, ResolveError> {
    let whole = match steps.first() {
        Some(PathStep::Arrow(_)) => object.deref().map_err(|error| match error {
            ReadError::Unfit { .. } => ResolveError::NoPointer {
                name: name.to_owned(),
            },
            error => error.into(),
        })?,
        _ => object,
    };
    Ok(Place::Typed(match steps {
        [] => whole,
        steps => whole.field(&PathStep::fields(steps))?,
    }))
}

fn untyped<'b>(name: &str, at: GuestVirt, bytes: u64, steps: &[PathStep]) -> Result<Place<'b>, ResolveError> {
    match steps {
        [] => Ok(Place::Bytes { at, bytes }),
        _ => Err(ResolveError::Untyped {
            name: name.to_owned(),
        }),
    }
}

/// A queue that a scheduler has made, or a global one.
fn dsq<'b>(kernel: &'b GuestKernel<'b>, id: u64) -> Result<Object<'b>, ResolveError> {
    let mut there = Vec::new();
    for sched in Scx::of(kernel).scheds()? {
        let own = sched.user_dsqs()?.into_iter();
        for dsq in own.chain(sched.global_dsqs()?) {
            match dsq.id()? {
                found if found == id => return Ok(dsq.object()),
                found => there.push(found),
            }
        }
    }
    Err(ResolveError::NoDsq { id, there })
}

/// A variable of a program's section, or a value of another map.
fn map<'b>(bpf: &'b Bpf<'b>, name: &str, steps: &[PathStep]) -> Result<Place<'b>, ResolveError> {
    let maps = bpf.maps_named(name)?;
    let map = match maps.as_slice() {
        [] => {
            return Err(ReadError::NotLoaded {
                kind: "map",
                name: name.to_owned(),
            }
            .into());
        }
        [one] => one,
        _ => {
            return Err(ReadError::TooMany {
                what: format!("maps named {name}"),
                most: 1,
            }
            .into());
        }
    };
    if let [PathStep::Field(variable), rest @ ..] = steps
        && map.is_section()?
    {
        let globals = map.globals()?;
        let found = globals.into_iter().find(|(own, _)| own == variable);
        let (_, object) = found.ok_or_else(|| ReadError::NotLoaded {
            kind: "variable",
            name: variable.clone(),
        })?;
        return part(object, variable, rest);
    }
    let (value, rest) = value(map, name, steps)?;
    part(value, &format!("map[{name}]"), rest)
}

/// The value with the key that comes first in the steps; without one that of a map with a single entry.
fn value<'b, 's>(
    map: &Map<'b>,
    name: &str,
    steps: &'s [PathStep],
) -> Result<(Object<'b>, &'s [PathStep]), ResolveError> {
    let contents = map.contents(MAX_ENTRIES)?;
    let map = name.to_owned();
    let (entry, rest) = match steps {
        [PathStep::Index(key), rest @ ..] => {
            let has_key = |wanted: u64| {
                contents.entries.iter().find(|entry| match &entry.key {
                    Key::Index(index) => *index == wanted,
                    Key::Data(datum) => datum.object().is_some_and(|object| object.bits() == Ok(wanted)),
                    Key::Owner(_) => false,
                })
            };
            let key = *key;
            let found = has_key(key).ok_or_else(|| ResolveError::NoEntry {
                map: map.clone(),
                key,
            })?;
            (found, rest)
        }
        steps => match contents.entries.as_slice() {
            [one] if contents.total == 1 => (one, steps),
            _ => {
                let entries = contents.total;
                return Err(ResolveError::SeveralEntries { map, entries });
            }
        },
    };
    match &entry.value {
        Held::One(datum) => match datum.object() {
            Some(object) => Ok((object, rest)),
            None => Err(ResolveError::NoValue { map }),
        },
        _ => Err(ResolveError::NoValue { map }),
    }
}

fn bad_address(at: u64, why: &dyn std::error::Error) -> ResolveError {
    ReadError::out_of_range("the address", at, why.to_string()).into()
}

fn list(ids: &[u64]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("{id:#x}")).collect();
    match ids.as_slice() {
        [] => "none".to_owned(),
        ids => ids.join(", "),
    }
}

#[cfg(test)]
mod tests;
