//! The kernel's switches that a guest wants otherwise than they are.

use std::fs;

use super::BootError;

/// (file, value, why)
#[rustfmt::skip]
const SETTINGS: [(&str, &str, &str); 2] = [
    ("/proc/sys/kernel/printk", "7", "sched_ext tells why it ejected a scheduler at KERN_INFO and below warnings"),
    ("/sys/fs/cgroup/cgroup.subtree_control", "+cpu +cpuset", "groups have weights and cpusets"),
];

/// Writes them all. Each is there on every kernel that can run a test.
pub(super) fn all() -> Result<(), BootError> {
    for (path, value, _) in SETTINGS {
        fs::write(path, value).map_err(|source| BootError::File {
            doing: format!("write `{value}` to"),
            path: path.to_owned(),
            source,
        })?;
    }
    Ok(())
}
