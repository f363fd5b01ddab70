//! Guest RAM as a save keeps it: the pages that are not zero, packed, in blocks with a checksum each.
//!
//! At the agent's first call a guest has touched a quarter of its RAM, and a third of that is zero again. So a fork
//! copies runs of pages out of a dense file into an empty memory file, block by block on all CPUs, each block checked
//! while it is still in the cache.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

const PAGE: usize = 4096;

/// Pages that are checked and copied at a time: a block fits into a CPU's own cache.
const BLOCK_PAGES: u64 = 64;

/// Threads of one copy: with more of them, memory bandwidth is the limit.
const MAX_THREADS: usize = 4;

/// The pages of guest RAM that are in the file, and their checksums.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Pages {
    /// Ascending, not adjacent.
    runs: Vec<Run>,
    /// CRC32 of each block of [`BLOCK_PAGES`] pages of the file; the last may be shorter.
    blocks: Vec<u32>,
}

/// Successive pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Run {
    /// The first one's number in guest RAM.
    page: u64,
    /// How many pages the file holds before this run.
    before: u64,
    pages: u64,
}

/// RAM could not be copied out.
#[derive(Debug)]
pub(super) enum CopyError {
    Read(io::Error),
    Damaged { block: u64 },
    Write(io::Error),
}

impl Pages {
    /// Bytes in the file.
    pub(super) fn bytes(&self) -> u64 {
        self.count() * PAGE as u64
    }

    fn count(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.before + run.pages)
    }

    /// Checks that this describes a file of a guest with that much memory; else returns what is wrong. The description has a
    /// checksum of its own, so an error here is a defect of this crate rather than damage.
    pub(super) fn check(&self, memory_bytes: u64) -> Result<(), String> {
        let (mut page, mut before) = (0, 0u64);
        for run in &self.runs {
            let end = run.page.checked_add(run.pages);
            let fits = end.is_some_and(|end| end <= memory_bytes / PAGE as u64);
            if run.pages == 0 || run.page < page || run.before != before || !fits {
                return Err(format!(
                    "its run of {} pages at page {} is impossible",
                    run.pages, run.page
                ));
            }
            page = run.page + run.pages;
            before += run.pages;
        }
        if self.blocks.len() as u64 != before.div_ceil(BLOCK_PAGES) {
            return Err(format!(
                "it has {} checksums for {before} pages",
                self.blocks.len()
            ));
        }
        Ok(())
    }

    /// The runs that lie in the file from page `from` up to `to`, cut to that.
    fn between(&self, from: u64, to: u64) -> impl Iterator<Item = Run> {
        let first = self.runs.partition_point(|run| run.before + run.pages <= from);
        self.runs[first..]
            .iter()
            .take_while(move |run| run.before < to)
            .map(move |run| {
                let skipped = from.saturating_sub(run.before);
                let end = (run.before + run.pages).min(to);
                Run {
                    page: run.page + skipped,
                    before: run.before + skipped,
                    pages: end - run.before - skipped,
                }
            })
    }

    fn push(&mut self, page: u64) {
        let before = self.count();
        match self.runs.last_mut() {
            Some(run) if run.page + run.pages == page => run.pages += 1,
            _ => self.runs.push(Run {
                page,
                before,
                pages: 1,
            }),
        }
    }
}

/// Writes the pages of the guest RAM `from` that are not zero to the empty file `to`.
pub(super) fn pack(from: &File, to: &File) -> io::Result<Pages> {
    let mut pages = Pages::default();
    let mut packer = Packer {
        to,
        block: Vec::with_capacity(BLOCK_PAGES as usize * PAGE),
        written: 0,
        blocks: Vec::new(),
    };
    let len = from.metadata()?.len();
    let mut chunk = vec![0; 256 * PAGE];
    let mut at = 0;
    while let Some((start, end)) = next_data(from, at, len)? {
        at = start - start % PAGE as u64;
        while at < end {
            let want = usize::try_from(len - at).map_or(chunk.len(), |rest| rest.min(chunk.len()));
            from.read_exact_at(&mut chunk[..want], at)?;
            for page in chunk[..want].chunks(PAGE) {
                if page.iter().any(|byte| *byte != 0) {
                    pages.push(at / PAGE as u64);
                    packer.add(page)?;
                }
                at += page.len() as u64;
            }
        }
    }
    packer.flush()?;
    pages.blocks = packer.blocks;
    Ok(pages)
}

/// The next stretch of `file` that is not a hole.
fn next_data(file: &File, at: u64, len: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= len {
        return Ok(None);
    }
    let start = match seek(file, SeekFrom::Data(at)) {
        Ok(start) => start,
        // No data follows.
        Err(Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some((start, seek(file, SeekFrom::Hole(start))?)))
}

struct Packer<'f> {
    to: &'f File,
    block: Vec<u8>,
    written: u64,
    blocks: Vec<u32>,
}

impl Packer<'_> {
    fn add(&mut self, page: &[u8]) -> io::Result<()> {
        self.block.extend_from_slice(page);
        // The last page of a RAM that is no multiple of pages long.
        self.block.resize(self.block.len().next_multiple_of(PAGE), 0);
        if self.block.len() == BLOCK_PAGES as usize * PAGE {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.block.is_empty() {
            self.to.write_all_at(&self.block, self.written)?;
            self.written += self.block.len() as u64;
            self.blocks.push(crc32fast::hash(&self.block));
            self.block.clear();
        }
        Ok(())
    }
}

