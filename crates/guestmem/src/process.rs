//! The RAM of a machine in another process, where it is that process's own: copied on write from a file that others map, too.

use std::fs::{self, File};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;
use rustix::fs::{major, minor};

use crate::{Extent, GuestPhys, MemError, PhysMem, RamLayout, Region, Stretch, extents};

const PAGE: usize = 4096;

/// A read of more bytes than this goes past the cache.
const LONG: usize = 16 * PAGE;

/// After so many pages that were not there, a stop is taken for one of many: what the last such stop read is read at once.
const MANY: usize = 24;

/// Pages in one system call (`UIO_MAXIOV` of the kernel is 1024).
const BATCH: usize = 512;

/// Pages that are kept for the next stop of many.
const MOST_KEPT: usize = 4096;

/// A process's private RAM cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ProcessRamError {
    /// Its mappings cannot be read.
    #[error("read the mappings of process {pid}; has it ended, or does it belong to another user?")]
    Maps {
        /// The process.
        pid: u32,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// It maps less of the file than the layout names.
    #[error("process {pid} does not map {len} bytes of guest RAM at {start}")]
    Unmapped {
        /// The process.
        pid: u32,
        /// The region's first guest address.
        start: GuestPhys,
        /// The region's length.
        len: u64,
    },
    /// The host's kernel does not let this process read the other's memory.
    #[error(
        "read the memory of process {pid} ({source}); does /proc/sys/kernel/yama/ptrace_scope forbid it?"
    )]
    Refused {
        /// The process.
        pid: u32,
        /// The failed call.
        #[source]
        source: io::Error,
    },
}

/// Guest RAM in another process, by process_vm_readv(2) and process_vm_writev(2).
///
/// A system call costs as much as some hundred bytes, so pages are read whole and kept until the guest runs on
/// ([`ProcessRam::forget`]). Whoever writes goes through this value.
#[derive(Debug)]
pub struct ProcessRam {
    pid: u32,
    file: File,
    layout: RamLayout,
    mappings: Vec<Mapping>,
    /// `None`: the guest runs meanwhile, and nothing is kept.
    pages: Option<Mutex<Pages>>,
}

/// A part of the file, and where the process maps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mapping {
    offset: u64,
    len: u64,
    address: u64,
}

/// The pages that were read since the guest stood still.
#[derive(Debug)]
struct Pages {
    /// By page of the file: the place in `bytes`, counted from 1; 0: it was not read.
    places: Vec<u32>,
    /// The pages in `bytes`, in that order.
    kept: Vec<u32>,
    bytes: Vec<u8>,
    /// How many were asked for one by one.
    missed: usize,
    /// The pages of the last stop in which many were read.
    many: Vec<u32>,
}

impl ProcessRam {
    /// The RAM of a process that maps `file`, laid out so, while its guest stands still.
    ///
    /// # Errors
    /// [`ProcessRamError`].
    pub fn frozen(pid: u32, file: &File, layout: RamLayout) -> Result<ProcessRam, ProcessRamError> {
        let mut ram = ProcessRam::running(pid, file, layout)?;
        let pages = ram
            .layout
            .regions()
            .iter()
            .map(|region| region.file_offset + region.len);
        let pages = pages.max().unwrap_or(0).div_ceil(PAGE as u64);
        ram.pages = Some(Mutex::new(Pages {
            places: vec![0; pages as usize],
            kept: Vec::new(),
            bytes: Vec::new(),
            missed: 0,
            many: Vec::new(),
        }));
        Ok(ram)
    }

    /// The same while its guest runs: every read is a call of its own.
    ///
    /// # Errors
    /// [`ProcessRamError`].
    pub fn running(pid: u32, file: &File, layout: RamLayout) -> Result<ProcessRam, ProcessRamError> {
        let failed = |source| ProcessRamError::Maps { pid, source };
        let maps = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let mappings = mappings(&maps, metadata.dev(), metadata.ino());
        let ram = ProcessRam {
            pid,
            file: file.try_clone().map_err(failed)?,
            layout,
            mappings,
            pages: None,
        };
        for region in ram.layout.regions() {
            let unmapped = ProcessRamError::Unmapped {
                pid,
                start: region.start,
                len: region.len,
            };
            let ends = [region.file_offset, region.file_offset + region.len - 1];
            if ends.into_iter().any(|offset| ram.address_of(offset).is_none()) {
                return Err(unmapped);
            }
        }
        if let Some(first) = ram.layout.regions().first() {
            let mut byte = [0];
            ram.copy_out(first.file_offset, &mut byte)
                .map_err(|error| ProcessRamError::Refused {
                    pid,
                    source: error.into(),
                })?;
        }
        Ok(ram)
    }

