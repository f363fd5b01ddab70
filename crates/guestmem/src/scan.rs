//! Searches of all RAM that has data.
//!
//! Both searches visit only the extents of [`PhysMem::data`], so the holes of a sparse file cost nothing: in a
//! shared mapping, a read would fault them in.

use std::vec;

use memchr::memmem::Finder;

use crate::{Extent, GuestPhys, PhysMem, Stretch};

const PAGE: u64 = 4096;
/// The smallest hole, in bytes: no file system has smaller blocks.
const LEAST_HOLE: u64 = 512;
/// The number of bytes copied out at once.
const BLOCK: usize = 1 << 20;

/// Searches of any [`PhysMem`].
pub trait Search: PhysMem {
    /// The 4 KiB pages with data that begin with `prefix`, lowest first: for example a kernel's VMCOREINFO
    /// (`OSRELEASE=`).
    fn pages_with_prefix<'m>(&'m self, prefix: &[u8]) -> PagesWithPrefix<'m, Self> {
        PagesWithPrefix {
            mem: self,
            prefix: prefix.to_vec(),
            seen: vec![0; prefix.len()],
            extents: self.data().into_iter(),
            at: 0,
            end: 0,
        }
    }

    /// The addresses at multiples of `align` where `pattern` begins, lowest first; overlapping ones too.
    /// A match begins in data and lies in one RAM region. An empty pattern matches nowhere, and an
    /// `align` of 0 counts as 1.
    fn find<'m>(&'m self, pattern: &[u8], align: u64) -> Find<'m, Self> {
        Find {
            mem: self,
            finder: Finder::new(pattern).into_owned(),
            align: align.max(1),
            extents: self.data().into_iter(),
            extent: Extent {
                start: GuestPhys(0),
                len: 0,
            },
            start: GuestPhys(0),
            block: Vec::new(),
            begins: 0,
            from: 0,
        }
    }
}

impl<M: PhysMem + ?Sized> Search for M {}

/// The iterator of [`Search::pages_with_prefix`].
pub struct PagesWithPrefix<'m, M: ?Sized> {
    mem: &'m M,
    prefix: Vec<u8>,
    seen: Vec<u8>,
    extents: vec::IntoIter<Extent>,
    /// The next page, and the end of its extent.
    at: u64,
    end: u64,
}

impl<M: PhysMem + ?Sized> Iterator for PagesWithPrefix<'_, M> {
    type Item = GuestPhys;

    fn next(&mut self) -> Option<GuestPhys> {
        loop {
            while self.at < self.end {
                let page = GuestPhys(self.at);
                self.at = self.at.saturating_add(PAGE);
                // A page at the end of RAM may be shorter than the prefix; then it does not match.
                if self.mem.read(page, &mut self.seen).is_ok() && self.seen == self.prefix {
                    return Some(page);
                }
            }
            let extent = self.extents.next()?;
            self.end = extent.start.0.saturating_add(extent.len);
            self.at = extent.start.0.checked_next_multiple_of(PAGE).unwrap_or(self.end);
        }
    }
}

/// The iterator of [`Search::find`].
pub struct Find<'m, M: ?Sized> {
    mem: &'m M,
    finder: Finder<'static>,
    align: u64,
    extents: vec::IntoIter<Extent>,
    /// The unread rest of the current extent.
    extent: Extent,
    /// The guest address of `block`.
    start: GuestPhys,
    /// A piece of the extent, and the following bytes that a match may reach into.
    block: Vec<u8>,
    /// Matches begin before this offset of the block.
    begins: usize,
    /// Matches do not begin before this offset of the block.
    from: usize,
}

impl<M: PhysMem + ?Sized> Find<'_, M> {
    /// Reads the next piece; `None` at the end of RAM.
    fn refill(&mut self) -> Option<()> {
        while self.extent.len == 0 {
            self.extent = self.extents.next()?;
        }
        let Extent { start, len } = self.extent;
        let begins = usize::try_from(len).map_or(BLOCK, |len| len.min(BLOCK));
        let Stretch::Ram(region) = self.mem.stretch(start) else {
            self.extent.len = 0;
            return Some(());
        };
        // A hole follows the extent: zeros that need not be read unless the pattern reaches across it. Nothing follows
        // the region.
        let tail = self.finder.needle().len() as u64 - 1;
        let within = (begins as u64).saturating_add(tail).min(region);
        let readable = if tail < LEAST_HOLE {
            within.min(len)
        } else {
            within
        };
        self.block.clear();
        self.block.resize(within as usize, 0);
        let read = self.mem.read(start, &mut self.block[..readable as usize]);
        (self.start, self.from) = (start, 0);
        self.begins = if read.is_ok() { begins } else { 0 };
        self.extent = Extent {
            start: GuestPhys(start.0.saturating_add(begins as u64)),
            len: len - begins as u64,
        };
        Some(())
    }
}

