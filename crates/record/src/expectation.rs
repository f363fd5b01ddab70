//! What a run is judged by, as data: `check` knows what each means.

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
    /// At no time does everyone who wants to run wait for as long as `limit`.
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
    /// No CPU idles for as long as `limit` while a task waits that may run on it. Judged by what the monitor saw.
    WorkConserving {
        /// The shortest violation.
        limit: Nanos,
    },
    /// No busy CPU's clock stands still. Judged by what the monitor saw.
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

impl Expectation {
    /// How long one worker may be kept from running before the default checks call it starved.
    pub const STARVATION_LIMIT: Nanos = Nanos::from_secs(1);

    /// How long a CPU may idle while a task waits for it before the default checks call that a violation.
    pub const IDLE_LIMIT: Nanos = Nanos::from_millis(50);

    /// What every run is held to unless its author loosens it.
    pub fn defaults() -> Vec<Expectation> {
        vec![
            Expectation::SchedulerHealthy,
            Expectation::NoStall {
                limit: Expectation::STARVATION_LIMIT,
            },
            Expectation::NoStarvation {
                limit: Expectation::STARVATION_LIMIT,
            },
            Expectation::NoLostWorkers,
            Expectation::KernelClean,
            Expectation::CpusetsHonoured,
            Expectation::WorkConserving {
                limit: Expectation::IDLE_LIMIT,
            },
            Expectation::CpusAdvance,
        ]
    }

    /// Is it judged by what a monitor saw, rather than by the evidence?
    pub fn is_monitored(&self) -> bool {
        matches!(
            self,
            Expectation::WorkConserving { .. } | Expectation::CpusAdvance
        )
    }

    /// The check's short name.
    pub fn name(&self) -> &'static str {
        match self {
            Expectation::SchedulerHealthy => "scheduler",
            Expectation::NoStall { .. } => "stall",
            Expectation::NoStarvation { .. } => "starvation",
            Expectation::NoLostWorkers => "lost-worker",
            Expectation::KernelClean => "kernel",
            Expectation::CpusetsHonoured => "cpuset",
            Expectation::WorkConserving { .. } => "work-conservation",
            Expectation::CpusAdvance => "stuck-cpu",
            Expectation::GroupShare { .. } => "group-share",
            Expectation::WorkerShare { .. } => "worker-share",
        }
    }
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
