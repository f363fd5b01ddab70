//! What a run is held to, as data. What each expectation means, its name, its default and its help are in `check`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use spec::{GroupName, Nanos};

/// One promise that a scheduler is held to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "check")]
pub enum Expectation {
    /// The scheduler's program stays up, and the kernel keeps its scheduler attached.
    SchedulerHealthy,
    /// Some worker wants to run while the run is on, or some program is executed.
    SomethingRan,
    /// At no time do all workers wait for as long as `limit`.
    NoStall {
        /// The shortest stall.
        limit: Nanos,
    },
    /// No worker that wants to run waits for as long as `limit` while others run.
    NoStarvation {
        /// The shortest starvation.
        limit: Nanos,
    },
    /// Every worker lives until the end.
    NoLostWorkers,
    /// No warning, oops, lockup or stall report on the kernel's console.
    KernelClean,
    /// No worker runs on a CPU that its cpuset excludes.
    CpusetsHonoured,
    /// Workers that wait while CPUs idle that they may use lose at most that part of the time in which they want to run.
    NoLostTime {
        /// The highest loss.
        limit: Percent,
    },
    /// No CPU idles for as long as `limit` while a task waits that may run on it. Judged from samples.
    WorkConserving {
        /// The shortest violation.
        limit: Nanos,
    },
    /// No busy CPU's clock stands still. Judged from samples.
    CpusAdvance,
    /// Groups get on-CPU time in proportion to their `cpu.weight`.
    GroupShare {
        /// The groups that compete.
        groups: Vec<GroupName>,
        /// How far each may be off its due, relative to it.
        within: Percent,
    },
    /// The workers of a group get on-CPU time in proportion to their nice weights.
    WorkerShare {
        /// The group.
        group: GroupName,
        /// How far each may be off its due, relative to it.
        within: Percent,
    },
}

/// A tolerance in percent.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(pub f64);

impl Percent {
    /// As a fraction of one.
    pub fn fraction(self) -> f64 {
        self.0 / 100.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", self.0)
    }
}

/// A text that is not a tolerance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a tolerance in percent; write a number from 0 to 100, as in `10` or `2.5%`")]
pub struct PercentError {
    text: String,
}

impl FromStr for Percent {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PercentError {
            text: text.to_owned(),
        };
        let number: f64 = text
            .trim_end_matches('%')
            .trim_end()
            .parse()
            .map_err(|_| wrong())?;
        if (0.0..=100.0).contains(&number) {
            Ok(Percent(number))
        } else {
            Err(wrong())
        }
    }
}
