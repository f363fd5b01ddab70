//! The scheduler under test: its program, and what the kernel reports of it.

use std::path::Path;
use std::{fs, io};

use spec::op::SchedulerState;
use spec::{ExitStatus, GuestTime};

use crate::launch::Launched;

/// A scheduler's program, from its launch on.
///
/// ```text
/// Attaching ── kernel says enabled ──► Attached ── StopScheduler ──► Asked
///     └────────────────┬──────────────────┴───────────┬───────────────┘
///                      ▼ the program ends             ▼
///                               Ended
/// ```
#[derive(Debug)]
pub(crate) struct Scheduler {
    /// Its process.
    pub(crate) process: Launched,
    /// Where it is in its life.
    pub(crate) life: Life,
}

/// Where a scheduler's program is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    /// Launched.
    Attaching,
    /// The kernel had it enabled.
    Attached,
    /// It was asked to end.
    Asked,
    /// It has ended.
    Ended {
        /// How.
        status: ExitStatus,
        /// When that was seen.
        at: GuestTime,
    },
}

/// What `/sys/kernel/sched_ext` says (Documentation/scheduler/sched-ext.rst); `None` where the kernel has none.
pub(crate) fn state(directory: &Path) -> io::Result<Option<SchedulerState>> {
    let state = match fs::read_to_string(directory.join("state")) {
        Ok(state) => state.trim_end().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // Gone again where it was disabled meanwhile.
    let ops = fs::read_to_string(directory.join("root/ops")).ok();
    Ok(Some(SchedulerState {
        state,
        ops: ops.map(|ops| ops.trim_end().to_owned()),
        enable_seq: fs::read_to_string(directory.join("enable_seq"))
            .ok()
            .and_then(|count| count.trim_end().parse().ok()),
    }))
}

/// What a descriptor of a BPF program leads to (`bpf_prog_new_fd` in kernel/bpf/syscall.c).
const PROGRAM: &str = "anon_inode:bpf-prog";

/// How many BPF programs a process has loaded: a loader keeps a descriptor of each. 0 where the process is gone.
pub(crate) fn loaded_programs(pid: u32) -> u32 {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    let programs = links.filter(|link| link.as_os_str() == PROGRAM).count();
    u32::try_from(programs).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_bpf_programs_has_loaded_none() {
        assert_eq!(loaded_programs(std::process::id()), 0);
        assert_eq!(loaded_programs(u32::MAX), 0);
    }

    #[test]
    fn the_kernels_word_is_read_with_and_without_a_scheduler() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        assert_eq!(state(at).unwrap(), None);
        fs::write(at.join("state"), "disabled\n").unwrap();
        let disabled = state(at).unwrap().unwrap();
        assert_eq!((disabled.state.as_str(), disabled.ops), ("disabled", None));
        fs::create_dir(at.join("root")).unwrap();
        fs::write(at.join("root/ops"), "baton\n").unwrap();
        assert_eq!(state(at).unwrap().unwrap().ops.as_deref(), Some("baton"));
    }
}
