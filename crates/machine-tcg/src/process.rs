//! QEMU's process: started with the descriptors that it inherits, ended, reaped.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt as _};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use command_fds::CommandFdExt;
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal, waitid,
};

use crate::link::wait;

/// How long a killed process may take to end. It takes longer only in an uninterruptible sleep.
const REAP_PATIENCE: Duration = Duration::from_secs(10);

/// A child process that does not outlive this value.
#[derive(Debug)]
pub(crate) struct Process {
    id: u32,
    /// Readable when the process has ended.
    pidfd: OwnedFd,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command`, which inherits `descriptors` under their present numbers. It gets a process group of its own, so that a
    /// Ctrl-C goes to its owner only.
    pub(crate) fn start(mut command: Command, descriptors: Vec<OwnedFd>) -> io::Result<Process> {
        command.process_group(0).preserved_fds(descriptors);
        let mut child = command.spawn()?;
        match Process::of_child(child.id()) {
            Ok(process) => Ok(process),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// The child of this process with that id, which was started by another one and was not waited for.
    pub(crate) fn of_child(id: u32) -> io::Result<Process> {
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the child has no process id"))?;
        Ok(Process {
            id,
            pidfd: pidfd_open(pid, PidfdFlags::empty())?,
            status: None,
        })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none() {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            let ended = loop {
                match waitid(WaitId::PidFd(self.pidfd.as_fd()), options) {
                    Err(Errno::INTR) => {}
                    ended => break ended?,
                }
            };
            self.status = ended.map(|status| status_of(&status));
        }
        Ok(self.status)
    }

    /// Kills it, if it still runs, and reaps it. `None` if it cannot be reaped in reasonable time.
    pub(crate) fn end(&mut self) -> Option<ExitStatus> {
        self.kill_after(Duration::ZERO)
    }

    /// Waits for `grace` until it ends by itself, then as [`Process::end`].
    pub(crate) fn kill_after(&mut self, grace: Duration) -> Option<ExitStatus> {
        if let Some(status) = self.wait_until(Instant::now() + grace) {
            return Some(status);
        }
        if let Err(error) = pidfd_send_signal(&self.pidfd, Signal::KILL) {
            tracing::warn!(pid = self.id, %error, "cannot kill QEMU");
        }
        let status = self.wait_until(Instant::now() + REAP_PATIENCE);
        if status.is_none() {
            tracing::warn!(
                pid = self.id(),
                "QEMU was killed and did not end in time; it is left behind"
            );
        }
        status
    }

    fn wait_until(&mut self, deadline: Instant) -> Option<ExitStatus> {
        let mut fds = [PollFd::from_borrowed_fd(self.pidfd.as_fd(), PollFlags::IN)];
        if let Err(error) = wait(&mut fds, deadline) {
            tracing::warn!(pid = self.id, %error, "cannot wait for QEMU");
        }
        self.ended().ok().flatten()
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_none() {
            self.end();
        }
    }
}

/// The status as wait(2) tells it.
fn status_of(status: &WaitIdStatus) -> ExitStatus {
    let signal = status.terminating_signal().unwrap_or(0);
    let code = status.exit_status().unwrap_or(0);
    ExitStatus::from_raw(code << 8 | signal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;
    use std::process::Stdio;

    use crate::memfd;

    fn sleeper() -> Process {
        let mut command = Command::new("sleep");
        command.arg("1000");
        Process::start(command, Vec::new()).unwrap()
    }

    #[test]
    fn a_running_process_is_killed_and_reaped() {
        let mut process = sleeper();
        assert_eq!(process.ended().unwrap(), None);
        assert_eq!(process.end().unwrap().signal(), Some(9));
        assert_eq!(
            process.end().unwrap().signal(),
            Some(9),
            "a second end changes nothing"
        );
    }

    #[test]
    fn a_status_is_as_the_process_left_it() {
        let mut command = Command::new("sh");
        command.args(["-c", "exit 7"]);
        let mut process = Process::start(command, Vec::new()).unwrap();
        let status = process.kill_after(Duration::from_secs(30)).unwrap();
        assert_eq!((status.code(), status.signal()), (Some(7), None));
        assert_eq!(process.ended().unwrap(), Some(status));
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let process = sleeper();
        let proc_dir = format!("/proc/{}", process.id());
        assert!(std::fs::exists(&proc_dir).unwrap());
        drop(process);
        assert!(!std::fs::exists(&proc_dir).unwrap());
    }

    #[test]
    fn the_child_opens_an_inherited_file_by_its_number() {
        let inherited: OwnedFd = memfd::with_content("test", b"inherited").unwrap().into();
        let output = memfd::empty("test").unwrap();
        let mut command = Command::new("cat");
        command.arg(format!("/proc/self/fd/{}", inherited.as_raw_fd()));
        command.stdout(Stdio::from(output.try_clone().unwrap()));
        let mut process = Process::start(command, vec![inherited]).unwrap();
        let status = process.kill_after(Duration::from_secs(30)).unwrap();
        assert!(status.success());
        assert_eq!(memfd::content(&output).unwrap(), b"inherited");
    }
}
