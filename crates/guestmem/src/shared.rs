//! The RAM of a running machine, shared by its backend through files.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vm_memory::{
    AtomicAccess, ByteValued, Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap,
    VolatileMemory as _,
};

use crate::{Extent, GuestPhys, MemError, PhysMem, RamLayout, Region, Stretch, extents};

/// Why guest RAM could not be mapped.
#[derive(Debug, thiserror::Error)]
pub enum SharedRamError {
    /// The backing file could not be duplicated.
    #[error("duplicate the file that backs guest RAM")]
    Duplicate(#[source] std::io::Error),
    /// The layout names a file that was not given.
    #[error("the RAM at {start} is in file {file}, but there are {given} files")]
    NoFile {
        /// The region's first guest address.
        start: GuestPhys,
        /// The number of the missing file.
        file: usize,
        /// The number of files given.
        given: usize,
    },
    /// The mapping failed: out of address space, or the file is shorter than the layout requires.
    #[error("map {len} bytes of guest RAM; is there that much memory (see `ulimit -v`, /proc/meminfo)?")]
    Map {
        /// The number of bytes to map.
        len: u64,
        /// The error of `vm-memory`.
        #[source]
        source: vm_memory::mmap::FromRangesError,
    },
}

/// Guest RAM as a shared mapping of the files that back it. Cheap to clone.
///
/// Long copies are `memcpy`s; 1, 2, 4 and 8 aligned bytes are one volatile access, so that a
/// running guest's pointer is never torn.
#[derive(Clone, Debug)]
pub struct SharedRam {
    memory: Arc<GuestMemoryMmap>,
    files: Arc<[File]>,
    layout: RamLayout,
}

impl SharedRam {
    /// Maps `file` by `layout`, shared and writable.
    pub fn map(file: &File, layout: RamLayout) -> Result<SharedRam, SharedRamError> {
        SharedRam::map_files(&[file], layout)
    }

    /// Maps several files, such as one for each NUMA node, shared and writable.
    pub fn map_files(files: &[&File], layout: RamLayout) -> Result<SharedRam, SharedRamError> {
        let mut ranges = Vec::new();
        for region in layout.regions() {
            let file = files.get(region.file).ok_or(SharedRamError::NoFile {
                start: region.start,
                file: region.file,
                given: files.len(),
            })?;
            let file = file.try_clone().map_err(SharedRamError::Duplicate)?;
            ranges.push((
                GuestAddress(region.start.0),
                usize::try_from(region.len).unwrap_or(usize::MAX),
                Some(FileOffset::new(file, region.file_offset)),
            ));
        }
        let len = layout.total();
        let memory = GuestMemoryMmap::from_ranges_with_files(ranges)
            .map_err(|source| SharedRamError::Map { len, source })?;
        let files: Result<Vec<File>, _> = files.iter().map(|file| file.try_clone()).collect();
        Ok(SharedRam {
            memory: Arc::new(memory),
            files: files.map_err(SharedRamError::Duplicate)?.into(),
            layout,
        })
    }

    /// The layout.
    pub fn layout(&self) -> &RamLayout {
        &self.layout
    }

    /// Reads by one load if the address is aligned; otherwise the value can span two regions.
    fn number<T: AtomicAccess + ByteValued>(&self, at: GuestPhys) -> Result<T, MemError> {
        let slice = self.memory.get_slice(GuestAddress(at.0), size_of::<T>());
        slice
            .and_then(|slice| Ok(slice.load(0, Ordering::Relaxed)?))
            .or_else(|_| self.memory.read_obj(GuestAddress(at.0)))
            .map_err(SharedRam::not_ram(at, size_of::<T>()))
    }

    fn not_ram(at: GuestPhys, len: usize) -> impl FnOnce(vm_memory::GuestMemoryError) -> MemError {
        move |_| MemError::NotRam { at, len }
    }
}

impl PhysMem for SharedRam {
    fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError> {
        let len = into.len();
        let piece = piece_len(at, into);
        let mut here = at.0;
        for part in into.chunks_mut(piece) {
            self.memory
                .read_slice(part, GuestAddress(here))
                .map_err(SharedRam::not_ram(at, len))?;
            here = here.wrapping_add(part.len() as u64);
        }
        Ok(())
    }

    fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError> {
        let len = from.len();
        // `write_slice` writes up to the end of RAM before it fails; a refused write must change nothing.
        if !self.memory.check_range(GuestAddress(at.0), len) {
            return Err(MemError::NotRam { at, len });
        }
        self.memory
            .write_slice(from, GuestAddress(at.0))
            .map_err(SharedRam::not_ram(at, len))
    }

    fn fetch_or_u32(&self, at: GuestPhys, mask: u32) -> Result<u32, MemError> {
        let slice = self.memory.get_slice(GuestAddress(at.0), size_of::<u32>());
        let word = slice.map_err(SharedRam::not_ram(at, size_of::<u32>()))?;
        let Ok(atomic) = word.get_atomic_ref::<AtomicU32>(0) else {
            return Err(MemError::Unaligned { at });
        };
        let or = |word: u32| Some(u32::to_le(u32::from_le(word) | mask));
        let was = atomic.fetch_update(Ordering::SeqCst, Ordering::Relaxed, or);
        Ok(u32::from_le(was.unwrap_or_else(|same| same)))
    }

    fn regions(&self) -> Vec<Region> {
        self.layout.regions().to_vec()
    }

    fn stretch(&self, at: GuestPhys) -> Stretch {
        self.layout.stretch(at)
    }

    fn data(&self) -> Vec<Extent> {
        let of = |region: &Region| extents::of_region(&self.files[region.file], region);
        self.layout.regions().iter().flat_map(of).collect()
    }

    // The defaults read into byte arrays, whose alignment is 1: `vm-memory` would then go byte by byte.

    fn read_u16(&self, at: GuestPhys) -> Result<u16, MemError> {
        self.number(at).map(u16::from_le)
    }

    fn read_u32(&self, at: GuestPhys) -> Result<u32, MemError> {
        self.number(at).map(u32::from_le)
    }

    fn read_u64(&self, at: GuestPhys) -> Result<u64, MemError> {
        self.number(at).map(u64::from_le)
    }

    fn write_u32(&self, at: GuestPhys, value: u32) -> Result<(), MemError> {
        if self.stretch(at).bytes() < 4 {
            return self.write(at, &value.to_le_bytes());
        }
        self.memory
            .write_obj(value.to_le(), GuestAddress(at.0))
            .map_err(SharedRam::not_ram(at, 4))
    }

