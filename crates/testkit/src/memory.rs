//! Guest memory in a vector, mapped one to one.

use std::sync::{Mutex, PoisonError};

use guestmem::{GuestPhys, MemError, PhysMem, Region};

/// RAM from address 0 on. The first pages hold 4-level page tables that map the first GiB to itself.
#[derive(Debug)]
pub struct FakeMemory {
    bytes: Mutex<Vec<u8>>,
}

impl FakeMemory {
    /// The root of the page tables.
    pub const CR3: u64 = 0x1000;

    /// RAM of `len` bytes, at least three pages.
    pub fn new(len: usize) -> FakeMemory {
        let memory = FakeMemory {
            bytes: Mutex::new(vec![0; len.max(0x3000)]),
        };
        const PRESENT_WRITABLE: u64 = 3;
        const LARGE: u64 = 1 << 7;
        // PML4[0] → PDPT at 0x2000; PDPT[0] = the first GiB as one page.
        for (at, entry) in [
            (0x1000, 0x2000 | PRESENT_WRITABLE),
            (0x2000, PRESENT_WRITABLE | LARGE),
        ] {
            // Both lie inside of the vector, by its least length.
            let _ = memory.write(GuestPhys(at), &u64::to_le_bytes(entry));
        }
        memory
    }

    fn range(at: GuestPhys, len: usize) -> std::ops::Range<usize> {
        let start = usize::try_from(at.0).unwrap_or(usize::MAX);
        start..start.saturating_add(len)
    }
}

impl PhysMem for FakeMemory {
    fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError> {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = MemError::NotRam { at, len: into.len() };
        into.copy_from_slice(bytes.get(FakeMemory::range(at, into.len())).ok_or(wrong)?);
        Ok(())
    }

    fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let wrong = MemError::NotRam { at, len: from.len() };
        bytes
            .get_mut(FakeMemory::range(at, from.len()))
            .ok_or(wrong)?
            .copy_from_slice(from);
        Ok(())
    }

    fn regions(&self) -> Vec<Region> {
        let len = self.bytes.lock().unwrap_or_else(PoisonError::into_inner).len() as u64;
        vec![Region {
            start: GuestPhys(0),
            len,
            file: 0,
            file_offset: 0,
        }]
    }
}
