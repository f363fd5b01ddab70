//! The memory of a kernel made by hand: RAM of which only the pages that were written exist, and its page tables.
//!
//! ```text
//!  TABLES  PML4 ─┬─[273]─► PDPT ─[0]─► 1 GiB      the direct map
//!                ├─[402]─► PDPT ─► PD ─► PT ─► 4 KiB each, the last frame first     vmalloc
//!                └─[511]─► PDPT ─[510]─► PD ─► 2 MiB each                           the image, slid
//! ```

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use guestmem::{Extent, GuestPhys, MemError, PhysMem, Region, Stretch};

use super::{END, SLIDE, TABLES, TEXT};
use crate::kernel::START_KERNEL_MAP;

const PAGE: usize = 4096;

/// Where `vmalloc` begins, how many pages it has, and their frames.
pub(super) const VMALLOC: u64 = 0xffff_c900_0000_0000;
pub(super) const VMALLOC_PAGES: u64 = 256;
const FRAMES: u64 = 0x3000_0000;

/// RAM in some regions.
pub(crate) struct Pages {
    pages: RwLock<HashMap<u64, Box<[u8; PAGE]>>>,
    regions: Vec<Region>,
}

impl Pages {
    /// RAM at these places, `(start, len)`, lowest first.
    pub(crate) fn new(regions: &[(u64, u64)]) -> Pages {
        let region = |&(start, len): &(u64, u64)| Region {
            start: GuestPhys(start),
            len,
            file: 0,
            file_offset: start,
        };
        Pages {
            pages: RwLock::default(),
            regions: regions.iter().map(region).collect(),
        }
    }

    /// Page tables for image, direct map and vmalloc, as a booting kernel makes them.
    pub(super) fn map_kernel(&self) {
        const TABLE: u64 = 0b11;
        const LARGE: u64 = 0b1000_0011;
        let table = |number: u64| TABLES + 0x1000 * number;
        let mut entries = vec![
            (table(0) + 8 * 273, table(1) | TABLE),
            (table(1), LARGE),
            (table(0) + 8 * 402, table(2) | TABLE),
            (table(2), table(3) | TABLE),
            (table(3), table(4) | TABLE),
            (table(0) + 8 * 511, table(5) | TABLE),
            (table(5) + 8 * 510, table(6) | TABLE),
        ];
        for page in 0..VMALLOC_PAGES {
            entries.push((table(4) + 8 * page, frame(page) | TABLE));
        }
        let image = (TEXT - START_KERNEL_MAP + SLIDE) >> 21..(END - START_KERNEL_MAP + SLIDE) >> 21;
        for large in image {
            entries.push((table(6) + 8 * large, large << 21 | LARGE));
        }
        for (at, entry) in entries {
            self.write_u64(GuestPhys(at), entry).unwrap();
        }
    }

    /// The pages that a range touches: number, place in the page, place in the range.
    fn pieces(&self, at: GuestPhys, len: usize) -> Result<impl Iterator<Item = Piece> + use<>, MemError> {
        let (mut here, mut left) = (at, len as u64);
        while left > 0 {
            let Stretch::Ram(bytes) = self.stretch(here) else {
                return Err(MemError::NotRam { at, len });
            };
            let bytes = bytes.min(left);
            left -= bytes;
            here = here.wrapping_add(bytes);
        }
        let mut done = 0;
        Ok(std::iter::from_fn(move || {
            let here = at.0 + done as u64;
            let offset = here as usize % PAGE;
            let piece = Piece {
                page: here / PAGE as u64,
                offset,
                done,
                len: (len - done).min(PAGE - offset),
            };
            done += piece.len;
            (piece.len > 0).then_some(piece)
        }))
    }
}

struct Piece {
    page: u64,
    offset: usize,
    done: usize,
    len: usize,
}

/// The frame of a page of vmalloc.
fn frame(page: u64) -> u64 {
    FRAMES + (VMALLOC_PAGES - 1 - page) * PAGE as u64
}

/// Where a byte of vmalloc is.
pub(super) fn vmalloc_phys(offset: u64) -> u64 {
    frame(offset / PAGE as u64) + offset % PAGE as u64
}

impl PhysMem for Pages {
    fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError> {
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        for piece in self.pieces(at, into.len())? {
            let into = &mut into[piece.done..][..piece.len];
            match pages.get(&piece.page) {
                Some(page) => into.copy_from_slice(&page[piece.offset..][..piece.len]),
                None => into.fill(0),
            }
        }
        Ok(())
    }

    fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError> {
        let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
        for piece in self.pieces(at, from.len())? {
            let page = pages.entry(piece.page).or_insert_with(|| Box::new([0; PAGE]));
            page[piece.offset..][..piece.len].copy_from_slice(&from[piece.done..][..piece.len]);
        }
        Ok(())
    }

    fn regions(&self) -> Vec<Region> {
        self.regions.clone()
    }

    fn data(&self) -> Vec<Extent> {
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        let mut written: Vec<u64> = pages.keys().copied().collect();
        written.sort_unstable();
        let extent = |page: u64| Extent {
            start: GuestPhys(page * PAGE as u64),
            len: PAGE as u64,
        };
        written.into_iter().map(extent).collect()
    }
}
