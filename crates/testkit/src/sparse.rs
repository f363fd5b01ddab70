//! Guest memory of any size: only pages that were written take memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use guestmem::{GuestPhys, MemError, PhysMem, Region};

const PAGE: u64 = 4096;

/// RAM in some regions, zero where nothing was written. It counts reads.
#[derive(Debug)]
pub struct SparseMemory {
    pages: Mutex<HashMap<u64, Box<[u8; PAGE as usize]>>>,
    regions: Vec<Region>,
    reads: AtomicU64,
}

impl SparseMemory {
    /// RAM in these regions, `(start, len)`, lowest first.
    pub fn new(regions: &[(u64, u64)]) -> SparseMemory {
        let mut file_offset = 0;
        let mut one = |&(start, len): &(u64, u64)| {
            let region = Region {
                start: GuestPhys(start),
                len,
                file: 0,
                file_offset,
            };
            file_offset += len;
            region
        };
        SparseMemory {
            regions: regions.iter().map(&mut one).collect(),
            pages: Mutex::default(),
            reads: AtomicU64::new(0),
        }
    }

    /// Reads so far.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Calls `f` for every page of the range, with the page's number, the bytes within the page and within the range.
    fn each(&self, at: GuestPhys, len: usize, mut f: impl FnMut(u64, usize, usize)) -> Result<(), MemError> {
        for byte in 0..len as u64 {
            let here = at.checked_add(byte).filter(|&here| {
                let inside = |region: &Region| region.contains(here);
                self.regions.iter().any(inside)
            });
            let here = here.ok_or(MemError::NotRam { at, len })?;
            f(here.0 / PAGE, (here.0 % PAGE) as usize, byte as usize);
        }
        Ok(())
    }
}

impl PhysMem for SparseMemory {
    fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        self.each(at, into.len(), |page, from, to| {
            into[to] = pages.get(&page).map_or(0, |page| page[from]);
        })
    }

    fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError> {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        self.each(at, from.len(), |_, _, _| ())?;
        self.each(at, from.len(), |page, to, byte| {
            pages.entry(page).or_insert_with(|| Box::new([0; PAGE as usize]))[to] = from[byte];
        })
    }

    fn regions(&self) -> Vec<Region> {
        self.regions.clone()
    }
}
