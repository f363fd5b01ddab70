//! The kernel's switches that a guest wants otherwise than they are.

use std::fs;

use super::BootError;

/// (file, value, why)
#[rustfmt::skip]
const SETTINGS: [(&str, &str, &str); 3] = [
    ("/proc/sys/kernel/printk", "7", "sched_ext tells why it ejected a scheduler at KERN_INFO and below warnings"),
    ("/proc/sys/kernel/sched_rt_runtime_us", "-1", "the control thread must not be throttled behind a test's own real-time load"),
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
