//! Symbols from the `.symtab` of a kernel that was not stripped.

use object::LittleEndian as LE;
use object::elf::{
    FileHeader64, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHN_ABS, SHT_NOBITS, SHT_SYMTAB, STB_LOCAL, STB_WEAK,
    STT_FILE, STT_SECTION,
};
use object::read::SectionIndex;
use object::read::elf::{FileHeader, SectionHeader, SectionTable, Sym};

use crate::symbols::Symbols;

/// The named, defined symbols of `elf`; `None` when there are none.
pub(crate) fn read(elf: &[u8]) -> object::Result<Option<Symbols>> {
    let header = FileHeader64::<LE>::parse(elf)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, elf)?;
    let table = sections.symbols(endian, elf, SHT_SYMTAB)?;
    let symbols = table.iter().filter_map(|symbol| {
        let named = !matches!(symbol.st_type(), STT_FILE | STT_SECTION) && !symbol.is_undefined(endian);
        let name = table
            .symbol_name(endian, symbol)
            .ok()
            .filter(|name| named && !name.is_empty() && !is_mapping(name))?;
        let name = std::str::from_utf8(name).ok()?;
        Some((name, symbol.st_value(endian), letter(endian, &sections, symbol)))
    });
    let symbols: Symbols = symbols.collect();
    Ok((!symbols.is_empty()).then_some(symbols))
}

/// Arm's mapping symbols, which mark where code and data begin: `$x`, `$d`, or either with a `.` and more.
fn is_mapping(name: &[u8]) -> bool {
    matches!(name, [b'$', b'x' | b'd'] | [b'$', b'x' | b'd', b'.', ..])
}

/// The type letter that `nm` prints, as far as kernels need it.
fn letter(
    endian: LE,
    sections: &SectionTable<'_, FileHeader64<LE>>,
    symbol: &object::elf::Sym64<LE>,
) -> char {
    let global = symbol.st_bind() != STB_LOCAL;
    if symbol.st_bind() == STB_WEAK {
        return 'W';
    }
    let index = symbol.st_shndx(endian);
    let letter = if index == SHN_ABS {
        'a'
    } else {
        match sections.section(SectionIndex(usize::from(index))) {
            Ok(section) => section_letter(section.sh_flags(endian), section.sh_type(endian)),
            Err(_) => '?',
        }
    };
    if global {
        letter.to_ascii_uppercase()
    } else {
        letter
    }
}

fn section_letter(flags: u64, kind: u32) -> char {
    let has = |flag: u32| flags & u64::from(flag) != 0;
    match () {
        () if has(SHF_EXECINSTR) => 't',
        () if kind == SHT_NOBITS => 'b',
        () if has(SHF_WRITE) => 'd',
        () if has(SHF_ALLOC) => 'r',
        () => 'n',
    }
}
