//! An address space with cached translations, for walks along a frozen kernel's lists.

use std::cell::Cell;

use crate::virt::{cstr, not_wrapping, value};
use crate::{AddressSpace, GuestPhys, GuestVirt, Leaf, VirtError, WalkError};

/// Translations are cached for pieces of this size, in bytes, whatever the guest's page size is.
const GRAIN: u64 = 4096;
/// The number of cached translations: the objects of a list are spread over a whole slab, so a few hundred pages are
/// common.
const SLOTS: usize = 512;

/// An [`AddressSpace`] that caches the translations of recently read pages.
///
/// Only for a frozen guest: a translation is cached until [`forget`](Self::forget) or drop, even if the guest changes
/// its tables. So create one after the freeze, and drop it before the guest runs again. Unmapped addresses are not
/// cached.
pub struct CachedSpace<'m> {
    space: AddressSpace<'m>,
    /// Direct-mapped by page number.
    slots: Box<[Cell<Option<Slot>>]>,
}

#[derive(Clone, Copy)]
struct Slot {
    page: u64,
    phys: GuestPhys,
}

impl<'m> CachedSpace<'m> {
    /// `space`, with an empty cache.
    pub fn new(space: AddressSpace<'m>) -> Self {
        CachedSpace {
            space,
            slots: vec![Cell::new(None); SLOTS].into(),
        }
    }

    /// The uncached address space: for writes, and for ranges.
    pub fn space(&self) -> AddressSpace<'m> {
        self.space
    }

    /// Empties the cache: required after the guest ran, or its tables were written.
    pub fn forget(&self) {
        for slot in &self.slots {
            slot.set(None);
        }
    }

    /// The translation of `at`; `rest` ends with the 4 KiB around it.
    pub fn translate(&self, at: GuestVirt) -> Result<Leaf, WalkError> {
        let (page, offset) = (at.0 / GRAIN, at.0 % GRAIN);
        let slot = &self.slots[page as usize % SLOTS];
        let phys = match slot.get() {
            Some(known) if known.page == page => known.phys,
            _ => {
                // A page is at least one grain long and aligned like it, so one address stands for the grain.
                let phys = GuestPhys(self.space.translate(at)?.at.0 - offset);
                slot.set(Some(Slot { page, phys }));
                phys
            }
        };
        Ok(Leaf {
            at: GuestPhys(phys.0 + offset),
            rest: GRAIN - offset,
        })
    }

    /// Copies `into.len()` bytes from `at`. All or nothing: on an error `into` is unspecified.
    pub fn read(&self, at: GuestVirt, into: &mut [u8]) -> Result<(), VirtError> {
        not_wrapping(at, into.len())?;
        let (mut rest, mut virt) = (into, at);
        while !rest.is_empty() {
            let leaf = self.translate(virt)?;
            let (here, later) = rest.split_at_mut(rest.len().min(leaf.rest as usize));
            self.space
                .memory()
                .read(leaf.at, here)
                .map_err(|source| VirtError::NotRam { at: virt, source })?;
            virt = GuestVirt(virt.0.wrapping_add(here.len() as u64));
            rest = later;
        }
        Ok(())
    }

    /// The bytes at `at` up to the first NUL, as [`AddressSpace::read_cstr`] reads them.
    pub fn read_cstr(&self, at: GuestVirt, max: usize) -> Result<Vec<u8>, VirtError> {
        cstr(at, max, |at, into| self.read(at, into))
    }

    /// A byte at `at`.
    pub fn read_u8(&self, at: GuestVirt) -> Result<u8, VirtError> {
        let mut bytes = [0; 1];
        self.read(at, &mut bytes)?;
        Ok(bytes[0])
    }

    /// A little-endian `u16` at `at`.
    pub fn read_u16(&self, at: GuestVirt) -> Result<u16, VirtError> {
        let mem = self.space.memory();
        value(
            at,
            self.translate(at)?,
            |phys| mem.read_u16(phys),
            |bytes| self.read(at, bytes).map(|()| u16::from_le_bytes(*bytes)),
        )
    }

    /// A little-endian `u32` at `at`.
    pub fn read_u32(&self, at: GuestVirt) -> Result<u32, VirtError> {
        let mem = self.space.memory();
        value(
            at,
            self.translate(at)?,
            |phys| mem.read_u32(phys),
            |bytes| self.read(at, bytes).map(|()| u32::from_le_bytes(*bytes)),
        )
    }

    /// A little-endian `u64` at `at`.
    pub fn read_u64(&self, at: GuestVirt) -> Result<u64, VirtError> {
        let mem = self.space.memory();
        value(
            at,
            self.translate(at)?,
            |phys| mem.read_u64(phys),
            |bytes| self.read(at, bytes).map(|()| u64::from_le_bytes(*bytes)),
        )
    }
}