    /// The process is about to be gone: its number may be another's then, and nothing is read or written any more.
    pub fn end(&mut self) {
        self.forget();
        self.mappings.clear();
    }

    /// The guest is about to run: what was read is no more what is there.
    pub fn forget(&mut self) {
        if let Some(pages) = &mut self.pages {
            pages.get_mut().unwrap_or_else(PoisonError::into_inner).forget();
        }
    }

    /// Where that byte of the file is in the process, and how many bytes follow there.
    fn address_of(&self, offset: u64) -> Option<(u64, u64)> {
        let holds = |mapping: &&Mapping| offset >= mapping.offset && offset - mapping.offset < mapping.len;
        let mapping = self.mappings.iter().find(holds)?;
        let into = offset - mapping.offset;
        Some((mapping.address + into, mapping.len - into))
    }

    /// Where the range is in the file, if it is RAM of one region.
    fn offset_of(&self, at: GuestPhys, len: usize) -> Result<u64, MemError> {
        let regions = self.layout.regions();
        let region = regions.iter().find(|region| region.contains(at));
        let offset = region.and_then(|region| {
            let into = at.0 - region.start.0;
            (len as u64 <= region.len - into).then_some(region.file_offset + into)
        });
        offset.ok_or(MemError::NotRam { at, len })
    }

    /// Splits a range at the ends of regions: (place in the file, part of the range).
    fn pieces(&self, at: GuestPhys, len: usize) -> Result<Vec<(u64, std::ops::Range<usize>)>, MemError> {
        if let Ok(offset) = self.offset_of(at, len) {
            return Ok(vec![(offset, 0..len)]);
        }
        let mut pieces = Vec::new();
        let mut done = 0;
        while done < len {
            let here = at.0.checked_add(done as u64).map(GuestPhys);
            let stretch = here.map(|here| (here, self.layout.stretch(here)));
            let Some((here, Stretch::Ram(follow))) = stretch else {
                return Err(MemError::NotRam { at, len });
            };
            let part = usize::try_from(follow).unwrap_or(usize::MAX).min(len - done);
            pieces.push((self.offset_of(here, part)?, done..done + part));
            done += part;
        }
        Ok(pieces)
    }

    /// Copies from the process, whatever is kept.
    fn copy_out(&self, offset: u64, into: &mut [u8]) -> Result<(), Errno> {
        self.each_part(offset, into.len(), |range, remote| {
            let mut local = [IoSliceMut::new(&mut into[range])];
            process_vm_readv(self.process(), &mut local, &[remote])
        })
    }

    fn copy_in(&self, offset: u64, from: &[u8]) -> Result<(), Errno> {
        self.each_part(offset, from.len(), |range, remote| {
            let local = [io::IoSlice::new(&from[range])];
            process_vm_writev(self.process(), &local, &[remote])
        })
    }

    /// Does `copy` for each part that the process maps in one piece, as often as it takes.
    fn each_part(
        &self,
        offset: u64,
        len: usize,
        mut copy: impl FnMut(std::ops::Range<usize>, RemoteIoVec) -> Result<usize, Errno>,
    ) -> Result<(), Errno> {
        let mut done = 0;
        while done < len {
            let (address, follow) = self.address_of(offset + done as u64).ok_or(Errno::EFAULT)?;
            let part = usize::try_from(follow).unwrap_or(usize::MAX).min(len - done);
            let remote = RemoteIoVec {
                base: address as usize,
                len: part,
            };
            match copy(done..done + part, remote)? {
                0 => return Err(Errno::EFAULT),
                copied => done += copied,
            }
        }
        Ok(())
    }

    fn process(&self) -> Pid {
        Pid::from_raw(self.pid.cast_signed())
    }

