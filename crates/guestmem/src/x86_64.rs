//! x86-64 page tables: 4 and 5 levels, leaves of 4 KiB, 2 MiB and 1 GiB (Intel SDM volume 3, chapter 4.5).

use crate::walk::{Entry, Shape};
use crate::{GuestPhys, GuestVirt, PhysMem};

/// Bits 51:12 of an entry: the physical address of the next table or page.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bit 0: the entry is present.
const PRESENT: u64 = 1;
/// Bit 7: in a directory entry, this is a leaf.
const LARGE: u64 = 1 << 7;
/// Bit 1: writable; bit 2: accessible to user programs. Both must be set at every level.
const WRITABLE_BY_USER: u64 = 0b110;
/// The height of the page directory pointer table, the highest one with leaves.
const PDPT: u8 = 2;

/// The number of levels of the guest's paging, which CR4.LA57 selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levels {
    /// 48-bit addresses: PML4 at the top.
    Four,
    /// 57-bit addresses: PML5 at the top.
    Five,
}

impl Levels {
    fn depth(self) -> u8 {
        match self {
            Levels::Four => 4,
            Levels::Five => 5,
        }
    }

    fn va_bits(self) -> u32 {
        12 + 9 * u32::from(self.depth())
    }
}

/// Whether every level of these page tables lets a user's program write to the byte at `at`.
pub(crate) fn is_writable_by_user(mem: &dyn PhysMem, cr3: u64, levels: Levels, at: GuestVirt) -> bool {
    const INDEX_BITS: u32 = 9;
    const PAGE_BITS: u32 = 12;
    if canonical(levels, at.0).is_err() {
        return false;
    }
    let mut table = cr3 & ADDRESS;
    for height in (0..levels.depth()).rev() {
        let index = at.0 >> (PAGE_BITS + INDEX_BITS * u32::from(height)) & ((1 << INDEX_BITS) - 1);
        let Ok(entry) = mem.read_u64(GuestPhys(table + 8 * index)) else {
            return false;
        };
        let needed = PRESENT | WRITABLE_BY_USER;
        if entry & needed != needed {
            return false;
        }
        if (1..=PDPT).contains(&height) && entry & LARGE != 0 {
            return true;
        }
        table = entry & ADDRESS;
    }
    true
}

/// Of `cr3`'s low bits only 11:0 are no address (contract C3); its high ones are switches, such as LAM's.
pub(crate) fn shape(cr3: u64, levels: Levels) -> Shape {
    Shape {
        root: cr3 & ADDRESS,
        va_bits: levels.va_bits(),
        page_bits: 12,
        index_bits: 9,
        depth: levels.depth(),
    }
}

pub(crate) fn canonical(levels: Levels, at: u64) -> Result<(), u64> {
    let half = 1u64 << (levels.va_bits() - 1);
    let upper = half.wrapping_neg();
    if at < half || at >= upper {
        Ok(())
    } else {
        Err(upper - at)
    }
}

pub(crate) fn decode(height: u8, entry: u64) -> Entry {
    if entry & PRESENT == 0 {
        return Entry::Absent;
    }
    let address = entry & ADDRESS;
    match (height, entry & LARGE != 0) {
        // In a page table's entry, bit 7 is a memory type (PAT).
        (0, _) | (1..=PDPT, true) => Entry::Leaf(address),
        (_, false) => Entry::Table(address),
        (_, true) => Entry::Malformed,
    }
}
