//! What a kernel lacks of what an object needs.

use std::fmt;

use introspect::btf::{Btf, DatasecVar, KindSet, TypeId};

use crate::BpfObject;

/// Something that an object needs and a kernel's BTF does not have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// A function that BPF programs may call.
    Kfunc {
        /// Its name.
        name: String,
    },
    /// The function takes another number of arguments.
    Arguments {
        /// Its name.
        name: String,
        /// As many are given.
        given: usize,
        /// As many does the kernel's take.
        takes: usize,
    },
    /// A variable.
    Variable {
        /// Its name.
        name: String,
    },
    /// A struct of functions that BPF programs may provide.
    StructOps {
        /// Its name.
        name: String,
    },
    /// A member of it, which the object sets.
    Member {
        /// The struct's name.
        of: String,
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lack::Kfunc { name } => write!(f, "this kernel has no kfunc `{name}`"),
            Lack::Arguments { name, given, takes } => {
                write!(
                    f,
                    "this kernel's kfunc `{name}` takes {takes} arguments, and the program gives {given}"
                )
            }
            Lack::Variable { name } => write!(f, "this kernel has no variable `{name}` in its BTF"),
            Lack::StructOps { name } => write!(f, "this kernel has no struct_ops `{name}`"),
            Lack::Member { of, name } => write!(f, "this kernel's struct_ops `{of}` has no member `{name}`"),
        }
    }
}

/// The section of symbols that the kernel has to have.
const KSYMS: &str = ".ksyms";

/// The sections of structs of functions.
const STRUCT_OPS: [&str; 2] = [".struct_ops", ".struct_ops.link"];

/// What this kernel lacks of what the object needs: functions, variables, structs of functions and their members.
///
/// The kernel's own BTF is searched, not that of its modules: what they have is reported as missing.
pub fn lacks(object: &BpfObject<'_>, kernel: &Btf) -> Vec<Lack> {
    let mut lacks = missing_symbols(object, kernel);
    lacks.extend(missing_members(object, kernel));
    lacks.sort();
    lacks.dedup();
    lacks
}

fn missing_symbols(object: &BpfObject<'_>, kernel: &Btf) -> Vec<Lack> {
    let required = object.required();
    let btf = &object.btf;
    let symbols = btf
        .datasec_vars(KSYMS)
        .filter(|symbol| required.contains(symbol.name));
    let lack = |symbol: DatasecVar<'_>| {
        let name = essential(symbol.name).to_owned();
        if let Some(given) = btf.prototype(symbol.type_id) {
            return match kernel.function(&name) {
                None => Some(Lack::Kfunc { name }),
                Some(takes) if takes.params.len() == given.params.len() || takes.variadic => None,
                Some(takes) => Some(Lack::Arguments {
                    name,
                    given: given.params.len(),
                    takes: takes.params.len(),
                }),
            };
        }
        // One without a type is looked for among the kernel's symbols, and not in its BTF.
        let is_typed = btf.resolve(symbol.type_id) != TypeId::VOID;
        let is_there = || kernel.find(&name, KindSet::VAR).is_some();
        (is_typed && !is_there()).then_some(Lack::Variable { name })
    };
    symbols.filter_map(lack).collect()
}

fn missing_members(object: &BpfObject<'_>, kernel: &Btf) -> Vec<Lack> {
    let btf = &object.btf;
    let mut lacks = Vec::new();
    for section in STRUCT_OPS {
        let Some(contents) = object.section(section) else {
            continue;
        };
        for variable in btf.datasec_vars(section) {
            let structure = btf.resolve(variable.type_id);
            let of = essential(btf.name(structure)).to_owned();
            let Ok(known) = kernel.structure(&of) else {
                lacks.push(Lack::StructOps { name: of });
                continue;
            };
            for member in btf.members(structure) {
                let name = essential(member.name);
                let is_known = name.is_empty() || kernel.members(known).any(|known| known.name == name);
                let at = u64::from(variable.offset) + member.offset_bits / 8;
                let len = btf.size_of(member.type_id).unwrap_or(0);
                if !is_known && contents.is_set(at, len) {
                    lacks.push(Lack::Member {
                        of: of.clone(),
                        name: name.to_owned(),
                    });
                }
            }
        }
    }
    lacks
}

/// A name without its flavour, which begins with `___` (`bpf_core_essential_name_len`).
fn essential(name: &str) -> &str {
    match name.find("___") {
        Some(flavour) if flavour > 0 => &name[..flavour],
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embedded;
    use crate::testing::{kernel, program};

    fn shown(program: &[u8], kernel: &Btf) -> Vec<String> {
        let objects = embedded(program);
        let lacks = objects.iter().flat_map(|object| lacks(object, kernel));
        lacks.map(|lack| lack.to_string()).collect()
    }

    /// The object calls `put` with two arguments and weakly `maybe___new`, reads the variable `ticks`, and sets `enqueue` and
    /// `flags` of `sched_ext_ops`, but not `tick`.
    #[test]
    fn what_is_needed_and_is_not_there_is_named() {
        let check = |kernel: &Btf, expect: &[&str]| assert_eq!(shown(&program(), kernel), expect);
        check(&kernel(&["ticks"], &[("put", 2)], &["enqueue", "flags"]), &[]);
        check(
            &kernel(&["ticks"], &[("put", 3)], &["enqueue", "flags"]),
            &["this kernel's kfunc `put` takes 3 arguments, and the program gives 2"],
        );
        check(
            &kernel(&[], &[], &["flags"]),
            &[
                "this kernel has no kfunc `put`",
                "this kernel has no variable `ticks` in its BTF",
                "this kernel's struct_ops `sched_ext_ops` has no member `enqueue`",
            ],
        );
        check(
            &kernel(&["ticks"], &[("put", 2)], &[]),
            &["this kernel has no struct_ops `sched_ext_ops`"],
        );
    }

    #[test]
    fn a_program_without_an_object_needs_nothing() {
        let all = kernel(&[], &[], &[]);
        assert_eq!(shown(b"", &all), [""; 0]);
        assert_eq!(shown(&program()[..40], &all), [""; 0]);
        assert_eq!(shown(b"\x7fELF\x02\x01\x01", &all), [""; 0]);
    }

    proptest! {
        /// Whatever the file is, it is read to its end.
        #[test]
        fn a_damaged_object_is_no_panic(at in 0..4096_usize, byte: u8, cut in 0..4096_usize) {
            let mut bytes = program();
            let len = bytes.len();
            bytes[at % len] = byte;
            bytes.truncate(len - cut % len);
            let _ = shown(&bytes, &kernel(&[], &[], &["flags"]));
        }
    }
}