    fn pages(&self) -> Option<MutexGuard<'_, Pages>> {
        let pages = self.pages.as_ref()?;
        Some(pages.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn read_piece(&self, offset: u64, into: &mut [u8]) -> Result<(), Errno> {
        let pages = if into.len() > LONG { None } else { self.pages() };
        let Some(mut pages) = pages else {
            return self.copy_out(offset, into);
        };
        let mut done = 0;
        while done < into.len() {
            let at = offset + done as u64;
            let (page, within) = ((at / PAGE as u64) as u32, (at % PAGE as u64) as usize);
            let part = (PAGE - within).min(into.len() - done);
            let place = match pages.places[page as usize] {
                0 => self.fetch(&mut pages, page)?,
                place => place,
            };
            let start = (place as usize - 1) * PAGE + within;
            into[done..done + part].copy_from_slice(&pages.bytes[start..start + part]);
            done += part;
        }
        Ok(())
    }

    /// Reads a page that is not kept; returns its place.
    fn fetch(&self, pages: &mut Pages, page: u32) -> Result<u32, Errno> {
        pages.missed += 1;
        if pages.missed == MANY {
            let many = std::mem::take(&mut pages.many);
            let missing: Vec<u32> = many
                .into_iter()
                .filter(|page| pages.places[*page as usize] == 0)
                .collect();
            for batch in missing.chunks(BATCH) {
                // They were there in the last stop; where one is not now, whoever wants it gets the error.
                let _ = self.fetch_all(pages, batch);
            }
        }
        if pages.places[page as usize] == 0 {
            self.fetch_all(pages, &[page])?;
        }
        Ok(pages.places[page as usize])
    }

    fn fetch_all(&self, pages: &mut Pages, batch: &[u32]) -> Result<(), Errno> {
        let mut remote = Vec::with_capacity(batch.len());
        for page in batch {
            let (address, _) = self
                .address_of(u64::from(*page) * PAGE as u64)
                .ok_or(Errno::EFAULT)?;
            remote.push(RemoteIoVec {
                base: address as usize,
                len: PAGE,
            });
        }
        let first = pages.bytes.len();
        pages.bytes.resize(first + batch.len() * PAGE, 0);
        let mut local = [IoSliceMut::new(&mut pages.bytes[first..])];
        let copied = process_vm_readv(self.process(), &mut local, &remote);
        if copied != Ok(batch.len() * PAGE) {
            pages.bytes.truncate(first);
            return Err(copied.err().unwrap_or(Errno::EFAULT));
        }
        for page in batch {
            pages.kept.push(*page);
            pages.places[*page as usize] = pages.kept.len() as u32;
        }
        Ok(())
    }
}

impl Pages {
    fn forget(&mut self) {
        for page in &self.kept {
            self.places[*page as usize] = 0;
        }
        if self.missed >= MANY && self.kept.len() <= MOST_KEPT {
            self.many = std::mem::take(&mut self.kept);
            self.many.sort_unstable();
        }
        self.kept.clear();
        self.bytes.clear();
        self.missed = 0;
    }

    /// Puts what was written into pages that are kept.
    fn written(&mut self, offset: u64, from: &[u8]) {
        let mut done = 0;
        while done < from.len() {
            let at = offset + done as u64;
            let (page, within) = ((at / PAGE as u64) as usize, (at % PAGE as u64) as usize);
            let part = (PAGE - within).min(from.len() - done);
            if let Some(place) = self.places[page].checked_sub(1) {
                let start = place as usize * PAGE + within;
                self.bytes[start..start + part].copy_from_slice(&from[done..done + part]);
            }
            done += part;
        }
    }
}

impl PhysMem for ProcessRam {
    fn read(&self, at: GuestPhys, into: &mut [u8]) -> Result<(), MemError> {
        let len = into.len();
        let unreadable = |errno: Errno| MemError::Unreadable {
            at,
            len,
            kind: io::Error::from(errno).kind(),
        };
        // Most reads are of one piece.
        if let Ok(offset) = self.offset_of(at, len) {
            return self.read_piece(offset, into).map_err(unreadable);
        }
        for (offset, range) in self.pieces(at, len)? {
            self.read_piece(offset, &mut into[range]).map_err(unreadable)?;
        }
        Ok(())
    }

    fn write(&self, at: GuestPhys, from: &[u8]) -> Result<(), MemError> {
        let len = from.len();
        for (offset, range) in self.pieces(at, len)? {
            let part = &from[range];
            self.copy_in(offset, part).map_err(|errno| MemError::Unreadable {
                at,
                len,
                kind: io::Error::from(errno).kind(),
            })?;
            if let Some(mut pages) = self.pages() {
                pages.written(offset, part);
            }
        }
        Ok(())
    }

