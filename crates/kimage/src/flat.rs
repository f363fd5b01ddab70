//! The arm64 boot image (`Image`): the kernel as it is in memory, without section or program headers.
//!
//! ```text
//!  0        8             16           24      56       64         file length    image_size
//!  ┌────────┬─────────────┬────────────┬───────┬────────┬──────────┬──────────────┐
//!  │ MZ,    │ text_offset │ image_size │ flags │ ARM\x64│ the rest of the kernel  │ .bss: zeros,
//!  │ branch │ u64         │ u64        │ u64   │        │ from _text to _edata    │ not in the file
//!  └────────┴─────────────┴────────────┴───────┴────────┴─────────────────────────┘
//! ```
//!
//! Mirrors Documentation/arch/arm64/booting.rst. The first byte is `_text`, so an offset in the file and an address in
//! the kernel differ by one number: where `_text` is linked. All else follows from the kernel's own symbol tables
//! (kallsyms) and that number:
//!
//! | what | from |
//! |---|---|
//! | `_text`, up to 6.19 | the symbols, whose tables have an absolute base (a pointer, so it can be among the relocations); without `CONFIG_KALLSYMS_ALL`, which keeps `_text`, that base |
//! | `_text`, from 7.0 on | the kernel's pointers, see [`linked_at`]: the tables have only distances |
//! | `.BTF`, `.notes` | the symbols around them; without these, the one build id that is not the vDSO's |

use std::ops::Range;

use memchr::memmem;

use crate::build_id::BuildId;
use crate::bytes::{array, u16_at, u32_at, u64_at};
use crate::elf::{Layout, SegmentPlace};
use crate::format::Arch;
use crate::kallsyms::{self, Encoding, KallsymsError, Region, Tables};
use crate::symbols::Symbols;

/// Finds the symbols of a flat image, and the parts that they locate. A part that is not found is absent; without a
/// link address, addresses count from the start of the image.
pub(crate) fn read(image: &[u8]) -> (Layout, Result<Symbols, KallsymsError>) {
    let symbols = kallsyms::decode(
        Arch::Aarch64,
        &[Region {
            address: 0,
            bytes: image,
        }],
    )
    .map(|tables| place(image, tables));
    let mut layout = Layout::default();
    let base = match &symbols {
        Ok((_, base)) => *base,
        Err(_) => 0,
    };
    layout.segments.push(SegmentPlace {
        address: base,
        physical: 0,
        memory_size: u64_at(image, IMAGE_SIZE).unwrap_or(0).max(image.len() as u64),
        file: 0..image.len(),
    });
    if let Ok((symbols, base)) = &symbols {
        layout.text = Some(*base);
        let between = |start, end| between(image, symbols, *base, start, end);
        layout.btf = between("__start_BTF", "__stop_BTF").filter(|range| !range.is_empty());
        if let Some(notes) = between("__start_notes", "__stop_notes") {
            layout.take_bare_notes(&image[notes]);
        }
    }
    layout.build_id = layout.build_id.or_else(|| own_build_id(image));
    (layout, symbols.map(|(symbols, _)| symbols))
}

/// Offset of `text_offset` in the header: the distance of `_text` from a multiple of [`PLACE_ALIGN`].
const TEXT_OFFSET: usize = 8;
/// Offset of `image_size` in the header.
const IMAGE_SIZE: usize = 16;
/// The kernel is loaded, and so linked, at a multiple of this plus `text_offset`.
const PLACE_ALIGN: u64 = 2 << 20;

/// The symbols at their link addresses, and the link address of the image's first byte.
fn place(image: &[u8], tables: Tables) -> (Symbols, u64) {
    let text_offset = u64_at(image, TEXT_OFFSET)
        .filter(|offset| *offset < PLACE_ALIGN)
        .unwrap_or(0);
    match tables.encoding {
        Encoding::FromItself { .. } => {
            let base = linked_at(image, &tables.symbols, text_offset).unwrap_or(0);
            (tables.symbols.moved(base), base)
        }
        Encoding::FromBase { base } | Encoding::FromBaseOrAbsolute { base } => {
            let text = tables.symbols.address_of("_text");
            // The base is the lowest symbol, which is within the first megabytes: `_stext` when there is no `_text`.
            let start = text.unwrap_or_else(|| (base & !(PLACE_ALIGN - 1)).saturating_add(text_offset));
            (tables.symbols, start)
        }
    }
}

