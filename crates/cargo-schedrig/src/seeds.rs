//! A list of seeds: `0..200`, `5..=9`, `7`, or several of these with commas.

use std::fmt;
use std::str::FromStr;

/// Seeds, in the order in which they were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seeds {
    text: String,
    ranges: Vec<(u64, u64)>,
}

/// More would run for weeks: it is a typing error.
const MAX_SEEDS: u64 = 100_000_000;

impl Seeds {
    /// Each of them, once for each time it was given.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> + Send + use<> {
        let ranges = self.ranges.clone();
        ranges.into_iter().flat_map(|(first, last)| first..=last)
    }

    /// How many.
    pub(crate) fn len(&self) -> u64 {
        let lengths = self.ranges.iter().map(|(first, last)| last - first + 1);
        lengths.sum()
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ranges = text.split(',').map(range).collect::<Result<Vec<_>, _>>()?;
        let count = ranges.iter().try_fold(0u64, |sum, (first, last)| {
            sum.checked_add((last - first).checked_add(1)?)
        });
        match count {
            Some(count) if count <= MAX_SEEDS => Ok(Seeds {
                text: text.to_owned(),
                ranges,
            }),
            _ => Err(format!("`{text}` has more than {MAX_SEEDS} seeds")),
        }
    }
}

/// A seed, in decimal or as `0x10`.
pub(crate) fn seed(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let wrong = || {
        format!(
            "`{text}` is not a list of seeds; write `0..200` (without 200), `0..=199`, `7`, or several with commas"
        )
    };
    let number = |text: &str| seed(text.trim()).ok_or_else(wrong);
    let (first, last) = match text.split_once("..") {
        None => {
            let seed = number(text)?;
            (seed, seed)
        }
        Some((first, last)) => {
            let first = number(first)?;
            match last.strip_prefix('=') {
                Some(last) => (first, number(last)?),
                None => (first, number(last)?.checked_sub(1).ok_or_else(wrong)?),
            }
        }
    };
    if first <= last {
        Ok((first, last))
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_ranges_and_single_ones() {
        let check = |text: &str, expect: &[u64]| {
            let seeds: Seeds = text.parse().unwrap();
            assert_eq!(seeds.iter().collect::<Vec<_>>(), expect);
            assert_eq!(seeds.len(), expect.len() as u64);
            assert_eq!(seeds.to_string(), text);
        };
        check("0..3", &[0, 1, 2]);
        check("5..=6,1", &[5, 6, 1]);
        check("7", &[7]);
        check("18446744073709551615", &[u64::MAX]);
    }

    #[test]
    fn what_is_not_a_list_of_seeds_is_refused_with_the_right_form() {
        let check = |text: &str, expect: &str| {
            let error = text.parse::<Seeds>().unwrap_err();
            assert!(error.contains(expect), "{text}: {error}");
        };
        check("", "0..200");
        check("5..5", "`5..5` is not a list of seeds");
        check("9..3", "is not a list of seeds");
        check("a..b", "is not a list of seeds");
        check("0..0", "is not a list of seeds");
        check("0..=18446744073709551615", "more than");
        check("0..90000000,0..90000000", "more than");
    }
}
