//! The x86-64 page walk: 4 and 5 levels, leaves of 4 KiB, 2 MiB and 1 GiB (Intel SDM volume 3, chapter 4.5).

use crate::{GuestPhys, GuestVirt, MemError, PhysMem};

/// Bits 51:12 of an entry: the physical address of the next table or page.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Bit 0: the entry is present.
const PRESENT: u64 = 1;
/// Bit 7: in a directory entry, this is a leaf.
const LARGE: u64 = 1 << 7;

/// How many levels the guest's paging has: CR4.LA57 tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Levels {
    /// 48-bit addresses: PML4 at the top.
    Four,
    /// 57-bit addresses: PML5 at the top.
    Five,
}

/// Where a walk came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// The physical address of the byte that was asked for.
    pub at: GuestPhys,
    /// Bytes from there to the end of the page: what one walk vouches for.
    pub rest: u64,
}

/// Where a walk ended without a page, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// Bits above the paging width are not a sign extension.
    #[error("{at} is not a canonical address")]
    NotCanonical {
        /// The address asked for.
        at: GuestVirt,
    },
    /// An entry is not present.
    #[error("{at} is not mapped: the level-{level} entry at {entry} is not present")]
    NotPresent {
        /// The address asked for.
        at: GuestVirt,
        /// 5 = PML5 … 1 = page table.
        level: u8,
        /// Where the entry lies.
        entry: GuestPhys,
    },
    /// A table lies outside of RAM: the tables are damaged or the root is wrong.
    #[error("walking to {at}: the level-{level} table is outside of RAM ({source})")]
    TableNotRam {
        /// The address asked for.
        at: GuestVirt,
        /// 5 = PML5 … 1 = page table.
        level: u8,
        /// The failed read.
        #[source]
        source: MemError,
    },
}

/// Walks from `cr3` to the page that maps `at`. Only bits 11:0 of `cr3` are ignored (contract C3).
pub fn walk(mem: &dyn PhysMem, cr3: u64, levels: Levels, at: GuestVirt) -> Result<Leaf, WalkError> {
    let top = match levels {
        Levels::Four => 4,
        Levels::Five => 5,
    };
    let unused = 64 - (12 + 9 * u32::from(top));
    if ((at.0 << unused) as i64 >> unused) as u64 != at.0 {
        return Err(WalkError::NotCanonical { at });
    }
    let mut table = GuestPhys(cr3 & ADDRESS);
    let mut level = top;
    loop {
        let shift = 12 + 9 * u32::from(level - 1);
        let entry_at = GuestPhys(table.0 + 8 * ((at.0 >> shift) & 0x1ff));
        let entry = mem
            .read_u64(entry_at)
            .map_err(|source| WalkError::TableNotRam { at, level, source })?;
        if entry & PRESENT == 0 {
            return Err(WalkError::NotPresent {
                at,
                level,
                entry: entry_at,
            });
        }
        if level == 1 || (level <= 3 && entry & LARGE != 0) {
            let size = 1u64 << shift;
            let offset = at.0 & (size - 1);
            let frame = entry & ADDRESS & !(size - 1);
            return Ok(Leaf {
                at: GuestPhys(frame + offset),
                rest: size - offset,
            });
        }
        table = GuestPhys(entry & ADDRESS);
        level -= 1;
    }
}

#[cfg(test)]
mod tests;
