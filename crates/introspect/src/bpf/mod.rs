//! BPF programs and maps, as the kernel has loaded them.
//!
//! ```text
//!  Bpf ─┬─ prog_idr ─► Program (struct bpf_prog, bpf_prog_aux) ─┬─ used_maps ─► Map
//!       │                                                       └─ btf ─► its own types
//!       ├─ map_idr ──► Map (struct bpf_map) ─┬─ contents: entries of keys and values, each with its type
//!       │                                    └─ .bss, .data, .rodata: variables by name
//!       ├─ btf_idr ──► types of the kernel, of modules, of programs
//!       └─ link_idr ─► what programs are attached to
//! ```
//!
//! Each kind of map has a file: `array`, `hash`, `storage`, `ringbuf`, `struct_ops`, `arena`. All that the kernel says
//! of a map (sizes, counts, chains) is a claim: walks are bounded by it and by a limit of our own, whichever is less.

mod arena;
mod array;
mod contents;
mod datum;
mod globals;
mod hash;
mod ids;
mod link;
mod map;
mod memory;
mod program;
mod ringbuf;
mod source;
mod storage;
mod struct_ops;
mod types;

#[cfg(test)]
mod tests;

pub use arena::Arena;
pub use contents::{Contents, Entry, Held, Key};
pub use datum::Datum;
pub use link::Link;
pub use map::Map;
pub use program::{Program, RunStats};
pub use ringbuf::{Record, RingBuf};
pub use source::SourceLine;
pub use struct_ops::StructOps;
pub use types::TypeInfo;

use guestmem::GuestVirt;
use record::Value;

use crate::{GuestKernel, Limits, ReadError};

/// All of BPF in a kernel. Types are read and parsed when they are first needed, and kept.
pub struct Bpf<'k> {
    kernel: &'k GuestKernel<'k>,
    types: types::Parsed,
}

impl<'k> Bpf<'k> {
    /// The one of this kernel.
    pub fn of(kernel: &'k GuestKernel<'k>) -> Bpf<'k> {
        Bpf {
            kernel,
            types: types::Parsed::default(),
        }
    }

    /// The kernel.
    pub fn kernel(&self) -> &'k GuestKernel<'k> {
        self.kernel
    }

    /// `prog_idr`: the programs, by ascending id.
    pub fn progs(&self) -> Result<Vec<Program<'_>>, ReadError> {
        let found = ids::by_id(self.kernel, &ids::PROGS);
        found
            .map(|prog| prog.map(|(_, prog)| Program::new(self, prog)))
            .collect()
    }

    /// The function of a program in the machine code of which an address is, and how far from its beginning.
    pub fn symbolize(&self, at: GuestVirt) -> Result<Option<(String, u64)>, ReadError> {
        for prog in self.progs()? {
            if let Some(found) = prog.symbolize(at)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// `map_idr`: the maps, by ascending id.
    pub fn maps(&self) -> Result<Vec<Map<'_>>, ReadError> {
        let found = ids::by_id(self.kernel, &ids::MAPS);
        found.map(|map| map.map(|(_, map)| Map::new(self, map))).collect()
    }

    /// The maps of this name, or with this id.
    pub fn maps_named(&self, name: &str) -> Result<Vec<Map<'_>>, ReadError> {
        let id = name.parse::<u64>().ok();
        let mut found = Vec::new();
        for map in self.maps()? {
            if map.name()? == name || Some(map.id()?) == id {
                found.push(map);
            }
        }
        Ok(found)
    }

    /// `btf_idr`: the types that are loaded, by ascending id.
    pub fn btfs(&self) -> Result<Vec<TypeInfo<'_>>, ReadError> {
        let found = ids::by_id(self.kernel, &ids::BTFS);
        found
            .map(|btf| btf.map(|(_, btf)| TypeInfo::new(self, btf)))
            .collect()
    }

    /// `link_idr`: what programs are attached to, by ascending id.
    pub fn links(&self) -> Result<Vec<Link<'_>>, ReadError> {
        let found = ids::by_id(self.kernel, &ids::LINKS);
        found.map(|link| link.map(|(_, link)| Link::new(link))).collect()
    }

    /// All maps with what is in them.
    pub fn maps_value(&self, entries: usize, limits: &Limits) -> Value {
        match self.maps() {
            Ok(maps) => maps.iter().map(|map| map.value(entries, limits)).collect(),
            Err(error) => Value::missing(&error),
        }
    }

    /// All programs.
    pub fn progs_value(&self) -> Value {
        match self.progs() {
            Ok(progs) => progs.iter().map(Program::value).collect(),
            Err(error) => Value::missing(&error),
        }
    }
}

/// The kernel's name for a value of one of its enumerations; the number where it has none.
fn enumerator(kernel: &GuestKernel<'_>, of: &str, value: u64) -> Result<String, ReadError> {
    use crate::btf::{KindSet, Missing};

    let found = kernel.btf().find(of, KindSet::ENUM);
    let found = found.ok_or_else(|| Missing {
        kind: "enum",
        name: of.to_owned(),
    })?;
    let name = kernel.btf().enum_name(found, value.cast_signed());
    Ok(name.map_or_else(|| value.to_string(), str::to_owned))
}