    fn regions(&self) -> Vec<Region> {
        self.layout.regions().to_vec()
    }

    fn stretch(&self, at: GuestPhys) -> Stretch {
        self.layout.stretch(at)
    }

    /// What the file holds, and what the process has of its own, in blocks of 2 MiB.
    fn data(&self) -> Vec<Extent> {
        let regions = self.layout.regions();
        let pagemap = File::open(format!("/proc/{}/pagemap", self.pid));
        let mut data = Vec::new();
        for region in regions {
            let mut here = extents::of_region(&self.file, region);
            match &pagemap {
                Ok(pagemap) => here.extend(self.own(pagemap, region)),
                Err(_) => here = vec![whole(region)],
            }
            here.sort_unstable_by_key(|extent| extent.start);
            data.extend(merged(here));
        }
        data
    }
}

impl ProcessRam {
    /// The blocks of a region in which the process has a page of its own.
    fn own(&self, pagemap: &File, region: &Region) -> Vec<Extent> {
        const PAGES: u64 = 512;
        const ENTRY: u64 = 8;
        /// The page is in RAM, or swapped out (Documentation/admin-guide/mm/pagemap.rst).
        const THERE: u64 = 0b11 << 62;
        let mut blocks = Vec::new();
        let mut done = 0;
        while done < region.len {
            let start = GuestPhys(region.start.0 + done);
            let Some((address, follow)) = self.address_of(region.file_offset + done) else {
                break;
            };
            let len = (PAGES * PAGE as u64).min(region.len - done).min(follow);
            let mut entries = vec![0; (len.div_ceil(PAGE as u64) * ENTRY) as usize];
            let read = pagemap.read_exact_at(&mut entries, address / PAGE as u64 * ENTRY);
            let there = |entry: &[u8]| {
                let entry: [u8; 8] = entry.try_into().unwrap_or_default();
                u64::from_le_bytes(entry) & THERE != 0
            };
            if read.is_err() || entries.chunks(ENTRY as usize).any(there) {
                blocks.push(Extent { start, len });
            }
            done += len;
        }
        blocks
    }
}

fn whole(region: &Region) -> Extent {
    Extent {
        start: region.start,
        len: region.len,
    }
}

/// Sorted extents without overlap.
fn merged(sorted: Vec<Extent>) -> Vec<Extent> {
    let mut all: Vec<Extent> = Vec::new();
    for extent in sorted {
        match all.last_mut() {
            Some(last) if extent.start.0 <= last.start.0 + last.len => {
                let end = (last.start.0 + last.len).max(extent.start.0 + extent.len);
                last.len = end - last.start.0;
            }
            _ => all.push(extent),
        }
    }
    all
}

/// Where a process maps the file with this device and inode, in the text of its `/proc/PID/maps`:
/// `7f7f89ffe000-7f7fbaffe000 rw-p 31000000 00:01 58635   /memfd:schedrig-ram (deleted)`.
fn mappings(maps: &str, device: u64, inode: u64) -> Vec<Mapping> {
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let mapping = |line: &str| {
        let mut words = line.split_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let offset = hex(words.nth(1)?)?;
        let (of_major, of_minor) = words.next()?.split_once(':')?;
        let same = hex(of_major)? == u64::from(major(device))
            && hex(of_minor)? == u64::from(minor(device))
            && words.next()?.parse() == Ok(inode);
        let (start, end) = (hex(start)?, hex(end)?);
        same.then_some(Mapping {
            offset,
            len: end.checked_sub(start)?,
            address: start,
        })
    };
    maps.lines().filter_map(mapping).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::SharedRam;

    use super::*;

    const MIB: u64 = 1 << 20;

    /// RAM that this process itself maps, and both ways to it.
    fn both(len: u64, low: u64) -> (SharedRam, ProcessRam) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        let layout = RamLayout::split_below_4g(len, low);
        let shared = SharedRam::map(&file, layout.clone()).unwrap();
        let process = ProcessRam::frozen(std::process::id(), &file, layout).unwrap();
        (shared, process)
    }

