//! What a worker does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Nanos, NanosError};

/// The work of one worker. Reads as `spin`, `burst` or `burst/SLEEP/BURST`, `pingpong`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Computes without end.
    Spin,
    /// Sleeps, then computes, in turn.
    SleepBurst {
        /// How long it sleeps.
        sleep: Nanos,
        /// How long it computes, in its own on-CPU time.
        burst: Nanos,
    },
    /// Two workers wake each other over a futex; every two successive workers of a group are a pair.
    PingPong,
    /// Executes a program that was injected; the program counts no work units.
    Program {
        /// Path in the guest and arguments.
        argv: Vec<String>,
    },
}

impl Work {
    /// The default `burst`: sleeps 4 ms, computes 1 ms.
    pub const BURST: Work = Work::SleepBurst {
        sleep: Nanos::from_millis(4),
        burst: Nanos::from_millis(1),
    };

    /// The name by which it is asked for and shown.
    pub fn name(&self) -> &'static str {
        match self {
            Work::Spin => "spin",
            Work::SleepBurst { .. } => "burst",
            Work::PingPong => "pingpong",
            Work::Program { .. } => "program",
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Work::SleepBurst { sleep, burst } => write!(f, "burst/{sleep}/{burst}"),
            Work::Program { argv } => write!(f, "program {}", argv.join(" ")),
            Work::Spin | Work::PingPong => f.write_str(self.name()),
        }
    }
}

/// A text that names no work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// There is no such work.
    #[error(
        "there is no work `{text}`; there are `spin`, `burst`, `burst/SLEEP/BURST` (as in `burst/4ms/1ms`) and `pingpong`"
    )]
    Unknown {
        /// The text.
        text: String,
    },
    /// A time in it is wrong.
    #[error("work `{text}`")]
    Time {
        /// The text.
        text: String,
        /// What is wrong.
        #[source]
        source: NanosError,
    },
}

impl FromStr for Work {
    type Err = WorkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let time = |part: &str| {
            part.parse::<Nanos>().map_err(|source| WorkError::Time {
                text: text.to_owned(),
                source,
            })
        };
        match text.split('/').collect::<Vec<_>>()[..] {
            ["spin"] => Ok(Work::Spin),
            ["burst"] => Ok(Work::BURST),
            ["burst", sleep, burst] => Ok(Work::SleepBurst {
                sleep: time(sleep)?,
                burst: time(burst)?,
            }),
            ["pingpong"] => Ok(Work::PingPong),
            _ => Err(WorkError::Unknown {
                text: text.to_owned(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_read_as_they_show_themselves() {
        for text in ["spin", "burst/4ms/1ms", "burst/1.5s/20us", "pingpong"] {
            assert_eq!(text.parse::<Work>().unwrap().to_string(), text);
        }
        assert_eq!("burst".parse(), Ok(Work::BURST));
    }

    #[test]
    fn unknown_work_names_what_there_is() {
        let error = "spinn".parse::<Work>().unwrap_err().to_string();
        assert!(error.contains("`spinn`") && error.contains("pingpong"), "{error}");
        assert!(matches!("burst/1/2".parse::<Work>(), Err(WorkError::Time { .. })));
    }
}
