//! One task's numbers, read again and again from files that stay open.
//!
//! Reading is work that the guest does: with eight workers on a slow machine it takes milliseconds, in which the agent
//! keeps one CPU from them. So [`ProcessFiles::times`] and [`ProcessFiles::marks`] are read apart: the first is ten times
//! cheaper and is what has to be exact.

use std::fs::File;
use std::io;

use rustix::process::Pid;
use spec::CpuSet;

use super::text::{self, SchedStat};
use super::{Marks, parse};

/// The open files of a process. A zombie's can still be read; once it is reaped they give `ESRCH`.
#[derive(Debug)]
pub(crate) struct ProcessFiles {
    schedstat: File,
    stat: File,
    sched: File,
}

impl ProcessFiles {
    /// Opens them.
    pub(super) fn open(pid: Pid) -> io::Result<ProcessFiles> {
        let open = |file: &str| File::open(format!("/proc/{pid}/{file}"));
        Ok(ProcessFiles {
            schedstat: open("schedstat")?,
            stat: open("stat")?,
            sched: open("sched")?,
        })
    }

    /// Times and timeslices, up to now; where it is running, up to the last tick of its CPU.
    pub(super) fn times(&self) -> io::Result<SchedStat> {
        parse(&self.schedstat, text::schedstat)
    }

    /// The rest.
    pub(super) fn marks(&self) -> io::Result<Marks> {
        let stat = parse(&self.stat, text::stat)?;
        let sched = parse(&self.sched, text::sched)?;
        Ok(Marks {
            comm: stat.comm,
            last_cpu: stat.processor,
            cpus: CpuSet::from_iter([stat.processor]),
            migrations: sched.migrations,
            class: Some(sched.class),
            tasks: 1,
        })
    }

    /// Times it changed CPU.
    pub(super) fn migrations(&self) -> io::Result<u64> {
        Ok(parse(&self.sched, text::sched)?.migrations)
    }
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
        assert!(!files.marks().unwrap().comm.is_empty());
        busy.kill().unwrap();
        busy.wait().unwrap();
        assert!(files.times().is_err() && files.marks().is_err());
    }
}