impl<M: PhysMem + ?Sized> Iterator for Find<'_, M> {
    type Item = GuestPhys;

    fn next(&mut self) -> Option<GuestPhys> {
        if self.finder.needle().is_empty() {
            return None;
        }
        loop {
            while self.from < self.begins {
                let Some(hit) = self.finder.find(&self.block[self.from..]) else {
                    self.from = self.begins;
                    break;
                };
                let at = self.from + hit;
                self.from = at + 1;
                let phys = GuestPhys(self.start.0 + at as u64);
                if at < self.begins && phys.0.is_multiple_of(self.align) {
                    return Some(phys);
                }
            }
            self.refill()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageRam, RamLayout, SharedRam};

    const MIB: u64 = 1 << 20;

    fn shared(len: u64, low: u64) -> SharedRam {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        SharedRam::map(&file, RamLayout::split_below_4g(len, low)).unwrap()
    }

    fn phys(addresses: &[u64]) -> Vec<GuestPhys> {
        addresses.iter().copied().map(GuestPhys).collect()
    }

    #[test]
    fn pages_are_found_by_how_they_begin_and_holes_stay_holes() {
        let high = 1 << 32;
        let ram = shared(512 * MIB, 256 * MIB);
        for at in [MIB + 4, 7 * MIB, 200 * MIB + 4096, high, high + 256 * MIB - 4096] {
            ram.write(GuestPhys(at), b"OSRELEASE=6.12").unwrap();
        }
        let found: Vec<_> = ram.pages_with_prefix(b"OSRELEASE=").collect();
        assert_eq!(
            found,
            phys(&[7 * MIB, 200 * MIB + 4096, high, high + 256 * MIB - 4096])
        );
        let data: u64 = ram.data().iter().map(|extent| extent.len).sum();
        assert!(data < 64 * MIB, "the search made data of holes: {data}");
        let dynamic: &dyn PhysMem = &ram;
        assert_eq!(dynamic.pages_with_prefix(b"OSRELEASE=").count(), 4);
    }

    #[test]
    fn patterns_are_found_across_pages_blocks_and_holes_but_not_across_regions() {
        let ram = shared(8 * MIB, 4 * MIB);
        let high = 1 << 32;
        for at in [4093, BLOCK as u64 - 3, 3 * MIB - 2, 4 * MIB - 6, high] {
            ram.write(GuestPhys(at), b"needle").unwrap();
        }
        // Half of one at the end of a region, and its other half at the start of the next.
        ram.write(GuestPhys(4 * MIB - 3), b"nee").unwrap();
        let found: Vec<_> = ram.find(b"needle", 1).collect();
        assert_eq!(found, phys(&[4093, BLOCK as u64 - 3, 3 * MIB - 2, high]));
        assert_eq!(ram.find(b"needle", 4096).collect::<Vec<_>>(), phys(&[high]));
        let end_in_a_hole = ram.find(b"needle\0\0\0\0", 1).count();
        assert_eq!(end_in_a_hole, 4);
        assert_eq!(ram.find(b"", 1).count(), 0);
        assert_eq!(ram.find(b"absent", 0).count(), 0);
    }

    #[test]
    fn overlapping_matches_are_all_found() {
        let mut bytes = vec![0; 8192];
        bytes[4094..4098].copy_from_slice(b"aaaa");
        let ram = ImageRam::from_bytes(bytes, RamLayout::split_below_4g(8192, 8192)).unwrap();
        assert_eq!(ram.find(b"aa", 1).collect::<Vec<_>>(), phys(&[4094, 4095, 4096]));
        assert_eq!(ram.find(b"aa", 2).collect::<Vec<_>>(), phys(&[4094, 4096]));
        assert_eq!(ram.find(b"aaaa\0", 2).count(), 1);
        assert_eq!(ram.find(&[0; 4096], 4096).count(), 0);
    }
}
