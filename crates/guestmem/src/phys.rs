//! Access to guest physical memory: the [`PhysMem`] trait.

use std::io;

use crate::{GuestPhys, Region, Stretch};

/// A failed access to guest physical memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MemError {
    /// The range is not, or not wholly, RAM.
    #[error("no guest RAM at {at} for {len} bytes")]
    NotRam {
        /// First byte of the range.
        at: GuestPhys,
        /// Length in bytes.
        len: usize,
    },
    /// The memory is a read-only image.
    #[error("{len} bytes at {at} of a read-only image cannot be written; load a private copy instead")]
    ReadOnly {
        /// First byte of the range.
        at: GuestPhys,
        /// Length in bytes.
        len: usize,
    },
    /// The file that holds RAM could not be read.
    #[error("{len} bytes at {at} cannot be read from the RAM image: {kind}")]
    Unreadable {
        /// First byte of the range.
        at: GuestPhys,
        /// Length in bytes.
        len: usize,
        /// The host's error.
        kind: io::ErrorKind,
    },
    /// An atomic operation needs an aligned word.
    #[error("the word at {at} is not aligned")]
    Unaligned {
        /// The address of the word.
        at: GuestPhys,
    },
}

/// A part of guest RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub start: GuestPhys,
    /// Length in bytes.
    pub len: u64,
}

/// Guest physical memory, readable and writable at any time, whether the guest runs or is frozen.
pub trait PhysMem: Send + Sync {
    /// Copies `into.len()` bytes that start at `at`. All or nothing: on an error `into` is unspecified.
    fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError>;

    /// Copies `from` to the guest at `at`. All or nothing. Never use it on pages that hold code: a translating
    /// backend would not notice.
    fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError>;

    /// Sets bits of a little-endian `u32` atomically with respect to a running guest, and returns the old value. The
    /// provided method is not atomic: it is for memory of a guest that cannot run meanwhile.
    fn fetch_or_u32(&self, at: GuestPhys, mask: u32) -> Result<u32, MemError> {
        let was = self.read_u32(at)?;
        self.write_u32(at, was | mask)?;
        Ok(was)
    }

    /// The RAM regions, lowest first, without overlap.
    fn regions(&self) -> Vec<Region>;

    /// The stretch that begins at `at`: RAM of one region, or a gap, with its length.
    fn stretch(&self, at: GuestPhys) -> Stretch {
        Stretch::at(&self.regions(), at)
    }

    /// The parts of RAM that may hold something other than zeros, lowest first, each inside of one region.
    /// On a running guest only a hint: a page that the guest touches for the first time becomes data.
    fn data(&self) -> Vec<Extent> {
        let whole = |region: &Region| Extent {
            start: region.start,
            len: region.len,
        };
        self.regions().iter().map(whole).collect()
    }

    /// A byte.
    fn read_u8(&self, at: GuestPhys) -> Result<u8, MemError> {
        let mut bytes = [0; 1];
        self.read(at, &mut bytes)?;
        Ok(bytes[0])
    }

    /// A little-endian `u16`.
    fn read_u16(&self, at: GuestPhys) -> Result<u16, MemError> {
        let mut bytes = [0; 2];
        self.read(at, &mut bytes)?;
        Ok(u16::from_le_bytes(bytes))
    }

    /// A little-endian `u32`.
    fn read_u32(&self, at: GuestPhys) -> Result<u32, MemError> {
        let mut bytes = [0; 4];
        self.read(at, &mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// A little-endian `u64`.
    fn read_u64(&self, at: GuestPhys) -> Result<u64, MemError> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Stores a little-endian `u32`.
    fn write_u32(&self, at: GuestPhys, value: u32) -> Result<(), MemError> {
        self.write(at, &value.to_le_bytes())
    }

    /// Stores a little-endian `u64`.
    fn write_u64(&self, at: GuestPhys, value: u64) -> Result<(), MemError> {
        self.write(at, &value.to_le_bytes())
    }
}
