//! `struct bpf_prog`: a program that is loaded.

use guestmem::GuestVirt;
use record::Value;

use super::{Bpf, Map, TypeInfo, enumerator};
use crate::btf::TypeId;
use crate::{Object, ReadError};

/// `struct bpf_prog`, and `struct bpf_prog_aux`, in which most of it is.
#[derive(Clone, Copy)]
pub struct Program<'b> {
    bpf: &'b Bpf<'b>,
    prog: Object<'b>,
}

/// `struct bpf_prog_stats`, summed over all CPUs. The first two are counted while `kernel.bpf_stats_enabled` is set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunStats {
    /// `cnt`: how often it ran.
    pub cnt: u64,
    /// `nsecs`: the time that it ran, in ns.
    pub nsecs: u64,
    /// `misses`: how often it did not run, because it ran already on that CPU.
    pub misses: u64,
}

/// Maps of one program (`MAX_USED_MAPS` is 64), and functions (`BPF_MAX_SUBPROGS` is 256).
const MOST_MAPS: u64 = 1024;
const MOST_FUNCS: u64 = 1024;
/// Bytes of an instruction (`struct bpf_insn`).
const INSN: u64 = 8;

impl<'b> Program<'b> {
    pub(super) fn new(bpf: &'b Bpf<'b>, prog: Object<'b>) -> Program<'b> {
        Program { bpf, prog }
    }

    /// The `struct bpf_prog` itself.
    pub fn object(&self) -> Object<'b> {
        self.prog
    }

