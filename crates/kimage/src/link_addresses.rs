//! The link addresses of a kernel's symbols by name, as a debugger sees them (contract B5).
//!
//! [`crate::Symbols`] keeps every symbol of a name. Here a name has one address, that of its last symbol in the table, as
//! in tools that fill a map; a symbol whose value is 0 counts. The map is shared by all copies.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use object::LittleEndian as LE;
use object::elf::{FileHeader64, SHT_SYMTAB};
use object::read::elf::{FileHeader, Sym};

use crate::Symbols;

/// Link addresses by name. Copies share one map.
#[derive(Clone, Default)]
pub struct LinkAddresses(Arc<HashMap<Box<str>, u64>>);

/// A file whose symbol table cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the kernel's .symtab cannot be read: {reason}")]
pub struct SymtabError {
    /// The ELF reader's error.
    pub reason: String,
}

impl LinkAddresses {
    /// Reads every defined, named symbol of a `vmlinux`. A file without `.symtab` has none.
    ///
    /// # Errors
    /// [`SymtabError`] unless the file is a 64-bit ELF file with a readable table.
    pub fn of_vmlinux(elf: &[u8]) -> Result<LinkAddresses, SymtabError> {
        read(elf).map_err(|error| SymtabError {
            reason: error.to_string(),
        })
    }

    /// The link address of a symbol.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.get(name).copied()
    }

    /// The number of names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn read(elf: &[u8]) -> object::Result<LinkAddresses> {
    let header = FileHeader64::<LE>::parse(elf)?;
    let endian = header.endian()?;
    let table = header.sections(endian, elf)?.symbols(endian, elf, SHT_SYMTAB)?;
    let defined = table.iter().filter(|symbol| !symbol.is_undefined(endian));
    let named = defined.filter_map(|symbol| {
        let name = std::str::from_utf8(table.symbol_name(endian, symbol).ok()?).ok()?;
        Some((name, symbol.st_value(endian)))
    });
    Ok(named.take(Symbols::MAX).collect())
}

/// Names and addresses in the order of their table. Empty names are left out.
impl<'n> FromIterator<(&'n str, u64)> for LinkAddresses {
    fn from_iter<I: IntoIterator<Item = (&'n str, u64)>>(symbols: I) -> LinkAddresses {
        let named = symbols.into_iter().filter(|(name, _)| !name.is_empty());
        LinkAddresses(Arc::new(
            named.map(|(name, address)| (name.into(), address)).collect(),
        ))
    }
}

impl fmt::Debug for LinkAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkAddresses({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::ElfWriter;

    const TEXT: u64 = 0xffff_ffff_8100_0000;

    fn vmlinux(symbols: &[(&str, u64, char)]) -> Vec<u8> {
        let mut elf = ElfWriter::new(62);
        elf.section(".text", TEXT, &[0xcc; 64]);
        let symbols: Vec<_> = symbols
            .iter()
            .map(|(name, address, kind)| ((*name).to_owned(), *address, *kind))
            .collect();
        elf.symbols(&symbols);
        elf.write()
    }

    fn check(symbols: &[(&str, u64, char)], expect: &[(&str, Option<u64>)]) -> LinkAddresses {
        let found = LinkAddresses::of_vmlinux(&vmlinux(symbols)).unwrap();
        for (name, address) in expect {
            assert_eq!(found.get(name), *address, "{name}");
        }
        found
    }

    /// B5: of symbols with one name the last in the table counts, wherever it lies.
    #[test]
    fn the_last_of_a_name_wins() {
        let symbols = [
            ("show", TEXT + 8, 't'),
            ("show", TEXT, 't'),
            ("init", TEXT + 4, 'T'),
        ];
        let found = check(&symbols, &[("show", Some(TEXT)), ("init", Some(TEXT + 4))]);
        assert_eq!(found.len(), 2);
    }

    /// B5: a value of 0 counts.
    #[test]
    fn a_value_of_zero_is_kept() {
        check(
            &[("fixed_percpu_data", 0, 'D')],
            &[("fixed_percpu_data", Some(0))],
        );
    }

    /// B5: undefined, unnamed and missing symbols have no address, and nothing panics.
    #[test]
    fn what_is_missing_has_no_address() {
        let symbols = [("elsewhere", TEXT, 'U'), ("", TEXT, 'T'), ("here", TEXT, 'T')];
        let absent = [
            ("elsewhere", None),
            ("", None),
            ("nowhere", None),
            ("here", Some(TEXT)),
        ];
        assert_eq!(check(&symbols, &absent).len(), 1);
        assert_eq!(LinkAddresses::default().get("here"), None);
        let mut stripped = ElfWriter::new(62);
        stripped.section(".text", TEXT, &[0xcc; 64]);
        assert!(LinkAddresses::of_vmlinux(&stripped.write()).unwrap().is_empty());
    }

    /// B5: copies share one map.
    #[test]
    fn copies_share_one_map() {
        let found = check(&[("here", TEXT, 'T')], &[]);
        assert!(Arc::ptr_eq(&found.0, &found.clone().0));
    }

    #[test]
    fn a_damaged_file_is_an_error_or_has_fewer_symbols() {
        let whole = vmlinux(&[("here", TEXT, 'T')]);
        assert!(LinkAddresses::of_vmlinux(b"\x7fELF").is_err());
        for len in 0..whole.len() {
            let _ = LinkAddresses::of_vmlinux(&whole[..len]);
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let _ = LinkAddresses::of_vmlinux(&bytes);
        }
    }
}
