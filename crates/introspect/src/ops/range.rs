//! Addresses that may be touched: checked before, since nothing would stop an access.

use guestmem::GuestVirt;

/// The lowest address of the kernel's half: below that of any kernel, with five levels of page tables too.
pub const KVA_FROM: u64 = 0xff00_0000_0000_0000;

/// The direct map of RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirectMap {
    /// `page_offset_base`.
    pub base: u64,
    /// Bytes of RAM, with the holes.
    pub size: u64,
}

/// An address that may not be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// Below the direct map.
    #[error("{kva:#x} is below the direct map at {base:#x}: its physical address would wrap")]
    BelowDirectMap {
        /// The address.
        kva: u64,
        /// Where the map begins.
        base: u64,
    },
    /// Past the direct map.
    #[error("{len} bytes at {kva:#x} overruns the direct map, which ends at {end:#x}")]
    PastDirectMap {
        /// The address.
        kva: u64,
        /// How many bytes.
        len: u64,
        /// Where the map ends.
        end: u64,
    },
    /// The range has no end.
    #[error("{len} bytes at {kva:#x} overflow the address space")]
    Overflow {
        /// The address.
        kva: u64,
        /// How many bytes.
        len: u64,
    },
    /// The direct map has no end.
    #[error("a direct map of {size} bytes from {base:#x} on overflows the address space")]
    MapOverflow {
        /// Where the map begins.
        base: u64,
        /// Its size.
        size: u64,
    },
    /// Not the kernel's.
    #[error("{kva:#x} is below {KVA_FROM:#x}, where the kernel-half begins; name a symbol with Symbol")]
    NotKernels {
        /// The address.
        kva: u64,
    },
}

impl DirectMap {
    /// Are these bytes in it?
    ///
    /// # Errors
    /// [`RangeError`].
    pub fn check(self, kva: u64, len: u64) -> Result<GuestVirt, RangeError> {
        let DirectMap { base, size } = self;
        let end = base
            .checked_add(size)
            .ok_or(RangeError::MapOverflow { base, size })?;
        if kva < base {
            return Err(RangeError::BelowDirectMap { kva, base });
        }
        let last = kva.checked_add(len).ok_or(RangeError::Overflow { kva, len })?;
        if last > end {
            return Err(RangeError::PastDirectMap { kva, len, end });
        }
        Ok(GuestVirt(kva))
    }
}

/// Are these bytes in the kernel's half?
///
/// # Errors
/// [`RangeError`].
pub fn check_kva(kva: u64, len: u64) -> Result<GuestVirt, RangeError> {
    if kva < KVA_FROM {
        return Err(RangeError::NotKernels { kva });
    }
    kva.checked_add(len).ok_or(RangeError::Overflow { kva, len })?;
    Ok(GuestVirt(kva))
}
