//! `kallsyms_offsets`: where each symbol is, in 32 bits, by one of three rules (`kallsyms_sym_address` in
//! kernel/kallsyms.c).
//!
//! The value in the place of `kallsyms_relative_base` distinguishes the rules: a kernel address, or something else. And
//! as the tables are sorted, a wrong guess is detected: addresses must never fall, and all must be possible kernel
//! addresses. The rule without a base has fewer checks, so there `kallsyms_seqs_of_names` (the numbers of all symbols,
//! ordered by name) must follow.

use memchr::memmem;

use super::names::Names;
use super::tokens::Tokens;
use super::{Region, align_up};
use crate::bytes::{u32_at, u64_at};
use crate::format::Arch;

/// How addresses are encoded in `kallsyms_offsets`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `relative_base + (u32)offset`: arm64, x86 from 6.15, and other kernels without the option of the next variant.
    FromBase {
        /// `kallsyms_relative_base`.
        base: u64,
    },
    /// `CONFIG_KALLSYMS_ABSOLUTE_PERCPU` (x86 with SMP until 6.14): offsets from 0 up are addresses themselves, those
    /// of per-CPU variables; negative ones mean `relative_base - 1 - offset`.
    FromBaseOrAbsolute {
        /// `kallsyms_relative_base`.
        base: u64,
    },
    /// `&offsets[i] + (s32)offset`, without a base: from 7.0.
    FromItself {
        /// Address of `kallsyms_offsets`, derived from the address of the caller's region.
        table: u64,
    },
}

/// Lowest link address of x86-64 kernels (`__START_KERNEL_map`). No part of `kallsyms_seqs_of_names`, which is in
/// the base's place when there is none, can be mistaken for an address above it: that would be a symbol number of
/// more than eight million.
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// Lowest kernel address of arm64, with the largest address space (`PAGE_OFFSET` for 52 bits).
const TTBR1_START: u64 = 0xfff0_0000_0000_0000;
/// The image is linked, and its first symbol lies, at a multiple of this on arm64 (`SEGMENT_ALIGN`). With that, the two
/// bytes that [`TTBR1_START`] requires are enough to distinguish a base from other tables.
const SEGMENT_ALIGN: u64 = 64 << 10;
/// The largest distance of an arm64 kernel's first symbol from its start, in bytes.
const MAX_FIRST_SYMBOL: u64 = 2 << 20;
/// Highest address of a per-CPU variable that is linked at 0: no kernel has more of them, in bytes.
const MAX_PERCPU: u64 = 64 << 20;

/// Finds the addresses of `names`: the encoding, and one address for each name.
pub(super) fn find(
    arch: Arch,
    region: Region<'_>,
    tokens: &Tokens<'_>,
    names: &Names,
) -> Option<(Encoding, Vec<u64>)> {
    let size = names.count.checked_mul(4)?;
    let after = align_up(tokens.index_end, 8);
    let below = names.num_syms.checked_sub(8);
    from_base(arch, region, names, after, align_up(after.checked_add(size)?, 8))
        .or_else(|| {
            from_base(
                arch,
                region,
                names,
                below?.checked_sub(align_up(size, 8))?,
                below?,
            )
        })
        .or_else(|| {
            from_itself(
                arch,
                region,
                names,
                tokens.index_end,
                tokens.index_end.checked_add(size)?,
            )
        })
}

fn from_base(
    arch: Arch,
    region: Region<'_>,
    names: &Names,
    table: usize,
    base: usize,
) -> Option<(Encoding, Vec<u64>)> {
    let base = match (arch, u64_at(region.bytes, base)?) {
        (Arch::X86_64, value) => Some(value).filter(|value| *value >= KERNEL_MAP),
        (Arch::Aarch64, 0) => relocated(region.bytes, base),
        (Arch::Aarch64, value) => Some(value).filter(|value| is_start(*value)),
    }?;
    let offsets = offsets(region.bytes, table, names.count)?;
    // Nothing in a kernel is 2 GiB above its start, and most symbols of a kernel with absolute per-CPU ones are text.
    let encoding = if arch == Arch::X86_64 && offsets.clone().any(|offset| offset < 0) {
        Encoding::FromBaseOrAbsolute { base }
    } else {
        Encoding::FromBase { base }
    };
    accept(arch, encoding, offsets)
}

