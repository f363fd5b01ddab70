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

#[cfg(test)]
mod tests {
    use super::*;

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
