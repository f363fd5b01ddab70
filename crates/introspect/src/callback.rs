//! Functions that the kernel calls by a struct of functions: the operations of sched_ext schedulers, and the fair class's.
//!
//! ```text
//!  scx_sched.ops.enqueue ──► trampoline ── call ──► the BPF program
//!         the call begins here ┘            └ ◄──── and it is back here
//! ```

use guestmem::GuestVirt;

use crate::bpf::{Bpf, Program, SourceLine};
use crate::sched::Scx;
use crate::{Function, GuestKernel, Object, ReadError};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// What is called: named as the member of the struct, and with its arguments.
    pub function: Function,
    /// The instruction that follows the call of the program; `None` where there is no program, or it is not known.
    pub back: Option<GuestVirt>,
    /// The function that is meant: a BPF program, or a function of the kernel.
    pub program: String,
    /// Where its source begins.
    pub line: Option<SourceLine>,
}

/// The functions of `struct sched_ext_ops`, and of `struct sched_class`.
const OPS: &str = "sched_ext_ops";
const CLASS: &str = "sched_class";
/// The fair class's.
const FAIR: &str = "fair_sched_class";
/// Bytes of a trampoline in which the call is looked for: the page that it has at the most.
const TRAMPOLINE: usize = 4096;
/// `call rel32`
const CALL: u8 = 0xe8;
/// A call may lead behind the bytes that begin every function: `endbr64`, a hash of its type.
const PROLOGUE: u64 = 32;

/// Those that decide who runs now: the operations of all schedulers that are loaded, or else those of the fair class.
///
/// # Errors
/// [`ReadError`] where the structs cannot be read; a program that cannot be read is left without its name.
pub fn callbacks(kernel: &GuestKernel<'_>) -> Result<Vec<Callback>, ReadError> {
    let scheds = match Scx::of(kernel).scheds() {
        Ok(scheds) => scheds,
        Err(error) if error.is_absent() => Vec::new(),
        Err(error) => return Err(error),
    };
    if scheds.is_empty() {
        return of_fair_class(kernel);
    }
    let bpf = Bpf::of(kernel);
    let programs = bpf.progs().unwrap_or_default();
    let mut found = Vec::new();
    for sched in scheds {
        let ops = sched.object().field("ops")?;
        for (name, at) in functions(kernel, &ops, OPS)? {
            let program = calls(kernel, at).find_map(|(target, back)| {
                let program = programs
                    .iter()
                    .find(|program| program.ksym().is_ok_and(|start| behind(start, target)))?;
                Some((program, back))
            });
            found.push(described(&name, at, program));
        }
    }
    Ok(found)
}

/// The members of `struct sched_ext_ops` that the root scheduler has set; `None` where none is loaded.
///
/// # Errors
/// [`ReadError`] where the structs cannot be read.
pub fn operations(kernel: &GuestKernel<'_>) -> Result<Option<Vec<String>>, ReadError> {
    let Some(root) = Scx::of(kernel).root()? else {
        return Ok(None);
    };
    let set = functions(kernel, &root.object().field("ops")?, OPS)?;
    Ok(Some(set.into_iter().map(|(name, _)| name).collect()))
}

fn described(name: &str, at: GuestVirt, program: Option<(&Program<'_>, GuestVirt)>) -> Callback {
    let (of, back) = program.unzip();
    let full = of.and_then(|program| program.full_name().ok().flatten());
    Callback {
        program: full
            .or_else(|| of.and_then(|program| program.name().ok()))
            .unwrap_or_else(|| name.to_owned()),
        line: of.and_then(|program| program.source_line(program.ksym().ok()?).ok().flatten()),
        function: Function::operation(name, at),
        back,
    }
}

fn of_fair_class(kernel: &GuestKernel<'_>) -> Result<Vec<Callback>, ReadError> {
    let class = kernel.variable(FAIR, CLASS)?;
    let functions = functions(kernel, &class, CLASS)?;
    let named = functions.into_iter().filter_map(|(_, at)| {
        let (program, 0) = kernel.symbolize(at)? else {
            return None;
        };
        Some(Callback {
            function: Function::find(kernel, program).ok()?,
            back: None,
            program: program.to_owned(),
            line: None,
        })
    });
    Ok(named.collect())
}

/// The members of a struct that are functions, and are there: name and address.
fn functions(
    kernel: &GuestKernel<'_>,
    object: &Object<'_>,
    structure: &str,
) -> Result<Vec<(String, GuestVirt)>, ReadError> {
    let btf = kernel.btf();
    let mut found = Vec::new();
    for member in btf.members(btf.structure(structure)?) {
        if btf.prototype(member.type_id).is_none() {
            continue;
        }
        let at = object.pointer(member.name)?;
        if at.0 != 0 {
            found.push((member.name.to_owned(), at));
        }
    }
    Ok(found)
}

/// The calls in the code at an address: where each leads, and what comes after it.
fn calls(kernel: &GuestKernel<'_>, at: GuestVirt) -> impl Iterator<Item = (GuestVirt, GuestVirt)> {
    let rest = TRAMPOLINE - at.0 as usize % TRAMPOLINE;
    let mut code = vec![0; rest];
    if kernel.read(at, &mut code).is_err() {
        code.clear();
    }
    let found: Vec<_> = calls_in(at, &code).collect();
    found.into_iter()
}

fn calls_in(at: GuestVirt, code: &[u8]) -> impl Iterator<Item = (GuestVirt, GuestVirt)> {
    code.windows(5).enumerate().filter_map(move |(offset, bytes)| {
        let [CALL, rest @ ..] = bytes else { return None };
        let distance = i32::from_le_bytes(rest.try_into().ok()?);
        let back = at.wrapping_add(offset as u64 + 5);
        Some((back.wrapping_add(i64::from(distance).cast_unsigned()), back))
    })
}

/// Does a call of this address lead to the function that begins there?
fn behind(start: GuestVirt, target: GuestVirt) -> bool {
    start.0 != 0 && target.0.wrapping_sub(start.0) < PROLOGUE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_in_code_with_where_it_leads_and_what_follows() {
        // push %rbp; call +0x100; leave; ret
        let code = [0x55, CALL, 0x00, 0x01, 0x00, 0x00, 0xc9, 0xc3];
        let found: Vec<_> = calls_in(GuestVirt(0x1000), &code).collect();
        assert_eq!(found, [(GuestVirt(0x1106), GuestVirt(0x1006))]);
        let back = [CALL, 0xfb, 0xff, 0xff, 0xff];
        let found: Vec<_> = calls_in(GuestVirt(0x1000), &back).collect();
        assert_eq!(found, [(GuestVirt(0x1000), GuestVirt(0x1005))]);
        assert_eq!(calls_in(GuestVirt(0), &[CALL, 0, 0]).count(), 0);
    }

    #[test]
    fn a_call_may_lead_behind_what_begins_a_function() {
        assert!(behind(GuestVirt(0x1000), GuestVirt(0x1000)));
        assert!(behind(GuestVirt(0x1000), GuestVirt(0x1004)));
        assert!(!behind(GuestVirt(0x1000), GuestVirt(0xfff)));
        assert!(!behind(GuestVirt(0x1000), GuestVirt(0x1020)));
        assert!(!behind(GuestVirt(0), GuestVirt(0)));
    }
}
