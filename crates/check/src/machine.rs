//! What the machine and its groups were, as far as the evidence tells.

use record::{EventKind, Evidence};
use spec::op::Write;
use spec::{CgroupSpec, CpuSet, IdleTimes, Op};

/// Files of a cgroup that change who may run where, and how much.
const SETTINGS: [&str; 7] = [
    "cpu.idle",
    "cpu.max",
    "cpu.weight",
    "cpu.weight.nice",
    "cpuset.cpus",
    "cpuset.cpus.partition",
    "cgroup.freeze",
];

/// The CPUs that were online in all windows.
///
/// # Errors
/// Why that is not known.
pub(crate) fn cpus(evidence: &Evidence) -> Result<CpuSet, String> {
    let windows = evidence.windows.iter().filter_map(|window| window.idle.as_ref());
    let mut seen: Vec<CpuSet> = windows.map(IdleTimes::cpus).collect();
    seen.dedup();
    match &seen[..] {
        [cpus] => return Ok(cpus.clone()),
        [first, second, ..] => {
            return Err(format!(
                "CPUs went offline or online between windows: {first}, then {second}"
            ));
        }
        [] => {}
    }
    let booted = evidence.events.iter().find_map(|event| match event.what {
        EventKind::Booted { cpus, .. } => Some((0..cpus).collect()),
        _ => None,
    });
    booted.ok_or_else(|| "the record does not tell how many CPUs the machine has".into())
}

/// The CPUs on which a group may run.
pub(crate) fn allowed(group: &CgroupSpec, online: &CpuSet) -> CpuSet {
    let cpus = group.cpus.as_ref();
    cpus.map_or_else(|| online.clone(), |cpus| cpus.intersection(online))
}

/// The groups stayed as they were made.
///
/// # Errors
/// What was written to which of their files.
pub(crate) fn groups_unchanged(evidence: &Evidence) -> Result<(), String> {
    let changed = evidence.events.iter().find_map(|event| match &event.what {
        EventKind::Applied {
            op: Op::Write(Write { path, text }),
        } if changes_groups(path) => Some(format!("`{text}` was written to {path} at {}", event.at)),
        _ => None,
    });
    changed.map_or(Ok(()), Err)
}

fn changes_groups(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.starts_with("/sys/fs/cgroup/") && SETTINGS.contains(&name)
}