    /// `aux`: the `struct bpf_prog_aux`.
    pub fn aux(&self) -> Result<Object<'b>, ReadError> {
        self.prog.follow("aux")
    }

    /// `aux->id`
    pub fn id(&self) -> Result<u64, ReadError> {
        self.prog.u64("aux->id")
    }

    /// `aux->name`: the first 15 bytes of its name.
    pub fn name(&self) -> Result<String, ReadError> {
        self.prog.str("aux->name")
    }

    /// The name of its function, of which [`Program::name`] is the beginning: `aux->func_info[0]` in its own types;
    /// `None` when it was loaded without.
    pub fn full_name(&self) -> Result<Option<String>, ReadError> {
        let aux = self.aux()?;
        let (Some(types), true) = (self.types()?, aux.u64("func_info_cnt")? > 0) else {
            return Ok(None);
        };
        let id = TypeId(aux.u64("func_info->type_id")? as u32);
        let name = types.types()?.name(id);
        Ok((!name.is_empty()).then(|| name.to_owned()))
    }

    /// `tag`: the hash of its instructions, in hex.
    pub fn tag(&self) -> Result<String, ReadError> {
        let bytes = self.prog.field("tag")?.bytes()?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// `type`, by the names of `enum bpf_prog_type`.
    pub fn kind(&self) -> Result<String, ReadError> {
        enumerator(self.bpf.kernel, "bpf_prog_type", self.prog.u64("type")?)
    }

    /// `expected_attach_type`, by the names of `enum bpf_attach_type`.
    pub fn attach_type(&self) -> Result<String, ReadError> {
        let value = self.prog.u64("expected_attach_type")?;
        enumerator(self.bpf.kernel, "bpf_attach_type", value)
    }

    /// `aux->attach_func_name`: the kernel function or member of an ops struct that it stands for.
    pub fn attach_func_name(&self) -> Result<Option<String>, ReadError> {
        let pointer = self.aux()?.field("attach_func_name")?;
        match pointer.bits()? {
            0 => Ok(None),
            _ => pointer.text().map(Some),
        }
    }

    /// `aux->verified_insns`: instructions that the verifier has followed.
    pub fn verified_insns(&self) -> Result<u64, ReadError> {
        self.prog.u64("aux->verified_insns")
    }

    /// `len`: bytes of its instructions, as the verifier left them.
    pub fn xlated_len(&self) -> Result<u64, ReadError> {
        Ok(self.prog.u64("len")? * INSN)
    }

    /// Bytes of its machine code, of all its functions: `jited_len`, or those of `aux->func`.
    pub fn jited_len(&self) -> Result<u64, ReadError> {
        let aux = self.aux()?;
        let funcs = bounded(&aux, "func_cnt", MOST_FUNCS)?;
        if funcs == 0 {
            return self.prog.u64("jited_len");
        }
        let all = aux.follow("func")?;
        let mut sum = 0u64;
        for index in 0..funcs {
            sum = sum.saturating_add(all.element(index)?.deref()?.u64("jited_len")?);
        }
        Ok(sum)
    }

    /// `aux->ksym.start`: where its machine code begins.
    pub fn ksym(&self) -> Result<GuestVirt, ReadError> {
        self.aux()?.pointer("ksym.start")
    }

    /// Which of its functions has machine code at this address, and how far from the function's beginning.
    pub fn symbolize(&self, at: GuestVirt) -> Result<Option<(String, u64)>, ReadError> {
        let aux = self.aux()?;
        let mut functions = vec![aux];
        let count = bounded(&aux, "func_cnt", MOST_FUNCS)?;
        if count > 0 {
            let all = aux.follow("func")?;
            for index in 0..count {
                functions.push(all.element(index)?.deref()?.follow("aux")?);
            }
        }
        for function in functions {
            let (start, end) = (function.u64("ksym.start")?, function.u64("ksym.end")?);
            if (start..end).contains(&at.0) {
                let name = function.str("ksym.name")?;
                return Ok(Some((bare(&name).to_owned(), at.0 - start)));
            }
        }
        Ok(None)
    }

    /// `pages`: the pages of `struct bpf_prog` with its instructions.
    pub fn pages(&self) -> Result<u64, ReadError> {
        self.prog.u64("pages")
    }

    /// `aux->load_time`: when it was loaded, in ns since boot.
    pub fn load_time(&self) -> Result<u64, ReadError> {
        self.prog.u64("aux->load_time")
    }

    /// `bpf_prog_get_stats()`: what it ran so far, summed over all CPUs.
    pub fn stats(&self) -> Result<RunStats, ReadError> {
        let kernel = self.bpf.kernel;
        let template = self.prog.follow("stats")?;
        let mut sum = RunStats::default();
        for cpu in kernel.possible_cpus()?.iter() {
            let at = kernel.per_cpu_at("stats", template.address(), cpu)?;
            let stats = template.elsewhere(at);
            for (into, name) in [
                (&mut sum.cnt, "cnt"),
                (&mut sum.nsecs, "nsecs"),
                (&mut sum.misses, "misses"),
            ] {
                // A `u64_stats_t`: a number in several wrappings.
                let counter = stats.field(name)?;
                *into = into.wrapping_add(kernel.read_u64(counter.address())?);
            }
        }
        Ok(sum)
    }

    /// `aux->used_maps`: the maps that its instructions name.
    pub fn used_maps(&self) -> Result<Vec<Map<'b>>, ReadError> {
        let aux = self.aux()?;
        let count = bounded(&aux, "used_map_cnt", MOST_MAPS)?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let all = aux.follow("used_maps")?;
        (0..count)
            .map(|index| Ok(Map::new(self.bpf, all.element(index)?.deref()?)))
            .collect()
    }

    /// `aux->btf`: its own types; `None` when it was loaded without.
    pub fn types(&self) -> Result<Option<TypeInfo<'b>>, ReadError> {
        let btf = self.aux()?.follow_opt("btf")?;
        Ok(btf.map(|btf| TypeInfo::new(self.bpf, btf)))
    }

    /// All of it.
    pub fn value(&self) -> Value {
        let optional = |text: Result<Option<String>, ReadError>| match text {
            Ok(text) => Value::from(text.unwrap_or_else(|| "none".to_owned())),
            Err(error) => Value::missing(&error),
        };
        let stats = self.stats();
        let stat = |of: fn(&RunStats) -> u64| stats.as_ref().map(of).map_err(Clone::clone);
        let maps = match self.used_maps() {
            Ok(maps) => maps.iter().map(|map| Value::from(map.id())).collect(),
            Err(error) => Value::missing(&error),
        };
        let btf = match self.types() {
            Ok(Some(types)) => Value::from(types.id()),
            Ok(None) => Value::from("none"),
            Err(error) => Value::missing(&error),
        };
        Value::tree([
            ("id", Value::from(self.id())),
            ("name", Value::from(self.name())),
            ("function", optional(self.full_name())),
            ("type", Value::from(self.kind())),
            ("tag", Value::from(self.tag())),
            ("attached_to", optional(self.attach_func_name())),
            ("loaded_at", Value::time(self.load_time())),
            ("verified_insns", Value::from(self.verified_insns())),
            ("xlated_bytes", Value::from(self.xlated_len())),
            ("jited_bytes", Value::from(self.jited_len())),
            ("address", Value::hex(self.ksym().map(|at| at.0))),
            ("run_cnt", Value::from(stat(|stats| stats.cnt))),
            ("run_time", Value::time(stat(|stats| stats.nsecs))),
            ("recursion_misses", Value::from(stat(|stats| stats.misses))),
            ("maps", maps),
            ("btf", btf),
        ])
    }
}

/// The name of a function, without what the kernel puts before it: `bpf_prog_`, and the tag in hex.
fn bare(ksym: &str) -> &str {
    let rest = ksym.strip_prefix("bpf_prog_").unwrap_or(ksym);
    match rest.split_once('_') {
        Some((tag, name)) if tag.len() == 16 => name,
        _ => rest,
    }
}

/// A count that the kernel has at a path, and never above `most`.
pub(super) fn bounded(object: &Object<'_>, path: &str, most: u64) -> Result<u64, ReadError> {
    match object.u64(path)? {
        count if count <= most => Ok(count),
        count => {
            let what = format!("{path} of {}", object.describe());
            Err(ReadError::out_of_range(what, count, format!("{most} at most")))
        }
    }
}
