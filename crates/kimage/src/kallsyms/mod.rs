//! The kernel's own symbol tables (`CONFIG_KALLSYMS`), found without any symbol.
//!
//! scripts/kallsyms.c writes eight tables into `.rodata`, in one of two orders (`[n]` counts symbols):
//!
//! ```text
//!   since 6.4                            before
//!   ─────────                            ──────
//!   num_syms        u32                  offsets         s32[n]
//!   names           see names.rs         relative_base   u64
//!   markers         u32[n / 256 up]      num_syms        u32
//!   token_table     256 strings          names
//!   token_index     u16[256]             markers         u32[n / 256 up]
//!   offsets         s32[n]               seqs_of_names   u8[3 n], from 6.2 and in late 6.1 stable kernels
//!   relative_base   u64, until 6.19      token_table     256 strings
//!   seqs_of_names   u8[3 n]              token_index     u16[256]
//! ```
//!
//! Tables are aligned to 8 bytes; without the base, no table needs more than 4, and so they get it.
//!
//! The search starts at the token table, since every kernel has symbols with digits in their names and so the ten strings
//! `"0"` … `"9"` in a row (tokens.rs; the idea is that of vmlinux-to-elf). Markers, names and num_syms are at
//! lower addresses and confirm each other (names.rs); the offsets are at higher or lower ones, in one of three encodings
//! (addresses.rs). A candidate that does not fit is skipped: returned tables were checked to the last symbol.

mod addresses;
mod names;
mod tokens;

#[cfg(test)]
mod tests;

use crate::format::Arch;
use crate::symbols::Symbols;

pub use addresses::Encoding;

/// A piece of a kernel in memory: consecutive bytes and the link address of the first.
#[derive(Debug, Clone, Copy)]
pub struct Region<'a> {
    /// Link address of the first byte.
    pub address: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// The decoded tables of a kernel.
#[derive(Debug, Clone)]
pub struct Tables {
    /// The symbols.
    pub symbols: Symbols,
    /// The encoding of the addresses.
    pub encoding: Encoding,
}

/// Why a kernel's symbols cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KallsymsError {
    /// The kernel has no token table.
    #[error(
        "no kallsyms token table: the kernel was built without CONFIG_KALLSYMS; \
         use one with it, or an unstripped vmlinux"
    )]
    NoTokenTable,
    /// No names fit the token table.
    #[error(
        "no kallsyms names fit the token table at {token_table:#x}: the kernel is damaged or its table format is unknown"
    )]
    NoNames {
        /// Link address of the token table.
        token_table: u64,
    },
    /// No addresses fit the names.
    #[error(
        "no kallsyms offsets fit the {names} names at {address:#x}: the kernel is damaged or its table format is unknown"
    )]
    NoAddresses {
        /// Number of names.
        names: usize,
        /// Link address of the names.
        address: u64,
    },
    /// The symbol table of an unstripped kernel is damaged.
    #[error("its .symtab cannot be read: {reason}")]
    Symtab {
        /// The ELF reader's error.
        reason: String,
    },
    /// Any of these errors, with the kernel's name.
    #[error("{kernel}: {problem}")]
    InKernel {
        /// The kernel's file, or its release when it did not come from a file.
        kernel: String,
        /// The problem itself.
        problem: Box<KallsymsError>,
    },
}

/// Finds and decodes the kallsyms tables in the loaded segments of a kernel for `arch`.
///
/// Where the encoding has no base, addresses are only as correct as those of `regions`.
///
/// Time is linear in the input's length but for a constant number of false starts.
///
/// # Errors
/// [`KallsymsError`] for the step that failed; with several token tables, for the one whose search went farthest.
pub fn decode(arch: Arch, regions: &[Region<'_>]) -> Result<Tables, KallsymsError> {
    let mut failure = KallsymsError::NoTokenTable;
    for region in regions {
        for tokens in tokens::find(region.bytes) {
            match decode_at(arch, *region, &tokens) {
                Ok(tables) => return Ok(tables),
                Err(closer @ KallsymsError::NoAddresses { .. }) => failure = closer,
                Err(other) if failure == KallsymsError::NoTokenTable => failure = other,
                Err(_) => {}
            }
        }
    }
    Err(failure)
}

fn decode_at(arch: Arch, region: Region<'_>, tokens: &tokens::Tokens<'_>) -> Result<Tables, KallsymsError> {
    let address = |offset: usize| region.address.wrapping_add(offset as u64);
    let names = names::find(region.bytes, tokens).ok_or_else(|| KallsymsError::NoNames {
        token_table: address(tokens.table_start),
    })?;
    let (encoding, addresses) =
        addresses::find(arch, region, tokens, &names).ok_or_else(|| KallsymsError::NoAddresses {
            names: names.count,
            address: address(names.start),
        })?;
    let mut symbols = Symbols::default();
    let mut text = String::new();
    for (name, address) in names.iter(region.bytes, tokens).zip(addresses) {
        text.clear();
        let kind = name.expand(&mut text);
        symbols.push(&text, address, kind);
    }
    Ok(Tables {
        symbols: symbols.finish(),
        encoding,
    })
}

/// The next multiple of `unit`, a power of two.
fn align_up(offset: usize, unit: usize) -> usize {
    offset.saturating_add(unit - 1) & !(unit - 1)
}
