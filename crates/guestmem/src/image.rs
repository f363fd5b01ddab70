//! The RAM of a saved machine: a plain file of RAM, or its bytes.
//!
//! A file is read, never mapped: if another process truncates it, the next access to a mapping would kill this
//! process, while a read returns an error.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{PoisonError, RwLock};

use crate::{Extent, GuestPhys, MemError, PhysMem, RamLayout, Region, Stretch, extents};

/// Why a RAM image could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The layout needs more bytes or files than were given.
    #[error(
        "the RAM at {start} is at {offset:#x} of a RAM image of {len:#x} bytes: {needed} bytes do not fit"
    )]
    Short {
        /// The region's first guest address.
        start: GuestPhys,
        /// The region's offset in the image, in bytes.
        offset: u64,
        /// The region's length, in bytes.
        needed: u64,
        /// The image's length, in bytes; 0 for a file that was not given.
        len: u64,
    },
    /// The file could not be read.
    #[error("read the RAM image")]
    Read(#[from] io::Error),
}

/// The RAM of a saved machine. All regions are in one image, at their `file_offset`.
#[derive(Debug)]
pub struct ImageRam {
    backing: Backing,
    layout: RamLayout,
}

#[derive(Debug)]
enum Backing {
    File(File),
    Bytes(RwLock<Vec<u8>>),
}

impl ImageRam {
    /// Opens the image in `file`, which may be sparse. The image is read-only.
    pub fn read_only(file: File, layout: RamLayout) -> Result<ImageRam, ImageError> {
        fits(&layout, file.metadata()?.len())?;
        Ok(ImageRam {
            backing: Backing::File(file),
            layout,
        })
    }

    /// Copies the image in `file`: the copy is faster to read, and writable. Holes of a sparse file cost nothing until
    /// they are touched.
    pub fn private_copy(file: &File, layout: RamLayout) -> Result<ImageRam, ImageError> {
        fits(&layout, file.metadata()?.len())?;
        let ends = layout
            .regions()
            .iter()
            .map(|region| region.file_offset + region.len);
        let mut bytes = vec![0; ends.max().unwrap_or(0) as usize];
        for region in layout.regions() {
            for extent in extents::of_region(file, region) {
                let from = region.file_offset + (extent.start.0 - region.start.0);
                let into = &mut bytes[from as usize..(from + extent.len) as usize];
                file.read_exact_at(into, from)?;
            }
        }
        Ok(ImageRam {
            backing: Backing::Bytes(RwLock::new(bytes)),
            layout,
        })
    }

    /// The image in `bytes`, writable.
    pub fn from_bytes(bytes: Vec<u8>, layout: RamLayout) -> Result<ImageRam, ImageError> {
        fits(&layout, bytes.len() as u64)?;
        Ok(ImageRam {
            backing: Backing::Bytes(RwLock::new(bytes)),
            layout,
        })
    }

    /// The layout.
    pub fn layout(&self) -> &RamLayout {
        &self.layout
    }

    /// The ranges of the image that hold `len` bytes at `at`, in order; all are checked before the first is used.
    fn pieces(&self, at: GuestPhys, len: usize) -> Result<Vec<(u64, usize)>, MemError> {
        let wrong = MemError::NotRam { at, len };
        let (mut pieces, mut here, mut left) = (Vec::new(), at, len);
        while left > 0 {
            let regions = self.layout.regions();
            let below = regions.partition_point(|region| region.start <= here);
            let region = below.checked_sub(1).map(|index| &regions[index]);
            let region = region.filter(|region| region.contains(here)).ok_or(wrong)?;
            let offset = here.0 - region.start.0;
            let piece = usize::try_from(region.len - offset).map_or(left, |rest| rest.min(left));
            pieces.push((region.file_offset + offset, piece));
            left -= piece;
            here = GuestPhys(here.0 + piece as u64);
        }
        Ok(pieces)
    }
}

/// Checks that every region lies in the first image, which has `len` bytes.
fn fits(layout: &RamLayout, len: u64) -> Result<(), ImageError> {
    for region in layout.regions() {
        let len = if region.file == 0 { len } else { 0 };
        let end = region.file_offset.checked_add(region.len);
        if end.is_none_or(|end| end > len || usize::try_from(end).is_err()) {
            return Err(ImageError::Short {
                start: region.start,
                offset: region.file_offset,
                needed: region.len,
                len,
            });
        }
    }
    Ok(())
}

impl PhysMem for ImageRam {
    fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError> {
        let len = into.len();
        let mut rest = into;
        for (offset, piece) in self.pieces(at, len)? {
            let (here, later) = rest.split_at_mut(piece);
            match &self.backing {
                Backing::File(file) => file.read_exact_at(here, offset).map_err(|error| {
                    let kind = error.kind();
                    MemError::Unreadable { at, len, kind }
                })?,
                Backing::Bytes(bytes) => {
                    let bytes = bytes.read().unwrap_or_else(PoisonError::into_inner);
                    let from = offset as usize;
                    let from = bytes.get(from..from + piece);
                    here.copy_from_slice(from.ok_or(MemError::NotRam { at, len })?);
                }
            }
            rest = later;
        }
        Ok(())
    }

    fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError> {
        let len = from.len();
        let pieces = self.pieces(at, len)?;
        let Backing::Bytes(bytes) = &self.backing else {
            return Err(MemError::ReadOnly { at, len });
        };
        let mut bytes = bytes.write().unwrap_or_else(PoisonError::into_inner);
        let mut rest = from;
        for (offset, piece) in pieces {
            let (here, later) = rest.split_at(piece);
            let into = bytes.get_mut(offset as usize..offset as usize + piece);
            into.ok_or(MemError::NotRam { at, len })?.copy_from_slice(here);
            rest = later;
        }
        Ok(())
    }

    fn regions(&self) -> Vec<Region> {
        self.layout.regions().to_vec()
    }

    fn stretch(&self, at: GuestPhys) -> Stretch {
        self.layout.stretch(at)
    }

    fn data(&self) -> Vec<Extent> {
        let of = |region: &Region| match &self.backing {
            Backing::File(file) => extents::of_region(file, region),
            Backing::Bytes(_) => vec![Extent {
                start: region.start,
                len: region.len,
            }],
        };
        self.layout.regions().iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn sparse() -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 * MIB).unwrap();
        file.write_all_at(b"low", 5 * MIB).unwrap();
        file.write_all_at(b"high", 32 * MIB).unwrap();
        file
    }

    fn layout() -> RamLayout {
        RamLayout::split_below_4g(64 * MIB, 32 * MIB)
    }

    fn check_reads(ram: &ImageRam) {
        let mut bytes = [0; 4];
        ram.read(GuestPhys(5 * MIB), &mut bytes).unwrap();
        assert_eq!(&bytes, b"low\0");
        ram.read(GuestPhys(1 << 32), &mut bytes).unwrap();
        assert_eq!(&bytes, b"high");
        let edge = GuestPhys(32 * MIB - 2);
        assert_eq!(
            ram.read(edge, &mut bytes),
            Err(MemError::NotRam { at: edge, len: 4 })
        );
        assert!(ram.read(GuestPhys(u64::MAX), &mut bytes).is_err());
    }

    #[test]
    fn a_file_is_read_where_its_layout_says_and_not_written() {
        let ram = ImageRam::read_only(sparse(), layout()).unwrap();
        check_reads(&ram);
        let at = GuestPhys(0);
        assert_eq!(ram.write(at, b"x"), Err(MemError::ReadOnly { at, len: 1 }));
        let data: u64 = ram.data().iter().map(|extent| extent.len).sum();
        assert!(data < 8 * MIB, "holes are not data");
    }

    #[test]
    fn a_private_copy_is_written_and_the_file_is_not() {
        let file = sparse();
        let ram = ImageRam::private_copy(&file, layout()).unwrap();
        check_reads(&ram);
        ram.write(GuestPhys(5 * MIB), b"LOW").unwrap();
        assert_eq!(ram.read_u8(GuestPhys(5 * MIB)), Ok(b'L'));
        let mut bytes = [0; 3];
        file.read_exact_at(&mut bytes, 5 * MIB).unwrap();
        assert_eq!(&bytes, b"low");
        let edge = GuestPhys(32 * MIB - 2);
        assert!(ram.write(edge, b"abcd").is_err());
        assert_eq!(ram.read_u16(edge), Ok(0), "a refused write changes nothing");
    }

    #[test]
    fn an_access_crosses_regions_that_adjoin_wherever_the_image_has_them() {
        let region = |start, file_offset| Region {
            start: GuestPhys(start),
            len: 4,
            file: 0,
            file_offset,
        };
        let swapped = RamLayout::from_regions(vec![region(0, 4), region(4, 0)]).unwrap();
        let ram = ImageRam::from_bytes(b"efghabcd".to_vec(), swapped).unwrap();
        let mut bytes = [0; 4];
        ram.read(GuestPhys(2), &mut bytes).unwrap();
        assert_eq!(&bytes, b"cdef");
        ram.write(GuestPhys(3), b"DE").unwrap();
        assert_eq!(ram.read_u64(GuestPhys(0)), Ok(u64::from_le_bytes(*b"abcDEfgh")));
    }

    #[test]
    fn an_image_that_is_too_short_is_refused_and_one_that_is_cut_later_is_an_error() {
        assert!(matches!(
            ImageRam::from_bytes(vec![0; 4096], layout()),
            Err(ImageError::Short { len: 4096, .. })
        ));
        let two_files = RamLayout::numa(&[4096, 4096], MIB);
        assert!(ImageRam::from_bytes(vec![0; 8192], two_files).is_err());
        let file = sparse();
        let ram = ImageRam::read_only(file.try_clone().unwrap(), layout()).unwrap();
        file.set_len(MIB).unwrap();
        assert!(matches!(
            ram.read(GuestPhys(5 * MIB), &mut [0; 4]),
            Err(MemError::Unreadable { .. })
        ));
    }
}
