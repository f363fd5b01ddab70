// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory: what a fork copies, and what it would share or leave out.

use std::ffi::c_void;
use std::fs;
use std::os::fd::RawFd;

use tcg_channel::Refusal;

/// What `/proc/self/maps` calls guest RAM.
const RAM: &str = "/memfd:schedrig-ram";

/// A mapping that a fork would not treat as private memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mapping {
    start: usize,
    len: usize,
    offset: usize,
    shared: bool,
    is_ram: bool,
    /// QEMU asked that a fork leaves it out (madvise(2), MADV_DONTFORK).
    left_out: bool,
}

/// Makes guest RAM private (copy on write) over the file that it maps, at the same addresses, and all memory part of a fork.
/// Nothing changes for QEMU. From now on what the guest writes is not seen in the file.
pub(super) fn make_private() -> Result<(), (Refusal, u64)> {
    let failed = |error: std::io::Error| (Refusal::Kernel, error.raw_os_error().unwrap_or_default() as u64);
    let maps = fs::read_to_string("/proc/self/smaps").map_err(failed)?;
    let all = mappings(&maps);
    if let Some(stranger) = all.iter().find(|mapping| mapping.shared && !mapping.is_ram) {
        return Err((Refusal::Mapping, stranger.start as u64));
    }
    let shared: Vec<&Mapping> = all.iter().filter(|mapping| mapping.shared).collect();
    if !all.iter().any(|mapping| mapping.is_ram) {
        return Err((Refusal::NoRam, 0));
    }
    if !shared.is_empty() {
        let ram = ram_descriptor().ok_or((Refusal::NoRam, 0))?;
        for (nth, mapping) in shared.iter().enumerate() {
            if let Err(error) = map(mapping, ram, libc::MAP_PRIVATE) {
                for done in &shared[..nth] {
                    let _ = map(done, ram, libc::MAP_SHARED);
                }
                return Err(failed(error));
            }
        }
    }
    for mapping in all.iter().filter(|mapping| mapping.left_out && !mapping.shared) {
        let at = mapping.start as *mut c_void;
        // SAFETY: the advice changes nothing but what a fork does with the mapping.
        if unsafe { libc::madvise(at, mapping.len, libc::MADV_DOFORK) } != 0 {
            return Err(failed(std::io::Error::last_os_error()));
        }
    }
    Ok(())
}

/// Lets processes of the same user read this one's memory, where Yama's ptrace_scope is 1 and would let its ancestors only: so a
/// run is looked at from another process, as one with shared RAM is. Not inherited.
pub(super) fn let_anybody_read() {
    let anybody = libc::PR_SET_PTRACER_ANY;
    // SAFETY: the call changes nothing but that permission; without Yama it fails, and nobody needs it.
    unsafe { libc::prctl(libc::PR_SET_PTRACER, anybody, 0, 0, 0) };
}

/// Has a user-space shadow stack, on which no signal's frame can be forged?
pub(super) fn has_shadow_stacks() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    lines.any(|line| line.starts_with("x86_Thread_features:") && line.contains("shstk"))
}

fn map(mapping: &Mapping, ram: RawFd, kind: i32) -> std::io::Result<()> {
    let flags = kind | libc::MAP_FIXED | libc::MAP_NORESERVE;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let at = mapping.start as *mut c_void;
    // SAFETY: the mapping is replaced by one of the same file at the same offset: every byte stays what it is, and every
    // pointer into it stays valid. No guest executes meanwhile.
    let mapped = unsafe { libc::mmap(at, mapping.len, protection, flags, ram, mapping.offset as i64) };
    if mapped == libc::MAP_FAILED {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}

/// A descriptor of the file that guest RAM maps.
fn ram_descriptor() -> Option<RawFd> {
    fs::read_dir("/proc/self/fd").ok()?.flatten().find_map(|entry| {
        let link = fs::read_link(entry.path()).ok()?;
        let is_ram = link.to_string_lossy().starts_with(RAM);
        is_ram.then(|| entry.file_name().to_str()?.parse().ok())?
    })
}

/// The mappings in the text of `/proc/self/smaps` that matter here.
fn mappings(smaps: &str) -> Vec<Mapping> {
    let mut all: Vec<Mapping> = Vec::new();
    for line in smaps.lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            if let Some(last) = all.last_mut() {
                last.left_out = flags.split_whitespace().any(|flag| flag == "dc");
            }
        } else if let Some(mapping) = mapping(line) {
            all.push(mapping);
        }
    }
    all.retain(|mapping| mapping.shared || mapping.left_out || mapping.is_ram);
    all
}

/// A mapping's first line: `7f7f89ffe000-7f7fbaffe000 rw-s 31000000 00:01 58635   /memfd:schedrig-ram (deleted)`.
fn mapping(line: &str) -> Option<Mapping> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?;
    let offset = words.next()?;
    let hex = |text| usize::from_str_radix(text, 16).ok();
    let (start, end) = (hex(start)?, hex(end)?);
    Some(Mapping {
        start,
        len: end.checked_sub(start)?,
        offset: hex(offset)?,
        shared: permissions.ends_with('s'),
        is_ram: words.nth(2).is_some_and(|path| path.starts_with(RAM)),
        left_out: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_told_apart() {
        let smaps = "\
            7f10-7f20 rw-s 31000000 00:01 58635                      /memfd:schedrig-ram (deleted)\n\
            Size:                  4 kB\n\
            VmFlags: rd wr sh mr mw me ms dc \n\
            8000-9000 rw-p 00000000 00:00 0                          [heap]\n\
            VmFlags: rd wr mr mw me ac sd \n\
            a000-b000 rw-p 00000000 00:00 0 \n\
            VmFlags: rd wr mr mw me dc ac sd \n\
            c000-d000 r--s 00000000 08:01 77                         /var/cache/some file\n";
        let mapping = |start, len| Mapping {
            start,
            len,
            offset: 0,
            shared: false,
            is_ram: false,
            left_out: false,
        };
        let expect = [
            Mapping {
                offset: 0x3100_0000,
                shared: true,
                is_ram: true,
                left_out: true,
                ..mapping(0x7f10, 0x10)
            },
            Mapping {
                left_out: true,
                ..mapping(0xa000, 0x1000)
            },
            Mapping {
                shared: true,
                ..mapping(0xc000, 0x1000)
            },
        ];
        assert_eq!(mappings(smaps), expect);
        assert_eq!(mappings("garbage\n-\n0-0 x\nzz-1 rw-p 0\n"), []);
    }
}
