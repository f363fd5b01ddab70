//! Forking, and how a child's end is told.

use std::io;

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitOptions, WaitStatus, waitid, waitpid};
use spec::ExitStatus;

/// Which of the two processes this is.
pub(crate) enum Forked {
    /// The new one. It must not return into the agent's loop.
    Child,
    /// The one that forked.
    Parent(Pid),
}

/// Forks this process.
pub(crate) fn fork() -> io::Result<Forked> {
    // SAFETY: the agent has one thread, so the child finds no lock held by a thread that it lacks, and may run
    // any code. (Tests have more threads; in them the child only allocates, which glibc's fork makes safe,
    // and executes a program.)
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Forked::Child),
        pid => Pid::from_raw(pid)
            .map(Forked::Parent)
            .ok_or_else(|| io::Error::other(format!("fork returned {pid}"))),
    }
}

/// Has any child ended that is not reaped yet?
pub(crate) fn has_ended_child() -> bool {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::All, look), Ok(Some(_)))
}

/// Reaps `pid` if it has ended.
pub(crate) fn try_reap(pid: Pid) -> io::Result<Option<ExitStatus>> {
    let ended = waitpid(Some(pid), WaitOptions::NOHANG)?;
    Ok(ended.and_then(|(_, status)| exit_status(status)))
}

/// Reaps one ended child, whichever it is.
pub(crate) fn reap_any() -> Option<(Pid, Option<ExitStatus>)> {
    let (pid, status) = rustix::process::wait(WaitOptions::NOHANG).ok()??;
    Some((pid, exit_status(status)))
}

fn exit_status(status: WaitStatus) -> Option<ExitStatus> {
    let code = status.exit_status().map(ExitStatus::Code);
    code.or_else(|| status.terminating_signal().map(ExitStatus::Signal))
}
