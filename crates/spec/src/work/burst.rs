//! `burst`: sleeps, then computes, in turn.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::definition::{Definition, Form, PartError, WorkType};
use super::{Jitter, Work};
use crate::Nanos;

/// Sleeps, then computes, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SleepBurst {
    /// How long it sleeps.
    pub sleep: Nanos,
    /// How long it computes, in its own on-CPU time.
    pub burst: Nanos,
    /// How far each sleep and each burst may be off these two.
    pub jitter: Jitter,
}

impl SleepBurst {
    /// Sleeps 4 ms, computes 1 ms.
    pub const DEFAULT: SleepBurst = SleepBurst {
        sleep: Nanos::from_millis(4),
        burst: Nanos::from_millis(1),
        jitter: Jitter::NONE,
    };
}

impl Work {
    /// The default `burst`: [`SleepBurst::DEFAULT`].
    pub const BURST: Work = Work::SleepBurst(SleepBurst::DEFAULT);
}

impl Definition for SleepBurst {
    const TYPE: &'static WorkType = &WorkType {
        name: "burst",
        forms: &[
            Form::plain("burst"),
            Form {
                text: "burst/SLEEP/BURST",
                example: "burst/4ms/1ms",
            },
            Form {
                text: "burst/SLEEP/BURST/JITTER",
                example: "burst/4ms/1ms/20%",
            },
        ],
        help: "sleeps, then computes, in turn",
        ..WorkType::PLAIN
    };

    fn parse(parts: &[&str]) -> Result<Option<SleepBurst>, PartError> {
        let (sleep, burst, jitter) = match *parts {
            [] => return Ok(Some(SleepBurst::DEFAULT)),
            [sleep, burst] => (sleep, burst, Jitter::NONE),
            [sleep, burst, jitter] => (sleep, burst, jitter.parse()?),
            _ => return Ok(None),
        };
        Ok(Some(SleepBurst {
            sleep: sleep.parse()?,
            burst: burst.parse()?,
            jitter,
        }))
    }

    fn is_random(&self) -> bool {
        self.jitter != Jitter::NONE
    }
}

impl fmt::Display for SleepBurst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SleepBurst { sleep, burst, jitter } = self;
        write!(f, "{}/{}/{}", Self::TYPE.name, sleep.typed(), burst.typed())?;
        if *jitter == Jitter::NONE {
            return Ok(());
        }
        write!(f, "/{jitter}")
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::work::WorkError;

    #[test]
    fn a_jitter_may_lack_its_sign_and_none_is_not_shown() {
        let check = |text: &str, expect: &str| {
            assert_eq!(text.parse::<Work>().unwrap().to_string(), expect);
        };
        check("burst/4ms/1ms/20", "burst/4ms/1ms/20%");
        check("burst/4ms/1ms/0%", "burst/4ms/1ms");
        check("burst/4ms/1ms/0", "burst/4ms/1ms");
        check("burst", "burst/4ms/1ms");
    }

    #[test]
    fn a_burst_with_jitter_is_random_and_no_other_is() {
        let check = |text: &str, expect: bool| {
            assert_eq!(text.parse::<Work>().unwrap().is_random(), expect, "{text}");
        };
        check("burst", false);
        check("burst/4ms/1ms/0%", false);
        check("burst/4ms/1ms/1%", true);
    }

    #[test]
    fn a_wrong_part_says_what_is_right() {
        let check = |part: &str, text: &str, expect: &str| {
            let error = text.parse::<Work>().unwrap_err();
            assert!(matches!(error, WorkError::Part { .. }), "{error:?}");
            let reason = error.source().unwrap().to_string();
            assert!(
                reason.contains(&format!("`{part}`")) && reason.contains(expect),
                "{reason}"
            );
        };
        for jitter in ["", "%", "101%", "256", "-1%", "+5%", "1.5%", "20 %", "20%%", "x"] {
            let text = format!("burst/4ms/1ms/{jitter}");
            check(jitter, &text, "from 0 to 100, as in `20%`");
        }
        for time in ["", "1", "-1ms", "ms"] {
            check(time, &format!("burst/{time}/1ms"), "a number and a unit");
            check(time, &format!("burst/1ms/{time}"), "a number and a unit");
        }
    }
}