/// Copies the pages of the packed file `from` to their places in the empty memory file `to`, on several CPUs.
pub(super) fn copy(from: &File, pages: &Pages, to: &File) -> Result<(), CopyError> {
    let threads = thread::available_parallelism().map_or(1, |cpus| cpus.get().min(MAX_THREADS));
    let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let result = copy_blocks(from, pages, to, &next, &failed);
        if result.is_err() {
            failed.store(true, Ordering::Relaxed);
        }
        result
    };
    thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let own = work();
        let others = others.into_iter().map(|other| {
            other
                .join()
                .unwrap_or_else(|_| Err(CopyError::Read(io::Error::other("a copying thread panicked"))))
        });
        others.fold(own, Result::and)
    })
}

fn copy_blocks(
    from: &File,
    pages: &Pages,
    to: &File,
    next: &AtomicU64,
    failed: &AtomicBool,
) -> Result<(), CopyError> {
    let mut buffer = vec![0; BLOCK_PAGES as usize * PAGE];
    let count = pages.count();
    while !failed.load(Ordering::Relaxed) {
        let block = next.fetch_add(1, Ordering::Relaxed);
        let Some(crc) = pages.blocks.get(block as usize) else {
            return Ok(());
        };
        let first = block * BLOCK_PAGES;
        let end = count.min(first + BLOCK_PAGES);
        let bytes = &mut buffer[..(end - first) as usize * PAGE];
        from.read_exact_at(bytes, first * PAGE as u64)
            .map_err(CopyError::Read)?;
        if crc32fast::hash(bytes) != *crc {
            return Err(CopyError::Damaged { block });
        }
        for run in pages.between(first, end) {
            let start = (run.before - first) as usize * PAGE;
            let run_bytes = &bytes[start..start + run.pages as usize * PAGE];
            to.write_all_at(run_bytes, run.page * PAGE as u64)
                .map_err(CopyError::Write)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::memfd;

    const GUEST_PAGES: u64 = 1000;

    /// A guest that wrote these (page, byte)s, its packed RAM, and where that belongs.
    fn packed(written: &[(u64, u8)]) -> (File, File, Pages) {
        let ram = memfd::empty("ram").unwrap();
        ram.set_len(GUEST_PAGES * PAGE as u64).unwrap();
        for (page, byte) in written {
            ram.write_all_at(&[*byte; 100], page * PAGE as u64 + 7).unwrap();
        }
        let file = memfd::empty("packed").unwrap();
        let pages = pack(&ram, &file).unwrap();
        pages.check(GUEST_PAGES * PAGE as u64).unwrap();
        (ram, file, pages)
    }

    fn unpacked(file: &File, pages: &Pages) -> Result<Vec<u8>, CopyError> {
        let to = memfd::empty("to").unwrap();
        to.set_len(GUEST_PAGES * PAGE as u64).unwrap();
        copy(file, pages, &to)?;
        Ok(memfd::content(&to).unwrap())
    }

    proptest! {
        #[test]
        fn ram_comes_back_as_it_was(written in prop::collection::vec((0..GUEST_PAGES, any::<u8>()), 0..400)) {
            let (ram, file, pages) = packed(&written);
            prop_assert_eq!(file.metadata().unwrap().len(), pages.bytes());
            prop_assert!(unpacked(&file, &pages).unwrap() == memfd::content(&ram).unwrap());
        }

        #[test]
        fn any_changed_byte_of_the_file_is_found(at: prop::sample::Index, by in 1u8..) {
            let written: Vec<_> = (0..200).map(|page| (page * 3, 9)).collect();
            let (_, file, pages) = packed(&written);
            let mut bytes = memfd::content(&file).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            let file = memfd::with_content("damaged", &bytes).unwrap();
            let damaged = matches!(unpacked(&file, &pages), Err(CopyError::Damaged { .. }));
            prop_assert!(damaged, "byte {at}");
        }
    }

    #[test]
    fn pages_that_were_zeroed_again_are_not_kept() {
        let (_, file, pages) = packed(&[(3, 1), (4, 0), (5, 1)]);
        assert_eq!(file.metadata().unwrap().len(), 2 * PAGE as u64);
        assert_eq!(pages.runs.len(), 2);
    }

    #[test]
    fn a_file_that_was_cut_off_is_found() {
        let written: Vec<_> = (0..500).map(|page| (page, 9)).collect();
        let (_, file, pages) = packed(&written);
        file.set_len(300 * PAGE as u64).unwrap();
        assert!(matches!(
            unpacked(&file, &pages),
            Err(CopyError::Read(error)) if error.kind() == io::ErrorKind::UnexpectedEof
        ));
    }

    #[test]
    fn impossible_runs_are_refused() {
        let run = |page, before, pages| Run { page, before, pages };
        let check = |runs: Vec<Run>, blocks: usize| {
            let pages = Pages {
                runs,
                blocks: vec![0; blocks],
            };
            assert!(pages.check(GUEST_PAGES * PAGE as u64).is_err(), "{pages:?}");
        };
        check(vec![run(0, 0, 0)], 0);
        check(vec![run(999, 0, 2)], 1);
        check(vec![run(u64::MAX, 0, 2)], 1);
        check(vec![run(5, 0, 2), run(6, 2, 1)], 1);
        check(vec![run(5, 1, 2)], 1);
        check(vec![run(5, 0, 2)], 2);
    }
}
