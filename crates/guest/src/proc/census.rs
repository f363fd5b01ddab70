//! All processes that there are at an instant, with their sessions.
//!
//! A process keeps its session when its parent ends, other than its parent; and `getsid` is far cheaper than any text of
//! the kernel, so that the kernel's own threads, the most processes of a guest, cost little.

use std::cell::OnceCell;
use std::fs;

use super::{parse_at, text};

/// The most processes that are counted: the largest process id of a guest unless that was raised.
const MAX_PROCESSES: usize = 32 * 1024;

/// All processes at an instant.
#[derive(Debug, Default)]
pub(crate) struct Census(Vec<Process>);

/// One of them.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// The process that made its session; 0 for the kernel's threads, and for the agent and what it forked.
    pub(super) session: u32,
    parent: OnceCell<Option<u32>>,
}

impl Census {
    /// Counts them now. Without `/proc` there are none.
    pub(crate) fn take() -> Census {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let processes = pids.take(MAX_PROCESSES).filter_map(|pid| {
            Some(Process {
                pid,
                session: session(pid)?,
                parent: OnceCell::new(),
            })
        });
        Census(processes.collect())
    }

    pub(super) fn processes(&self) -> &[Process] {
        &self.0
    }
}

impl Process {
    /// Its parent; `None` once it is gone.
    pub(super) fn parent(&self) -> Option<u32> {
        let stat = || parse_at(&format!("{}/stat", self.pid), text::stat).ok();
        *self.parent.get_or_init(|| stat().map(|stat| stat.parent))
    }
}

/// `getsid(2)`. Not by `rustix`, whose process ids are never the 0 of a kernel thread.
fn session(pid: u32) -> Option<u32> {
    let pid = pid.try_into().ok()?;
    // SAFETY: it takes and returns numbers.
    u32::try_from(unsafe { libc::getsid(pid) }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_counted_with_its_session_and_parent() {
        let census = Census::take();
        let own = std::process::id();
        let process = census.processes().iter().find(|process| process.pid == own);
        let process = process.unwrap();
        assert_eq!(Some(process.session), session(own));
        assert_eq!(process.parent(), Some(std::os::unix::process::parent_id()));
    }

    #[test]
    fn a_process_that_is_not_there_has_no_session_and_no_parent() {
        assert_eq!(session(u32::MAX), None);
        assert_eq!(session(i32::MAX as u32), None);
        let process = Process {
            pid: i32::MAX as u32,
            session: 1,
            parent: OnceCell::new(),
        };
        assert_eq!(process.parent(), None);
    }
}
