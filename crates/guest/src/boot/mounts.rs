//! The file systems of a guest.

use std::ffi::CStr;
use std::fs;
use std::io;

use rustix::mount::{MountFlags, mount};

use super::BootError;
use crate::console;

/// One mount.
struct Mount {
    kind: &'static str,
    target: &'static str,
    flags: MountFlags,
    data: Option<&'static CStr>,
    /// Without it nothing works.
    needed: bool,
}

const NO_PROGRAMS: MountFlags = MountFlags::NOSUID
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC);
const NO_DEVICES: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// In this order: a mount point may lie in an earlier mount.
#[rustfmt::skip]
const MOUNTS: [Mount; 11] = [
    Mount { kind: "proc",     target: "/proc",               flags: NO_PROGRAMS,        data: None,              needed: true },
    Mount { kind: "sysfs",    target: "/sys",                flags: NO_PROGRAMS,        data: None,              needed: true },
    Mount { kind: "devtmpfs", target: "/dev",                flags: MountFlags::NOSUID, data: Some(c"mode=755"), needed: true },
    Mount { kind: "tmpfs",    target: "/dev/shm",            flags: NO_DEVICES,         data: Some(c"mode=1777"), needed: false },
    Mount { kind: "devpts",   target: "/dev/pts",            flags: MountFlags::NOSUID, data: Some(c"mode=620,ptmxmode=666"), needed: false },
    Mount { kind: "tmpfs",    target: "/tmp",                flags: NO_DEVICES,         data: Some(c"mode=1777"), needed: true },
    Mount { kind: "tmpfs",    target: "/run",                flags: NO_DEVICES,         data: Some(c"mode=755"), needed: true },
    Mount { kind: "cgroup2",  target: "/sys/fs/cgroup",      flags: NO_PROGRAMS,        data: None,              needed: true },
    Mount { kind: "bpf",      target: "/sys/fs/bpf",         flags: NO_PROGRAMS,        data: Some(c"mode=700"), needed: false },
    Mount { kind: "tracefs",  target: "/sys/kernel/tracing", flags: NO_PROGRAMS,        data: None,              needed: false },
    Mount { kind: "debugfs",  target: "/sys/kernel/debug",   flags: NO_PROGRAMS,        data: None,              needed: false },
];

/// Mounts them all.
pub(super) fn all() -> Result<(), BootError> {
    for entry in &MOUNTS {
        match entry.mount() {
            Ok(()) => {}
            Err(source) if entry.needed => {
                return Err(BootError::Mount {
                    kind: entry.kind,
                    target: entry.target,
                    source,
                });
            }
            Err(error) => console::say(&format!(
                "goes on without {} at {}: {error}",
                entry.kind, entry.target
            )),
        }
    }
    Ok(())
}

impl Mount {
    fn mount(&self) -> io::Result<()> {
        // Mount points in sysfs exist if the kernel knows the file system; the others are made.
        if !self.target.starts_with("/sys/") {
            fs::create_dir_all(self.target)?;
        }
        mount(self.kind, self.target, self.kind, self.flags, self.data)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_point_comes_after_the_mount_it_lies_in() {
        for (index, outer) in MOUNTS.iter().enumerate() {
            let inside = |inner: &Mount| inner.target.starts_with(&format!("{}/", outer.target));
            assert!(!MOUNTS[..index].iter().any(inside), "{}", outer.target);
        }
    }

    #[test]
    fn what_the_agent_reads_and_writes_is_needed() {
        for target in ["/proc", "/sys", "/dev", "/sys/fs/cgroup"] {
            assert!(MOUNTS.iter().any(|entry| entry.target == target && entry.needed));
        }
    }
}
