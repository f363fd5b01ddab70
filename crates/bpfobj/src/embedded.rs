//! BPF objects inside of a program: skeletons embed them as they are.

use std::collections::BTreeSet;

use introspect::btf::Btf;
use memchr::memmem;
use object::read::elf::{ElfFile64, FileHeader};
use object::{
    LittleEndian, Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionKind, SymbolKind, elf,
};

/// A BPF object, as the compiler wrote it.
pub struct BpfObject<'d> {
    elf: ElfFile64<'d, LittleEndian>,
    /// Its type information.
    pub btf: Btf,
}

/// What an ELF file of 64 bits in little endian begins with (`e_ident`).
const MAGIC: &[u8] = b"\x7fELF\x02\x01\x01";

/// Objects of one program that are read; programs have one.
const MAX_OBJECTS: usize = 16;

/// The BPF objects with BTF in a program's file; those that cannot be read are left out.
pub fn embedded(program: &[u8]) -> Vec<BpfObject<'_>> {
    let begins = memmem::find_iter(program, MAGIC);
    let objects = begins.filter_map(|at| BpfObject::read(program.get(at..)?));
    objects.take(MAX_OBJECTS).collect()
}

impl<'d> BpfObject<'d> {
    fn read(bytes: &'d [u8]) -> Option<BpfObject<'d>> {
        let elf = ElfFile64::<LittleEndian>::parse(bytes).ok()?;
        if elf.elf_header().e_machine(elf.endian()) != elf::EM_BPF {
            return None;
        }
        let btf = Btf::parse(elf.section_by_name(".BTF")?.data().ok()?).ok()?;
        Some(BpfObject { elf, btf })
    }

    /// How many programs it has: the functions outside of `.text`, which holds what programs call. A loader may leave some of
    /// them out.
    pub fn programs(&self) -> usize {
        let functions = self
            .elf
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text);
        let sections = functions.filter_map(|symbol| self.elf.section_by_index(symbol.section_index()?).ok());
        sections
            .filter(|section| section.kind() == SectionKind::Text && section.name() != Ok(".text"))
            .count()
    }

    /// The symbols that the kernel must have: undefined, and not weak.
    pub(crate) fn required(&self) -> BTreeSet<&str> {
        let undefined = self
            .elf
            .symbols()
            .filter(|symbol| symbol.is_undefined() && !symbol.is_weak());
        undefined
            .filter_map(|symbol| symbol.name().ok())
            .filter(|name| !name.is_empty())
            .collect()
    }

    /// The contents of a section, and where addresses are put into it; `None` where there is none.
    pub(crate) fn section(&self, name: &str) -> Option<Contents<'d>> {
        let section = self.elf.section_by_name(name)?;
        let addresses = section
            .relocations()
            .filter(|(_, to)| matches!(to.target(), RelocationTarget::Symbol(_)));
        Some(Contents {
            bytes: section.data().ok()?,
            addresses: addresses.map(|(at, _)| at).collect(),
        })
    }
}

/// A section's contents.
pub(crate) struct Contents<'d> {
    bytes: &'d [u8],
    addresses: BTreeSet<u64>,
}

impl Contents<'_> {
    /// Is anything but zero there, or will be once addresses are put in?
    pub(crate) fn is_set(&self, at: u64, len: u64) -> bool {
        let range = at as usize..at.saturating_add(len) as usize;
        let bytes = self.bytes.get(range).unwrap_or_default();
        bytes.iter().any(|byte| *byte != 0)
            || self.addresses.range(at..at.saturating_add(len)).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::program;

    #[test]
    fn programs_are_counted_without_what_they_call() {
        let program = program();
        let [object] = &embedded(&program)[..] else {
            panic!("one object");
        };
        assert_eq!(object.programs(), 2, "`one` and `two`, not `helper`");
    }
}
