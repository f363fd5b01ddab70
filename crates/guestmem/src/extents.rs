//! The data extents of a sparse file, in guest physical addresses.
//!
//! Reading the holes of a shared mapping would fault them in: seconds for a GiB of RAM that the guest never
//! touched, and the memory for it. The file system knows which ranges have data.

use std::fs::File;
use std::os::fd::AsFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::{Extent, GuestPhys, Region};

/// The parts of `region` that have data in `file`, its backing. A file system without this
/// knowledge reports data everywhere. Moves the file's position, which nothing here relies on.
pub(crate) fn of_region(file: &File, region: &Region) -> Vec<Extent> {
    let end = region.file_offset.saturating_add(region.len);
    let (mut extents, mut at) = (Vec::new(), region.file_offset);
    while at < end {
        let start = match seek(file.as_fd(), SeekFrom::Data(at)) {
            Ok(start) if start < end => start.max(at),
            Ok(_) | Err(Errno::NXIO) => break,
            Err(_) => at,
        };
        let stop = match seek(file.as_fd(), SeekFrom::Hole(start)) {
            Ok(stop) if stop > start => stop.min(end),
            _ => end,
        };
        extents.push(Extent {
            start: GuestPhys(region.start.0 + (start - region.file_offset)),
            len: stop - start,
        });
        at = stop;
    }
    extents
}
