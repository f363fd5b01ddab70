//! Guest physical memory: the [`PhysMem`] trait, and RAM that a backend shares with us through a file.

use std::fs::File;
use std::sync::Arc;

use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemory, GuestMemoryMmap, Permissions};

use crate::GuestPhys;

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
}

/// Guest physical memory, readable and writable at any time, whether the guest runs or stands still.
pub trait PhysMem: Send + Sync {
    /// Copies `into.len()` bytes that start at `at`. All or nothing: on an error `into` is unspecified.
    fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError>;

    /// Copies `from` to the guest at `at`. Never use it on pages that hold code: a translating backend would
    /// not notice.
    fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError>;

    /// The RAM regions, lowest first.
    fn regions(&self) -> Vec<Region>;

    /// A little-endian `u64`.
    fn read_u64(&self, at: GuestPhys) -> Result<u64, MemError> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

/// A contiguous piece of guest RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Where the guest sees it.
    pub start: GuestPhys,
    /// Length in bytes.
    pub len: u64,
    /// Where it begins in the backing file.
    pub file_offset: u64,
}

/// How a machine's RAM is laid out in guest physical space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RamLayout {
    regions: Vec<Region>,
}

impl RamLayout {
    /// RAM of `len` bytes that is split below 4 GiB: at most `low` bytes from address 0, the rest from 4 GiB.
    pub fn split_below_4g(len: u64, low: u64) -> RamLayout {
        let low = low.min(len);
        let mut regions = vec![Region {
            start: GuestPhys(0),
            len: low,
            file_offset: 0,
        }];
        if len > low {
            regions.push(Region {
                start: GuestPhys(1 << 32),
                len: len - low,
                file_offset: low,
            });
        }
        RamLayout { regions }
    }

    /// The regions, lowest first.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }
}

/// Guest RAM could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum SharedRamError {
    /// The backing file could not be duplicated.
    #[error("duplicate the file that backs guest RAM")]
    Duplicate(#[source] std::io::Error),
    /// The mapping failed: out of address space, or the file is shorter than the layout says.
    #[error("map {len} bytes of guest RAM; is there that much memory (see `ulimit -v`, /proc/meminfo)?")]
    Map {
        /// Bytes in all.
        len: u64,
        /// What `vm-memory` said.
        #[source]
        source: vm_memory::mmap::FromRangesError,
    },
}

/// Guest RAM as a shared mapping of the file that backs it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SharedRam {
    memory: Arc<GuestMemoryMmap>,
    layout: RamLayout,
}

impl SharedRam {
    /// Maps `file`, laid out as `layout` says, shared and writable.
    pub fn map(file: &File, layout: RamLayout) -> Result<SharedRam, SharedRamError> {
        let mut ranges = Vec::new();
        for region in layout.regions() {
            let file = file.try_clone().map_err(SharedRamError::Duplicate)?;
            ranges.push((
                GuestAddress(region.start.0),
                region.len as usize,
                Some(FileOffset::new(file, region.file_offset)),
            ));
        }
        let len = layout.regions().iter().map(|region| region.len).sum();
        let memory = GuestMemoryMmap::from_ranges_with_files(ranges)
            .map_err(|source| SharedRamError::Map { len, source })?;
        Ok(SharedRam {
            memory: Arc::new(memory),
            layout,
        })
    }
}

impl PhysMem for SharedRam {
    fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError> {
        let len = into.len();
        self.memory
            .read_slice(into, GuestAddress(at.0))
            .map_err(|_| MemError::NotRam { at, len })
    }

    fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError> {
        let len = from.len();
        // `write_slice` writes up to the end of RAM before it fails; a refused write must change nothing.
        if !self
            .memory
            .check_range(GuestAddress(at.0), len, Permissions::Write)
        {
            return Err(MemError::NotRam { at, len });
        }
        self.memory
            .write_slice(from, GuestAddress(at.0))
            .map_err(|_| MemError::NotRam { at, len })
    }

    fn regions(&self) -> Vec<Region> {
        self.layout.regions().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn ram(len: u64, low: u64) -> SharedRam {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        SharedRam::map(&file, RamLayout::split_below_4g(len, low)).unwrap()
    }

    #[test]
    fn ram_above_the_split_continues_at_4_gib() {
        let ram = ram(4 * MIB, MIB);
        ram.write(GuestPhys((1 << 32) + 5), b"high").unwrap();
        let mut seen = [0; 4];
        ram.read(GuestPhys((1 << 32) + 5), &mut seen).unwrap();
        assert_eq!(&seen, b"high");
        assert_eq!(ram.regions()[1].file_offset, MIB);
    }

    #[test]
    fn a_range_that_leaves_ram_is_refused_whole() {
        let ram = ram(2 * MIB, 2 * MIB);
        let end = GuestPhys(2 * MIB - 2);
        assert_eq!(ram.write(end, b"abcd"), Err(MemError::NotRam { at: end, len: 4 }));
        let mut last = [0; 2];
        ram.read(end, &mut last).unwrap();
        assert_eq!(
            last, [0; 2],
            "a refused write leaves the bytes before the edge alone"
        );
        assert!(ram.read(end, &mut [0; 4]).is_err());
        assert!(ram.read(GuestPhys(u64::MAX), &mut [0; 4]).is_err());
    }

    #[test]
    fn small_ram_is_one_region() {
        assert_eq!(RamLayout::split_below_4g(MIB, 2 * MIB).regions().len(), 1);
    }
}
