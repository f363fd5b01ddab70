//! How far the lengths of a work may be off the given ones.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error as ValueError, U8Deserializer};

    use super::*;

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
