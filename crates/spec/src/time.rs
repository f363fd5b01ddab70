//! Time as the guest counts it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// A span of guest time in nanoseconds. Reads and shows itself as `5s`, `2.5ms`, `40us`, `7ns`; reads `1m` and `1h30m`, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Nothing.
    pub const ZERO: Nanos = Nanos(0);

    /// Whole seconds; saturates.
    pub const fn from_secs(seconds: u64) -> Nanos {
        Nanos(seconds.saturating_mul(1_000_000_000))
    }

    /// Whole milliseconds; saturates.
    pub const fn from_millis(millis: u64) -> Nanos {
        Nanos(millis.saturating_mul(1_000_000))
    }

    /// Whole microseconds; saturates.
    pub const fn from_micros(micros: u64) -> Nanos {
        Nanos(micros.saturating_mul(1_000))
    }

    /// As fractional seconds, for people and ratios.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }

    /// The difference, or zero where `earlier` is later.
    pub const fn saturating_sub(self, earlier: Nanos) -> Nanos {
        Nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = match self.0 {
            0 => return f.write_str("0s"),
            1_000_000_000.. => ("s", 1_000_000_000),
            1_000_000.. => ("ms", 1_000_000),
            1_000.. => ("us", 1_000),
            _ => ("ns", 1),
        };
        let whole = self.0 / size;
        let thousandths = self.0 % size * 1_000 / size;
        let shown = format!("{whole}.{thousandths:03}");
        write!(f, "{}{unit}", shown.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A span as it is typed: nothing of it is rounded away.
#[derive(Debug, Clone, Copy)]
pub struct Typed(Nanos);

impl Nanos {
    /// As it is typed: reads as the same span again, where [`Display`](fmt::Display) is for people and may be rounded.
    pub fn typed(self) -> Typed {
        Typed(self)
    }
}

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.to_string();
        if shown.parse() == Ok(self.0) {
            f.write_str(&shown)
        } else {
            write!(f, "{}ns", self.0.0)
        }
    }
}

/// A text that is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a span of time; write a number and a unit, as in `1m30s`, `5s`, `2.5ms`, `40us`, `7ns`; five million hours are the most"
)]
pub struct NanosError {
    text: String,
}

impl FromStr for Nanos {
    type Err = NanosError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NanosError {
            text: text.to_owned(),
        };
        let (mut rest, mut sum, mut last) = (text, 0u64, u64::MAX);
        while !rest.is_empty() {
            let (part, size, after) = part(rest).ok_or_else(wrong)?;
            // `30m1h` is a typing error, and so is `1s1s`.
            if size >= last {
                return Err(wrong());
            }
            sum = sum.checked_add(part).ok_or_else(wrong)?;
            (rest, last) = (after, size);
        }
        if text.is_empty() {
            Err(wrong())
        } else {
            Ok(Nanos(sum))
        }
    }
}

/// A number and its unit at the start of a text: in nanoseconds, the unit, and what follows.
fn part(text: &str) -> Option<(u64, u64, &str)> {
    let end = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, rest) = text.split_at(end);
    let unit_end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let (_, size) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let scale = 10u64.pow(fraction.len() as u32);
    let fraction: u64 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    let fraction = u64::try_from(u128::from(fraction) * u128::from(*size) / u128::from(scale)).ok()?;
    let whole = whole.parse::<u64>().ok()?.checked_mul(*size)?;
    Some((whole.checked_add(fraction)?, *size, rest))
}

/// An instant in the guest: nanoseconds of its `CLOCK_MONOTONIC`, which starts at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GuestTime(pub Nanos);

impl GuestTime {
    /// The span since `earlier`, or zero where that is later.
    pub const fn since(self, earlier: GuestTime) -> Nanos {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for GuestTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As the kernel log stamps its lines.
        write!(
            f,
            "[{:5}.{:06}]",
            self.0.0 / 1_000_000_000,
            self.0.0 % 1_000_000_000 / 1_000
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_in_every_unit() {
        let check = |text: &str, ns: u64| assert_eq!(text.parse(), Ok(Nanos(ns)), "{text}");
        check("5s", 5_000_000_000);
        check("2.5ms", 2_500_000);
        check("40us", 40_000);
        check("7ns", 7);
        check("0.000000001s", 1);
        check("1m", 60_000_000_000);
        check("1h30m", 5_400_000_000_000);
        check("1m1.5s", 61_500_000_000);
    }

    #[test]
    fn what_is_not_a_span_is_refused() {
        for text in [
            "",
            "5",
            "s",
            ".5s",
            "-1s",
            "1e3s",
            "5 s",
            "99999999999999s",
            "1.0000000001s",
            "30m1h",
            "1s1s",
            "1h30",
            "1 m",
        ] {
            assert!(text.parse::<Nanos>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn spans_show_three_digits_at_the_most() {
        let check = |ns: u64, text: &str| assert_eq!(Nanos(ns).to_string(), text);
        check(0, "0s");
        check(1_500_000_000, "1.5s");
        check(2_000_001, "2ms");
        check(999, "999ns");
    }

    #[test]
    fn instants_look_like_kernel_log_stamps() {
        assert_eq!(GuestTime(Nanos(1_234_567_890)).to_string(), "[    1.234567]");
    }
}
