//! How long the CPUs have idled.

use std::path::Path;
use std::{fs, io};

use spec::{CpuIdle, GuestTime, IdleTimes, Nanos};

use super::text;
use crate::ostime;

/// What was read at an instant.
#[derive(Debug)]
pub(crate) struct IdleTime {
    /// Before it was read.
    at: GuestTime,
    /// In ticks of [`IdleTimes::STEP`], by CPU.
    ticks: Vec<(u32, u64)>,
}

impl IdleTime {
    /// Reads it.
    pub(crate) fn read(stat: &Path) -> io::Result<IdleTime> {
        let at = ostime::now();
        let text = fs::read_to_string(stat)?;
        let ticks = text::idle(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(IdleTime { at, ticks })
    }

    /// How long each CPU that was online then and is online now has idled since.
    pub(crate) fn until_now(&self, stat: &Path) -> io::Result<IdleTimes> {
        let now = IdleTime::read(stat)?;
        let since = |(cpu, ticks): &(u32, u64)| {
            let (_, before) = self.ticks.iter().find(|(other, _)| other == cpu)?;
            let idle = ticks.saturating_sub(*before).saturating_mul(IdleTimes::STEP.0);
            let (cpu, idle) = (*cpu, Nanos(idle));
            Some(CpuIdle { cpu, idle })
        };
        Ok(IdleTimes {
            from: self.at,
            to: ostime::now(),
            cpus: now.ticks.iter().filter_map(since).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cpus_that_were_there_both_times_are_listed() {
        let directory = tempfile::tempdir().unwrap();
        let stat = directory.path().join("stat");
        fs::write(
            &stat,
            "cpu  9 0 0 9 9 0\ncpu0 1 0 0 100 5 0\ncpu1 1 0 0 7 0 0\nintr 3\n",
        )
        .unwrap();
        let before = IdleTime::read(&stat).unwrap();
        fs::write(&stat, "cpu0 1 0 0 120 6 0\ncpu2 1 0 0 7 0 0\n").unwrap();
        let idle = before.until_now(&stat).unwrap();
        let expect = CpuIdle {
            cpu: 0,
            idle: Nanos::from_millis(210),
        };
        assert_eq!(idle.cpus, [expect]);
        assert!(idle.from <= idle.to);
    }
}
