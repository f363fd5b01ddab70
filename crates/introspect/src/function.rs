//! Functions of a kernel and of its BPF programs: where they begin, and what they are called with.

use guestmem::GuestVirt;
use record::Value;

use crate::bpf::{Bpf, Program};
use crate::btf::{Btf, Kind, KindSet, Prototype, TypeId};
use crate::sched::names::brief_line;
use crate::{GuestKernel, Object, ReadError};

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub at: GuestVirt,
    passes: Passes,
    /// The member of the kernel's `struct sched_ext_ops` that it stands for, which declares its arguments.
    member: Option<String>,
}

/// How it gets its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Passes {
    /// In registers, by the calling convention.
    Registers,
    /// In memory, as a BPF program: the address is in the first register.
    Array,
}

/// An argument of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Argument {
    /// Its name, as it is declared.
    pub name: String,
    /// The bits, as they are passed.
    pub bits: u64,
    /// What it is: a number, a task by its name, an address.
    pub value: Value,
}

/// The most arguments that registers hold.
const MOST: usize = 6;
/// The struct of functions that a scheduler fills in.
const OPS: &str = "sched_ext_ops";
/// The type of a task.
const TASK: &str = "task_struct";

impl Function {
    /// A function of the kernel, or else the BPF program of that name.
    ///
    /// # Errors
    /// [`ReadError`] where there is neither.
    pub fn find(kernel: &GuestKernel<'_>, name: &str) -> Result<Function, ReadError> {
        let missing = match kernel.symbol(name) {
            Ok(at) => {
                return Ok(Function {
                    name: name.to_owned(),
                    at,
                    passes: Passes::Registers,
                    member: None,
                });
            }
            Err(missing) => missing,
        };
        let bpf = Bpf::of(kernel);
        let programs = match bpf.progs() {
            Err(error) if error.is_absent() => return Err(missing),
            programs => programs?,
        };
        for program in programs {
            let function = Function::of_program(kernel, &program)?;
            if function.name == name {
                return Ok(function);
            }
        }
        Err(missing)
    }

    /// That of a BPF program.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn of_program(kernel: &GuestKernel<'_>, program: &Program<'_>) -> Result<Function, ReadError> {
        let name = match program.full_name()? {
            Some(name) => name,
            None => program.name()?,
        };
        let member = program.attach_func_name()?;
        Ok(Function {
            name,
            at: program.ksym()?,
            passes: Passes::Array,
            member: member.filter(|name| op(kernel.btf(), name).is_some()),
        })
    }

    /// The operation of a scheduler, as the kernel calls it: not the program itself, but the code that leads there.
    pub fn operation(name: &str, at: GuestVirt) -> Function {
        Function {
            name: name.to_owned(),
            at,
            passes: Passes::Registers,
            member: Some(name.to_owned()),
        }
    }

    /// The names of its arguments; `arg0` to `arg5` of one the arguments of which are not declared.
    pub fn parameters(&self, kernel: &GuestKernel<'_>) -> Vec<String> {
        match self.prototype(kernel.btf()) {
            Some(prototype) => {
                let all = prototype.params.iter().take(MOST).enumerate();
                all.map(|(n, (name, _))| named(n, name)).collect()
            }
            None => (0..MOST).map(|n| named(n, "")).collect(),
        }
    }

    /// What it is called with: `registers` are the first six arguments by the calling convention. Of a function the
    /// arguments of which are not declared, all six.
    ///
    /// # Errors
    /// [`ReadError`] where the array of a BPF program cannot be read.
    pub fn arguments(
        &self,
        kernel: &GuestKernel<'_>,
        registers: [u64; MOST],
    ) -> Result<Vec<Argument>, ReadError> {
        let Some(prototype) = self.prototype(kernel.btf()) else {
            let raw = |(n, bits): (usize, &u64)| Argument {
                name: named(n, ""),
                bits: *bits,
                value: Value::Hex(*bits),
            };
            return Ok(registers.iter().enumerate().map(raw).collect());
        };
        let mut arguments = Vec::new();
        for (n, (name, type_id)) in prototype.params.iter().take(MOST).enumerate() {
            let bits = match self.passes {
                Passes::Array => kernel.read_u64(GuestVirt(registers[0]).wrapping_add(n as u64 * 8))?,
                Passes::Registers => registers[n],
            };
            arguments.push(Argument {
                name: named(n, name),
                bits,
                value: decode(kernel, *type_id, bits),
            });
        }
        Ok(arguments)
    }

    fn prototype<'b>(&self, btf: &'b Btf) -> Option<Prototype<'b>> {
        match &self.member {
            Some(member) => op(btf, member),
            None => btf.function(&self.name),
        }
    }
}

impl Argument {
    /// The task that it points to.
    pub fn is_task(&self) -> bool {
        matches!(self.value, Value::Text(_)) && self.bits != 0
    }
}

/// The code at an address, as `function+0x10`: of the kernel, or of a BPF program; else the address.
pub fn code_at(kernel: &GuestKernel<'_>, at: GuestVirt) -> String {
    let kernels = kernel
        .symbolize(at)
        .map(|(name, distance)| (name.to_owned(), distance));
    let found = kernels.or_else(|| Bpf::of(kernel).symbolize(at).ok().flatten());
    match found {
        Some((name, distance)) => format!("{name}+{distance:#x}"),
        None => at.to_string(),
    }
}

fn named(n: usize, name: &str) -> String {
    if name.is_empty() {
        format!("arg{n}")
    } else {
        name.to_owned()
    }
}

/// What an operation of a scheduler takes: by the kernel's stub for it, which has names for the arguments, or by the type
/// of the member, which has none.
fn op<'b>(btf: &'b Btf, name: &str) -> Option<Prototype<'b>> {
    if let Some(stub) = btf.function(&format!("{OPS}__{name}")) {
        return Some(stub);
    }
    let ops = btf.find(OPS, KindSet::STRUCT)?;
    btf.prototype(btf.field(ops, name).ok()?.type_id)
}

/// An argument by its type.
fn decode(kernel: &GuestKernel<'_>, type_id: TypeId, bits: u64) -> Value {
    let btf = kernel.btf();
    if let Some(to) = btf.pointee(type_id) {
        if btf.name(btf.resolve(to)) == TASK && bits != 0 {
            let task = Object::new(kernel, btf, GuestVirt(bits), to);
            return Value::from(brief_line(task));
        }
        return Value::Hex(bits);
    }
    let cut = |size: u64| match size {
        1 | 2 | 4 => bits & ((1 << (8 * size)) - 1),
        _ => bits,
    };
    let id = btf.resolve(type_id);
    match (btf.kind(id), btf.int(id)) {
        (Kind::Int, Some(int)) if int.is_bool => Value::Bool(bits & 0xff != 0),
        (Kind::Int, Some(int)) if int.signed => {
            let unused = 64 - u32::from(int.bits.clamp(1, 64));
            Value::Int((bits << unused).cast_signed() >> unused)
        }
        (Kind::Int, Some(int)) => Value::Unsigned(cut(u64::from(int.bits) / 8)),
        _ => Value::Hex(bits),
    }
}
