// SPDX-License-Identifier: GPL-2.0-or-later
//! Descriptors: after a fork both processes have the same open files behind them. What is a channel, or a counter by which
//! threads of one process wake each other, must be the duplicate's own.
//!
//! ```text
//!  channel, monitor, console, standard error   the owner sends new ones
//!  eventfd                                     a new one with the same count
//!  guest RAM, the plugin, /dev/null, …         may be shared: nobody reads or writes at a position
//!  anything else                               refused
//! ```

use std::fs;
use std::io::Write as _;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt as _;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{fcntl_getfl, fcntl_setfl};
use rustix::io::{DupFlags, Errno, FdFlags, dup3, fcntl_getfd};
use tcg_channel::{DUPLICATE_DESCRIPTORS, Refusal};

use super::Ends;

/// What came with the command.
pub(super) type Given = [OwnedFd; DUPLICATE_DESCRIPTORS];

/// Descriptors that were there when QEMU loaded the plugin, and what was behind them: whoever started QEMU left them open.
pub(crate) struct Inherited(Vec<(RawFd, String)>);

impl Inherited {
    /// Those that are open now.
    pub(crate) fn now() -> Inherited {
        Inherited(open().unwrap_or_default())
    }

    /// QEMU has no pipes, terminals or files of its own; its counters and timers have no name.
    fn has(&self, fd: RawFd, link: &str) -> bool {
        let same = |(other, was): &(RawFd, String)| *other == fd && was == link;
        !link.starts_with("anon_inode:") && self.0.iter().any(same)
    }
}

/// All descriptors of this process, and what becomes of each in a duplicate.
pub(super) struct Descriptors(Vec<Descriptor>);

struct Descriptor {
    fd: RawFd,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Replaced by that one of those given.
    Replaced(usize),
    /// Replaced by a counter of its own with this count.
    Counter(u64),
    /// Shared.
    Shared,
}

impl Descriptors {
    /// Looks at all of them but those given.
    pub(super) fn survey(ends: &Ends<'_>, given: &Given) -> Result<Descriptors, (Refusal, u64)> {
        let Ends {
            channel,
            monitor,
            inherited,
        } = *ends;
        let mut open = open().map_err(|error| (Refusal::Kernel, error.raw_os_error() as u64))?;
        open.retain(|(fd, _)| given.iter().all(|given| given.as_raw_fd() != *fd));
        let file = |fd: RawFd| {
            let metadata = fs::metadata(format!("/proc/self/fd/{fd}")).ok()?;
            Some((metadata.dev(), metadata.ino()))
        };
        let [channel, monitor, errors] = [channel, monitor, libc::STDERR_FILENO].map(file);
        let mut all = Vec::new();
        for (fd, link) in open {
            let own = file(fd);
            let is = |other: Option<(u64, u64)>| own.is_some() && own == other;
            let fate = match link.as_str() {
                _ if is(channel) => Fate::Replaced(0),
                _ if is(monitor) => Fate::Replaced(1),
                link if link.starts_with("/memfd:schedrig-console") => Fate::Replaced(2),
                _ if is(errors) => Fate::Replaced(3),
                "anon_inode:[eventfd]" => Fate::Counter(0),
                // It gives the signals of whoever reads it.
                "anon_inode:[signalfd]" | "/dev/null" => Fate::Shared,
                link if link.starts_with("/memfd:schedrig-") || inherited.has(fd, link) => Fate::Shared,
                link => {
                    eprintln!("schedrig plugin: descriptor {fd} is {link}, which is not known");
                    return Err((Refusal::Descriptor, fd as u64));
                }
            };
            all.push(Descriptor { fd, fate });
        }
        Ok(Descriptors(all))
    }

    /// Notes the counts of counters, while nobody changes them. Allocates nothing.
    pub(super) fn note_counts(&mut self) {
        for Descriptor { fd, fate } in &mut self.0 {
            if let Fate::Counter(count) = fate {
                *count = count_of(*fd).unwrap_or(0);
            }
        }
    }

    /// In the duplicate: puts what is its own in the place of what is shared with the original. Allocates nothing.
    pub(super) fn replace(&self, given: &Given) -> Result<(), Errno> {
        for Descriptor { fd, fate } in &self.0 {
            match fate {
                Fate::Replaced(index) => put(&given[*index], *fd)?,
                Fate::Counter(count) => {
                    let own = eventfd(0, EventfdFlags::CLOEXEC)?;
                    if *count > 0 {
                        rustix::io::write(&own, &count.to_ne_bytes())?;
                    }
                    put(&own, *fd)?;
                }
                Fate::Shared => {}
            }
        }
        Ok(())
    }
}

/// Puts `own` in the place of `fd`, with that one's flags.
fn put(own: &OwnedFd, fd: RawFd) -> Result<(), Errno> {
    // SAFETY: the survey has found it open, and nobody else runs in this process.
    let old = unsafe { BorrowedFd::borrow_raw(fd) };
    let keeps = fcntl_getfd(old)?.contains(FdFlags::CLOEXEC);
    fcntl_setfl(own, fcntl_getfl(old)?)?;
    // SAFETY: whoever owns the number keeps it: only what is behind it changes.
    let mut place = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(fd) });
    let flags = if keeps {
        DupFlags::CLOEXEC
    } else {
        DupFlags::empty()
    };
    dup3(own, &mut place, flags)
}

/// All descriptors that are open, and what is behind each.
fn open() -> Result<Vec<(RawFd, String)>, Errno> {
    let failed = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc/self/fd").map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let fd = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // The directory's own descriptor is closed by now.
        if let (Some(fd), Ok(link)) = (fd, fs::read_link(entry.path())) {
            all.push((fd, link.to_string_lossy().into_owned()));
        }
    }
    let listing = |(_, link): &(RawFd, String)| !(link.starts_with("/proc/") && link.ends_with("/fd"));
    all.retain(listing);
    Ok(all)
}

/// The count of an eventfd, as the kernel tells it.
fn count_of(fd: RawFd) -> Option<u64> {
    let mut path = [0u8; 64];
    write!(&mut path[..], "/proc/self/fdinfo/{fd}\0").ok()?;
    let path = std::ffi::CStr::from_bytes_until_nul(&path).ok()?;
    let file = rustix::fs::open(
        path,
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .ok()?;
    let mut text = [0u8; 512];
    let len = rustix::io::read(&file, &mut text).ok()?;
    let text = std::str::from_utf8(&text[..len]).ok()?;
    let mut lines = text.lines();
    let count = lines.find_map(|line| line.strip_prefix("eventfd-count:"))?;
    u64::from_str_radix(count.trim(), 16).ok()
}
