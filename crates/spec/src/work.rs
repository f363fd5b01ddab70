//! What a worker does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Nanos, NanosError};

/// The work of one worker. Reads as `spin`, `burst` or `burst/SLEEP/BURST` or `burst/SLEEP/BURST/JITTER`,
/// `pingpong`.
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
        /// How far each sleep and each burst may be off these two.
        jitter: Jitter,
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
        jitter: Jitter::NONE,
    };

    /// Does each worker of it need random numbers of its own?
    pub fn is_random(&self) -> bool {
        matches!(self, Work::SleepBurst { jitter, .. } if *jitter != Jitter::NONE)
    }

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
            Work::SleepBurst {
                sleep,
                burst,
                jitter: Jitter::NONE,
            } => write!(f, "burst/{sleep}/{burst}"),
            Work::SleepBurst { sleep, burst, jitter } => write!(f, "burst/{sleep}/{burst}/{jitter}"),
            Work::Program { argv } => write!(f, "program {}", argv.join(" ")),
            Work::Spin | Work::PingPong => f.write_str(self.name()),
        }
    }
}

/// How far the lengths of a work may be off the given ones, in whole percent: with 20 % a sleep of 5 ms takes
/// anything from 4 ms to 6 ms, each time anew. Reads as `20%` or `20`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub struct Jitter(u8);

/// A number or a text that is not a jitter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a jitter; write whole percent from 0 to 100, as in `20%`")]
pub struct JitterError {
    text: String,
}

impl Jitter {
    /// All lengths are as given.
    pub const NONE: Jitter = Jitter(0);

    /// The percent, 0 to 100.
    pub fn percent(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl From<Jitter> for u8 {
    fn from(jitter: Jitter) -> u8 {
        jitter.0
    }
}

impl TryFrom<u8> for Jitter {
    type Error = JitterError;

    fn try_from(percent: u8) -> Result<Self, Self::Error> {
        if percent <= 100 {
            Ok(Jitter(percent))
        } else {
            Err(JitterError {
                text: percent.to_string(),
            })
        }
    }
}

impl FromStr for Jitter {
    type Err = JitterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_suffix('%').unwrap_or(text);
        let percent: Option<u8> = digits.parse().ok();
        percent
            .filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|percent| Jitter::try_from(percent).ok())
            .ok_or_else(|| JitterError {
                text: text.to_owned(),
            })
    }
}

/// A text that names no work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// There is no such work.
    #[error(
        "there is no work `{text}`; there are `spin`, `burst`, `burst/SLEEP/BURST` (as in `burst/4ms/1ms`), \
         `burst/SLEEP/BURST/JITTER` (as in `burst/4ms/1ms/20%`) and `pingpong`"
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
    /// The jitter in it is wrong.
    #[error("work `{text}`")]
    Jitter {
        /// The text.
        text: String,
        /// What is wrong.
        #[source]
        source: JitterError,
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
        let jitter = |part: &str| {
            part.parse::<Jitter>().map_err(|source| WorkError::Jitter {
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
                jitter: Jitter::NONE,
            }),
            ["burst", sleep, burst, percent] => Ok(Work::SleepBurst {
                sleep: time(sleep)?,
                burst: time(burst)?,
                jitter: jitter(percent)?,
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
    use std::error::Error;

    use proptest::prelude::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error as ValueError, U8Deserializer};

    use super::*;

    #[test]
    fn works_read_as_they_show_themselves() {
        for text in [
            "spin",
            "burst/4ms/1ms",
            "burst/1.5s/20us",
            "burst/4ms/1ms/1%",
            "burst/4ms/1ms/20%",
            "burst/4ms/1ms/100%",
            "pingpong",
        ] {
            assert_eq!(text.parse::<Work>().unwrap().to_string(), text);
        }
        assert_eq!("burst".parse(), Ok(Work::BURST));
    }

    #[test]
    fn a_jitter_may_lack_its_sign_and_none_is_not_shown() {
        let check = |text: &str, expect: &str| {
            assert_eq!(text.parse::<Work>().unwrap().to_string(), expect);
        };
        check("burst/4ms/1ms/20", "burst/4ms/1ms/20%");
        check("burst/4ms/1ms/0%", "burst/4ms/1ms");
        check("burst/4ms/1ms/0", "burst/4ms/1ms");
    }

    #[test]
    fn only_work_with_jitter_is_random() {
        let check = |text: &str, expect: bool| {
            assert_eq!(text.parse::<Work>().unwrap().is_random(), expect, "{text}");
        };
        check("spin", false);
        check("pingpong", false);
        check("burst", false);
        check("burst/4ms/1ms/0%", false);
        check("burst/4ms/1ms/1%", true);
    }

    #[test]
    fn unknown_work_names_what_there_is() {
        let error = "spinn".parse::<Work>().unwrap_err().to_string();
        assert!(error.contains("`spinn`") && error.contains("pingpong"), "{error}");
        assert!(error.contains("`burst/4ms/1ms/20%`"), "{error}");
        assert!(matches!("burst/1/2".parse::<Work>(), Err(WorkError::Time { .. })));
        for text in ["burst/4ms", "burst/4ms/1ms/20%/5", "spin/20%"] {
            assert!(
                matches!(text.parse::<Work>(), Err(WorkError::Unknown { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn a_wrong_jitter_says_what_is_right() {
        for jitter in ["", "%", "101%", "256", "-1%", "+5%", "1.5%", "20 %", "20%%", "x"] {
            let error = format!("burst/4ms/1ms/{jitter}").parse::<Work>().unwrap_err();
            assert!(matches!(error, WorkError::Jitter { .. }), "{error:?}");
            let reason = error.source().unwrap().to_string();
            assert!(
                reason.contains(&format!("`{jitter}`")) && reason.contains("from 0 to 100, as in `20%`"),
                "{reason}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_number_up_to_100_is_a_jitter_by_all_ways_and_no_other_is(percent in any::<u8>()) {
            let received: U8Deserializer<ValueError> = percent.into_deserializer();
            let received = Jitter::deserialize(received).map_err(|error| error.to_string());
            let made = Jitter::try_from(percent);
            let read: Result<Jitter, _> = percent.to_string().parse();
            prop_assert_eq!(&made, &read);
            prop_assert_eq!(received, made.clone().map_err(|error| error.to_string()));
            prop_assert_eq!(made.is_ok(), percent <= 100);
            if let Ok(jitter) = made {
                prop_assert_eq!(jitter.percent(), percent);
                prop_assert_eq!(jitter.to_string().parse(), Ok(jitter));
            }
        }
    }
}