/// Derives, from a kernel's pointers, its link address when the symbols only hold distances from the image's start.
///
/// The kernel can be relocated (`CONFIG_RELOCATABLE`), yet it contains its link address many times: in the pointers
/// themselves (`CONFIG_RELR`), or in the addends of the relocations (RELA). Kernels with such tables begin at a multiple
/// of 2 GiB, as the 2 GiB for modules end there (`KIMAGE_VADDR`, since 6.5), which leaves one candidate: where most
/// pointers point. It is right if they point at symbols. In Debian's 7.2 every second one does; with a wrong
/// candidate, one in thirty would.
fn linked_at(image: &[u8], offsets: &Symbols, text_offset: u64) -> Option<u64> {
    const KERNEL_HALF: u64 = 0xfff0 << 48;
    const STEP: u32 = 31;
    /// There is no kernel in the last 2 GiB (`FIXADDR_TOP` is below), but all small negative numbers are.
    const LAST: u64 = u64::MAX >> STEP;
    let words = || {
        image
            .chunks_exact(8)
            .filter_map(|word| word.try_into().ok().map(u64::from_le_bytes))
            .filter(|word| *word >= KERNEL_HALF && word >> STEP != LAST)
    };
    // Boyer and Moore's majority vote: a value that is more than half of all remains as the candidate.
    let (most, _) = words().fold((0, 0_usize), |(most, lead), word| match lead {
        0 => (word >> STEP, 1),
        _ if most == word >> STEP => (most, lead + 1),
        _ => (most, lead - 1),
    });
    let base = (most << STEP) + text_offset;
    let end = base.checked_add(image.len() as u64)?;
    let (mut inside, mut at_symbols) = (0_usize, 0_usize);
    for word in words().filter(|word| (base..end).contains(word)) {
        inside += 1;
        let offset = word - base;
        at_symbols += usize::from(offsets.nearest(offset).is_some_and(|(_, distance)| distance == 0));
    }
    (at_symbols > 0 && at_symbols * 8 >= inside).then_some(base)
}

/// The part of the image between two symbols.
fn between(image: &[u8], symbols: &Symbols, base: u64, start: &str, end: &str) -> Option<Range<usize>> {
    let offset = |name| usize::try_from(symbols.address_of(name)?.checked_sub(base)?).ok();
    let range = offset(start)?..offset(end)?;
    image.get(range.clone()).map(|_| range)
}

/// The build id that lies outside of programs in the kernel, since these (vDSOs) have build ids of their own; `None` if
/// several remain.
fn own_build_id(image: &[u8]) -> Option<BuildId> {
    /// `n_type` and name of the note; `n_descsz` is the word before it.
    const MARK: &[u8] = b"\x03\0\0\0GNU\0";
    let programs = programs(image);
    let mut found = memmem::find_iter(image, MARK).filter_map(|mark| {
        let start = mark
            .checked_sub(8)
            .filter(|start| u32_at(image, *start) == Some(4))?;
        let len = u32_at(image, start + 4)? as usize;
        let id = image.get(mark + MARK.len()..)?.get(..len)?;
        let inside = programs.iter().any(|program| program.contains(&start));
        BuildId::from_bytes(id).ok().filter(|_| !inside)
    });
    found.next().filter(|_| found.next().is_none())
}

/// The ranges of ELF files in the image: from a page boundary to the end of their section headers.
fn programs(image: &[u8]) -> Vec<Range<usize>> {
    const PAGE: usize = 4096;
    /// The most programs searched for; no kernel has as many vDSOs and pieces of embedded hypervisor code.
    const MAX_PROGRAMS: usize = 64;
    memmem::find_iter(image, b"\x7fELF\x02\x01")
        .filter(|start| start.is_multiple_of(PAGE))
        .filter_map(|start| {
            let sections = usize::try_from(u64_at(image, start.checked_add(0x28)?)?).ok()?;
            let [size, count] = array::<4>(image, start + 0x3a).map(|pair| {
                [u16_at(&pair, 0), u16_at(&pair, 2)].map(|word| usize::from(word.unwrap_or(0)))
            })?;
            let end = start.checked_add(sections)?.checked_add(size * count)?;
            Some(start..end)
        })
        .take(MAX_PROGRAMS)
        .collect()
}

#[cfg(test)]
mod tests;
