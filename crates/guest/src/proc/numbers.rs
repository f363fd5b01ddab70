//! One process's numbers, read again and again from files that stay open.
//!
//! Reading is work that the guest does: with eight workers on a slow machine it takes milliseconds, in which
//! the agent keeps one CPU from them. So each text is read with one call (the kernel makes it anew for every
//! further one), and [`ProcessFiles::times`] and [`ProcessFiles::marks`] apart: the first is ten times
//! cheaper and is what has to be exact.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::process::Pid;

use super::text::{self, SchedStat, Stat, TextError};
use crate::ostime;

/// `/proc/PID/sched` is the longest: about 3 KiB, and 120 bytes more for each NUMA node.
const MAX_TEXT: usize = 16 * 1024;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_TEXT]);
}

/// What takes longer to read than the times, and does not change with every nanosecond.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Marks {
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
        let open = |file: &str| File::open(format!("/proc/{pid}/{file}"));
        Ok(ProcessFiles {
            pid,
            schedstat: open("schedstat")?,
            stat: open("stat")?,
            sched: open("sched")?,
        })
    }

    /// Times and timeslices, up to now.
    pub(crate) fn times(&self) -> io::Result<SchedStat> {
        ostime::refresh_accounting(self.pid);
        parse(&self.schedstat, text::schedstat)
    }

    /// The rest.
    pub(crate) fn marks(&self) -> io::Result<Marks> {
        Ok(Marks {
            stat: parse(&self.stat, text::stat)?,
            migrations: self.migrations()?,
        })
    }

    /// Times it changed CPU.
    pub(crate) fn migrations(&self) -> io::Result<u64> {
        parse(&self.sched, text::migrations)
    }
}

/// Reads the file with one call and parses it.
fn parse<T>(file: &File, parser: impl Fn(&str) -> Result<T, TextError>) -> io::Result<T> {
    BUFFER.with_borrow_mut(|buffer| {
        let len = file.read_at(buffer, 0)?;
        let text = String::from_utf8_lossy(&buffer[..len]);
        parser(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_busy_process_is_seen_busy_until_it_is_gone() {
        let mut busy = Command::new("/bin/sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .unwrap();
        let files = ProcessFiles::open(Pid::from_child(&busy)).unwrap();
        let before = files.times().unwrap().on_cpu_ns;
        let deadline = Instant::now() + Duration::from_secs(60);
        while files.times().unwrap().on_cpu_ns <= before {
            assert!(Instant::now() < deadline, "{before} ns still");
        }
        assert!(!files.marks().unwrap().stat.comm.is_empty());
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert!(files.times().is_err() && files.marks().is_err());
    }
}