/// The pointer that the starting kernel stores at `place` of a flat image: without `CONFIG_RELR`, pointers of arm64 are
/// zero in the file, and their values are in a list of `Elf64_Rela`.
fn relocated(image: &[u8], place: usize) -> Option<u64> {
    /// `r_info` of `R_AARCH64_RELATIVE`, as bytes; `r_offset` is the word before it, `r_addend` the word after it.
    const RELATIVE: [u8; 8] = 0x403_u64.to_le_bytes();
    let addend = |info: usize| {
        let offset = u64_at(image, info.checked_sub(8)?)?;
        let value = u64_at(image, info + 8)?;
        // Both are link addresses in the image: an entry whose two addresses agree with the image is the right one.
        let start = offset.wrapping_sub(place as u64);
        let fits = is_start(start) && is_start(value) && value.wrapping_sub(start) < MAX_FIRST_SYMBOL;
        (info.is_multiple_of(8) && fits).then_some(value)
    };
    memmem::find_iter(image, &RELATIVE).find_map(addend)
}

/// Whether an arm64 kernel, or its first symbol, can be linked at this address.
fn is_start(address: u64) -> bool {
    address >= TTBR1_START && address.is_multiple_of(SEGMENT_ALIGN)
}

fn from_itself(
    arch: Arch,
    region: Region<'_>,
    names: &Names,
    table: usize,
    seqs: usize,
) -> Option<(Encoding, Vec<u64>)> {
    if !is_permutation(region.bytes, seqs, names.count) {
        return None;
    }
    let encoding = Encoding::FromItself {
        table: region.address.checked_add(table as u64)?,
    };
    accept(arch, encoding, offsets(region.bytes, table, names.count)?)
}

/// The addresses, if all are possible kernel addresses.
fn accept(
    arch: Arch,
    encoding: Encoding,
    offsets: impl Iterator<Item = i32>,
) -> Option<(Encoding, Vec<u64>)> {
    let addresses: Vec<u64> = offsets
        .enumerate()
        .map(|(index, offset)| encoding.address(index, offset))
        .collect();
    let plausible = match arch {
        Arch::X86_64 => addresses
            .iter()
            .all(|address| *address >= KERNEL_MAP || *address <= MAX_PERCPU),
        // A flat image's link addresses are not known yet. Addresses that wrap are not sorted.
        Arch::Aarch64 => true,
    };
    (plausible && addresses.is_sorted()).then_some((encoding, addresses))
}

impl Encoding {
    /// The address of the symbol `index`. Wraps as the kernel's arithmetic does.
    fn address(self, index: usize, offset: i32) -> u64 {
        let signed = i64::from(offset) as u64;
        match self {
            Encoding::FromBase { base } => base.wrapping_add(u64::from(offset as u32)),
            Encoding::FromBaseOrAbsolute { .. } if offset >= 0 => signed,
            Encoding::FromBaseOrAbsolute { base } => base.wrapping_sub(1).wrapping_sub(signed),
            Encoding::FromItself { table } => table.wrapping_add(4 * index as u64).wrapping_add(signed),
        }
    }
}

fn offsets(bytes: &[u8], table: usize, count: usize) -> Option<impl Iterator<Item = i32> + Clone + '_> {
    let table = bytes.get(table..table.checked_add(count.checked_mul(4)?)?)?;
    Some((0..count).map_while(|index| u32_at(table, 4 * index).map(|word| word as i32)))
}

/// Whether `table` holds `count` big-endian numbers of three bytes: each number below `count`, once.
fn is_permutation(bytes: &[u8], table: usize, count: usize) -> bool {
    let mut seen = vec![false; count];
    let numbers = count
        .checked_mul(3)
        .and_then(|size| bytes.get(table..table.checked_add(size)?))
        .unwrap_or_default();
    numbers.chunks_exact(3).all(|number| {
        let number = u32::from_be_bytes([0, number[0], number[1], number[2]]);
        seen.get_mut(number as usize)
            .is_some_and(|seen| !std::mem::replace(seen, true))
    }) && numbers.len() == count * 3
}
