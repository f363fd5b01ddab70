//! One process's numbers, read again and again from files that stay open.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::process::Pid;

use super::text::{self, SchedStat, Stat};
use crate::ostime;

/// `/proc/PID/sched` is the longest: about 3 KiB, and 250 bytes more for each NUMA node.
const MAX_TEXT: usize = 32 * 1024;

/// What the kernel counted for a process since it was forked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Numbers {
    /// Times and timeslices.
    pub(crate) schedstat: SchedStat,
    /// Its name and the CPU it was on last.
    pub(crate) stat: Stat,
    /// Times it changed CPU.
    pub(crate) migrations: u64,
}

/// The open files of a process. A zombie's can still be read; once it is reaped they give `ESRCH`.
#[derive(Debug)]
pub(crate) struct ProcessFiles {
    pid: Pid,
    schedstat: File,
    stat: File,
    sched: File,
}

impl ProcessFiles {
    /// Opens them.
    pub(crate) fn open(pid: Pid) -> io::Result<ProcessFiles> {
        let open = |file: &str| {
            let path = format!("/proc/{pid}/{file}");
            File::open(&path).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
        };
        Ok(ProcessFiles {
            pid,
            schedstat: open("schedstat")?,
            stat: open("stat")?,
            sched: open("sched")?,
        })
    }

    /// The times alone, up to now. Cheap, so that those of all workers can be read at almost one instant.
    pub(crate) fn schedstat(&self) -> io::Result<SchedStat> {
        ostime::refresh_accounting(self.pid);
        text::schedstat(&read(&self.schedstat)?).map_err(invalid)
    }

    /// All numbers; the times are those given.
    pub(crate) fn numbers(&self, schedstat: SchedStat) -> io::Result<Numbers> {
        Ok(Numbers {
            schedstat,
            stat: text::stat(&read(&self.stat)?).map_err(invalid)?,
            migrations: text::migrations(&read(&self.sched)?).map_err(invalid)?,
        })
    }
}

fn read(file: &File) -> io::Result<String> {
    let mut bytes = vec![0; MAX_TEXT];
    let mut len = 0;
    while len < MAX_TEXT {
        match file.read_at(&mut bytes[len..], len as u64)? {
            0 => break,
            more => len += more,
        }
    }
    bytes.truncate(len);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn invalid(error: text::TextError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_cpu_time_grows_between_two_readings() {
        let files = ProcessFiles::open(rustix::process::getpid());
        // Not every kernel that builds this has /proc/PID/sched.
        let Ok(files) = files else { return };
        let before = files.schedstat().unwrap();
        let started = std::time::Instant::now();
        while started.elapsed() < std::time::Duration::from_millis(2) {}
        let after = files.schedstat().unwrap();
        assert!(after.on_cpu_ns > before.on_cpu_ns);
    }
}