    fn write_u64(&self, at: GuestPhys, value: u64) -> Result<(), MemError> {
        if self.stretch(at).bytes() < 8 {
            return self.write(at, &value.to_le_bytes());
        }
        self.memory
            .write_obj(value.to_le(), GuestAddress(at.0))
            .map_err(SharedRam::not_ram(at, 8))
    }
}

/// How many bytes of a read are copied at once: all of them, except in one case.
///
/// glibc copies by `rep movsb` from 4 KiB on. When the target begins 1 to 63 bytes after the source, modulo the
/// page size, AMD's Zen 3 and later do that at a fifteenth of their speed (1.7 instead of 26 GiB/s). It is the
/// common case here: guest pages into a large new vector, which malloc puts 16 bytes into a page.
fn piece_len(at: GuestPhys, into: &[u8]) -> usize {
    const BELOW_REP_MOVSB: usize = 2048;
    /// From this length on, in bytes, glibc does not use `rep movsb` either.
    const LARGE: usize = 1 << 20;
    // Regions are mapped at page boundaries, so guest and host addresses agree in their low bits.
    let apart = (into.as_ptr() as usize).wrapping_sub(at.0 as usize) % 4096;
    if (1..64).contains(&apart) && (BELOW_REP_MOVSB..LARGE).contains(&into.len()) {
        BELOW_REP_MOVSB
    } else {
        into.len().max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn file(len: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        file
    }

    fn ram(len: u64, low: u64) -> SharedRam {
        SharedRam::map(&file(len), RamLayout::split_below_4g(len, low)).unwrap()
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
        assert_eq!(ram.write_u32(end, !0), Err(MemError::NotRam { at: end, len: 4 }));
        assert_eq!(ram.write_u64(end, !0), Err(MemError::NotRam { at: end, len: 8 }));
        let mut last = [0; 2];
        ram.read(end, &mut last).unwrap();
        assert_eq!(
            last, [0; 2],
            "a refused write leaves the bytes before the edge alone"
        );
        assert!(ram.read(end, &mut [0; 4]).is_err());
        assert!(ram.read_u32(end).is_err());
        assert!(ram.read(GuestPhys(u64::MAX), &mut [0; 4]).is_err());
        assert!(ram.read_u64(GuestPhys(u64::MAX - 3)).is_err());
    }

    #[test]
    fn nodes_in_files_of_their_own_adjoin() {
        let (first, second) = (file(MIB), file(MIB));
        let layout = RamLayout::numa(&[MIB, MIB], 4 * MIB);
        let ram = SharedRam::map_files(&[&first, &second], layout.clone()).unwrap();
        let seam = GuestPhys(MIB - 4);
        ram.write_u64(seam, 0x8877_6655_4433_2211).unwrap();
        assert_eq!(ram.read_u64(seam).unwrap(), 0x8877_6655_4433_2211);
        let mut high = [0; 4];
        second.read_exact_at(&mut high, 0).unwrap();
        assert_eq!(high, [0x55, 0x66, 0x77, 0x88]);
        assert!(matches!(
            SharedRam::map(&first, layout),
            Err(SharedRamError::NoFile {
                file: 1,
                given: 1,
                ..
            })
        ));
    }

    #[test]
    fn a_read_is_the_same_however_the_target_lies_to_the_page() {
        let ram = ram(MIB, MIB);
        let bytes: Vec<u8> = (0..20_000u32).map(|at| (at % 251) as u8).collect();
        ram.write(GuestPhys(4096), &bytes).unwrap();
        let mut target = vec![0; 4096 + 80 + 9000];
        let page = 4096 - target.as_ptr() as usize % 4096;
        for from in [0, 1, 4095] {
            for offset in 0..80 {
                let target = &mut target[page..][offset..][..9000];
                ram.read(GuestPhys(4096 + from as u64), target).unwrap();
                assert_eq!(target, &bytes[from..from + 9000]);
            }
        }
        let past = GuestPhys(MIB - 4096);
        let len = 8192;
        let found = ram.read(past, &mut target[page + 16..][..len]);
        assert_eq!(found, Err(MemError::NotRam { at: past, len }));
        ram.read(past, &mut []).unwrap();
    }

    #[test]
    fn values_of_all_widths_are_little_endian() {
        let ram = ram(MIB, MIB);
        ram.write_u64(GuestPhys(0), 0x8877_6655_4433_2211).unwrap();
        ram.write_u32(GuestPhys(8), 0xccbb_aa99).unwrap();
        assert_eq!(ram.read_u8(GuestPhys(7)).unwrap(), 0x88);
        assert_eq!(ram.read_u16(GuestPhys(1)).unwrap(), 0x3322);
        assert_eq!(ram.read_u32(GuestPhys(6)).unwrap(), 0xaa99_8877);
        assert_eq!(ram.read_u64(GuestPhys(4)).unwrap(), 0xccbb_aa99_8877_6655);
    }

    #[test]
    fn data_is_where_the_guest_wrote() {
        let ram = ram(64 * MIB, 32 * MIB);
        ram.write(GuestPhys(20 * MIB), b"low").unwrap();
        ram.write(GuestPhys((1 << 32) + 5 * MIB), b"high").unwrap();
        let data = ram.data();
        let total: u64 = data.iter().map(|extent| extent.len).sum();
        assert!(total < 8 * MIB, "holes are not data: {data:?}");
        for at in [20 * MIB, (1 << 32) + 5 * MIB] {
            let holds = |extent: &Extent| extent.start.0 <= at && at < extent.start.0 + extent.len;
            assert!(data.iter().any(holds), "{at:#x} is in {data:?}");
        }
    }
}
