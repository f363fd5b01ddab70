//! How long the CPUs have idled.
//!
//! `/proc/stat` tells that, and not well enough: two readings 2.0 s apart differed by 2.26 s on Linux 7.2.13. So it is taken
//! from what the CPUs did *not* do: the time between two readings, without the time in which they ran tasks
//! (`rq_cpu_time` in `/proc/schedstat`). The kernel adds to that when a task leaves its CPU, so before the second reading the
//! agent visits each CPU, which makes whoever runs there leave it.

use std::path::Path;
use std::{fs, io};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use spec::{CpuIdle, GuestTime, IdleTimes};

use super::text;
use crate::ostime;

/// For how long each CPU had run tasks at an instant.
#[derive(Debug)]
pub(crate) struct Busy {
    at: GuestTime,
    /// In ns, by CPU: those that are online.
    ran: Vec<(u32, u64)>,
}

impl Busy {
    /// Reads it; `None` where the kernel does not count it.
    pub(crate) fn read(schedstat: &Path) -> io::Result<Option<Busy>> {
        let text = match fs::read_to_string(schedstat) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let ran = text::busy(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let at = ostime::now();
        Ok(Some(Busy { at, ran }))
    }

    /// How long each CPU that was online then and is online now has idled since, at the least.
    pub(crate) fn idle_since(&self, schedstat: &Path) -> io::Result<Option<IdleTimes>> {
        let visited = visit(&self.ran)?;
        let Some(now) = Busy::read(schedstat)? else {
            return Ok(None);
        };
        let idle = |(cpu, at): &(u32, GuestTime)| {
            let ran = |busy: &Busy| {
                busy.ran
                    .iter()
                    .find(|(other, _)| other == cpu)
                    .map(|(_, ran)| *ran)
            };
            let ran = ran(&now)?.saturating_sub(ran(self)?);
            let idle = at.since(self.at).saturating_sub(spec::Nanos(ran));
            Some(CpuIdle { cpu: *cpu, idle })
        };
        Ok(Some(IdleTimes {
            from: self.at,
            to: visited.iter().map(|(_, at)| *at).max().unwrap_or(self.at),
            cpus: visited.iter().filter_map(idle).collect(),
        }))
    }
}

/// Runs on each of these CPUs for a moment; when it was there. A CPU that went offline meanwhile is left out.
fn visit(cpus: &[(u32, u64)]) -> io::Result<Vec<(u32, GuestTime)>> {
    let home = sched_getaffinity(None)?;
    let mut visited = Vec::new();
    for (cpu, _) in cpus {
        let mut there = CpuSet::new();
        there.set(*cpu as usize);
        if sched_setaffinity(None, &there).is_ok() {
            visited.push((*cpu, ostime::now()));
        }
    }
    sched_setaffinity(None, &home)?;
    Ok(visited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_cpu_did_not_run_it_idled() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("schedstat");
        let write = |ran: u64| fs::write(&file, format!("version 17\ncpu0 0 0 1 1 1 1 {ran} 5 6\n")).unwrap();
        write(5_000_000);
        let before = Busy::read(&file).unwrap().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        write(9_000_000);
        let idle = before.idle_since(&file).unwrap().unwrap();
        let span = idle.to.since(idle.from).0;
        assert_eq!((idle.cpus.len(), idle.cpus[0].cpu), (1, 0));
        assert_eq!(idle.cpus[0].idle.0, span - 4_000_000);
    }

    #[test]
    fn a_kernel_that_does_not_count_it_tells_nothing() {
        assert!(Busy::read(Path::new("/no/such/file")).unwrap().is_none());
    }
}
