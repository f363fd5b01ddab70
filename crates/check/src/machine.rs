//! What the machine and its groups were, as far as the evidence tells.

use std::collections::BTreeMap;

use record::{EventKind, Evidence};
use spec::op::Write;
use spec::{CgroupSpec, CpuSet, IdleTimes, Nanos, Op, WorkerId, WorkerReport};

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

/// The CPUs on which a group may run. While all CPUs of its cpuset are offline the kernel gives it its parent's.
pub(crate) fn allowed(group: &CgroupSpec, online: &CpuSet) -> CpuSet {
    let cpus = group.cpus.as_ref().map(|cpus| cpus.intersection(online));
    cpus.filter(|cpus| !cpus.is_empty())
        .unwrap_or_else(|| online.clone())
}

/// How long the longest window was.
pub(crate) fn longest_window(evidence: &Evidence) -> Nanos {
    let spans = evidence.windows.iter().map(|window| window.to.since(window.from));
    spans.max().unwrap_or_default()
}

/// The nice value of each worker that was made.
pub(crate) fn nice_values(evidence: &Evidence) -> BTreeMap<&WorkerId, i8> {
    let spawned = evidence.events.iter().filter_map(|event| match &event.what {
        EventKind::Spawned { id, nice, .. } => Some((id, *nice)),
        _ => None,
    });
    spawned.collect()
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

/// The first line with which the kernel's OOM killer reported whom it killed (`__oom_kill_process`, `mm/oom_kill.c`).
pub(crate) fn out_of_memory(evidence: &Evidence) -> Option<&str> {
    let mut lines = evidence.console.lines();
    let killed =
        lines.find(|line| line.contains("Out of memory: Killed process") || line.contains("oom-kill:"))?;
    Some(killed.trim_end())
}

/// The time that a worker is known to have waited for a CPU: its run delay, which the kernel counts when a wait ends, and the
/// gap in which it was when the window ended.
pub(crate) fn waited(worker: &WorkerReport) -> Nanos {
    let open = worker.longest_gap.filter(|gap| gap.open && worker.exit.is_none());
    let open = open.map_or(Nanos::ZERO, |gap| gap.span);
    Nanos(worker.run_delay.0.saturating_add(open.0))
}