    #[test]
    fn what_was_read_stays_until_the_guest_runs() {
        let (shared, mut process) = both(MIB, MIB);
        let at = GuestPhys(5000);
        shared.write(at, b"first").unwrap();
        let read = |process: &ProcessRam| {
            let mut seen = [0; 5];
            process.read(at, &mut seen).unwrap();
            seen
        };
        assert_eq!(&read(&process), b"first");
        shared.write(at, b"other").unwrap();
        assert_eq!(
            &read(&process),
            b"first",
            "the guest stands still, so nobody else writes"
        );
        process.forget();
        assert_eq!(&read(&process), b"other");
        process.write(at, b"third").unwrap();
        assert_eq!(&read(&process), b"third");
        process.forget();
        assert_eq!(&read(&process), b"third");
        let mut seen = [0; 5];
        shared.read(at, &mut seen).unwrap();
        assert_eq!(&seen, b"third");
    }

    #[test]
    fn what_many_pages_were_read_of_is_read_at_once_the_next_time() {
        let (shared, mut process) = both(MIB, MIB);
        for round in 1..4u64 {
            for page in 0..200u64 {
                shared
                    .write_u64(GuestPhys(page * 4096 + 8), page * round)
                    .unwrap();
            }
            for page in (0..200u64).rev() {
                assert_eq!(
                    process.read_u64(GuestPhys(page * 4096 + 8)).unwrap(),
                    page * round
                );
            }
            let missed = process.pages().unwrap().missed;
            assert_eq!(missed, if round == 1 { 200 } else { MANY });
            process.forget();
        }
    }

    #[test]
    fn a_range_that_leaves_ram_is_refused_whole() {
        let (_, process) = both(2 * MIB, MIB);
        let end = GuestPhys(MIB - 2);
        assert_eq!(
            process.read(end, &mut [0; 4]),
            Err(MemError::NotRam { at: end, len: 4 })
        );
        assert_eq!(
            process.write(end, b"abcd"),
            Err(MemError::NotRam { at: end, len: 4 })
        );
        assert!(process.read(GuestPhys(u64::MAX), &mut [0; 4]).is_err());
    }

    #[test]
    fn data_is_a_superset_of_what_was_written() {
        let (shared, process) = both(64 * MIB, 32 * MIB);
        for at in [20 * MIB, (1 << 32) + 5 * MIB] {
            shared.write(GuestPhys(at), b"data").unwrap();
        }
        let data = process.data();
        let total: u64 = data.iter().map(|extent| extent.len).sum();
        assert!(total <= 8 * MIB, "{data:?}");
        for at in [20 * MIB, (1 << 32) + 5 * MIB] {
            let holds = |extent: &Extent| extent.start.0 <= at && at < extent.start.0 + extent.len;
            assert!(data.iter().any(holds), "{at:#x} is in {data:?}");
        }
    }

    #[test]
    fn a_process_that_does_not_map_it_is_told_apart() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(MIB).unwrap();
        let layout = RamLayout::split_below_4g(MIB, MIB);
        let of = |pid| ProcessRam::frozen(pid, &file, layout.clone());
        assert!(matches!(
            of(std::process::id()),
            Err(ProcessRamError::Unmapped { .. })
        ));
        assert!(matches!(of(u32::MAX >> 1), Err(ProcessRamError::Maps { .. })));
    }

    proptest! {
        #[test]
        fn both_ways_see_the_same(
            accesses in prop::collection::vec((any::<bool>(), 0..2 * MIB, 1usize..200_000, any::<u8>()), 1..40)
        ) {
            let (shared, mut process) = both(2 * MIB, MIB);
            for (write, at, len, byte) in accesses {
                let at = if at < MIB { GuestPhys(at) } else { GuestPhys((1 << 32) + at - MIB) };
                if write {
                    let bytes = vec![byte; len];
                    let done = process.write(at, &bytes);
                    prop_assert_eq!(done.is_ok(), shared.write(at, &bytes).is_ok());
                } else {
                    let (mut one, mut other) = (vec![0; len], vec![0; len]);
                    let done = process.read(at, &mut one);
                    prop_assert_eq!(done.is_ok(), shared.read(at, &mut other).is_ok());
                    prop_assert!(done.is_err() || one == other);
                }
                if byte % 5 == 0 {
                    process.forget();
                }
            }
        }

        #[test]
        fn any_text_of_mappings_is_read_without_a_panic(text: String) {
            let _ = mappings(&text, 1, 2);
        }
    }
}
