//! Sets of CPUs, in the kernel's list format.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// CPUs a machine can have at the most: what one q35 machine takes with 8-bit APIC ids.
pub const MAX_CPUS: u32 = 240;

/// A set of CPU numbers. Reads and shows itself as a cpulist (`0-2,5`), as `cpuset.cpus` does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CpuSet(BTreeSet<u32>);

impl CpuSet {
    /// Does `cpu` belong to it?
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.contains(&cpu)
    }

    /// How many CPUs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// No CPU at all?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The CPUs, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// The CPUs of this set that are not in `other`.
    pub fn difference(&self, other: &CpuSet) -> CpuSet {
        CpuSet(self.0.difference(&other.0).copied().collect())
    }

    /// The CPUs that are in both.
    pub fn intersection(&self, other: &CpuSet) -> CpuSet {
        CpuSet(self.0.intersection(&other.0).copied().collect())
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        CpuSet(cpus.into_iter().collect())
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while cpus.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            write!(f, "{separator}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

/// A text that is not a cpulist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CpuSetError {
    /// An item is neither a number nor a range.
    #[error("`{item}` is not a CPU or a range of CPUs; write a list as in `0-2,5`")]
    Item {
        /// The item.
        item: String,
    },
    /// A range runs backwards.
    #[error("the range `{item}` runs backwards; write `{last}-{first}`")]
    Backwards {
        /// The item.
        item: String,
        /// Its first number.
        first: u32,
        /// Its second number.
        last: u32,
    },
    /// A CPU number is out of bounds.
    #[error("CPU {cpu} is out of bounds: a machine has at most {MAX_CPUS} CPUs")]
    TooHigh {
        /// The number.
        cpu: u32,
    },
}

impl FromStr for CpuSet {
    type Err = CpuSetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut set = BTreeSet::new();
        let text = text.trim();
        if text.is_empty() {
            return Ok(CpuSet(set));
        }
        for item in text.split(',') {
            let number = |part: &str| {
                let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
                digits.then(|| part.parse::<u32>().unwrap_or(u32::MAX))
            };
            let wrong = || CpuSetError::Item {
                item: item.to_owned(),
            };
            let (first, last) = match item.split_once('-') {
                None => {
                    let cpu = number(item).ok_or_else(wrong)?;
                    (cpu, cpu)
                }
                Some((first, last)) => (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?),
            };
            if first > last {
                return Err(CpuSetError::Backwards {
                    item: item.to_owned(),
                    first,
                    last,
                });
            }
            if last >= MAX_CPUS {
                return Err(CpuSetError::TooHigh { cpu: last });
            }
            set.extend(first..=last);
        }
        Ok(CpuSet(set))
    }
}

impl From<CpuSet> for String {
    fn from(set: CpuSet) -> String {
        set.to_string()
    }
}

impl TryFrom<String> for CpuSet {
    type Error = CpuSetError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_read_as_the_kernel_writes_them() {
        let check = |text: &str, cpus: &[u32]| {
            assert_eq!(
                text.parse::<CpuSet>().unwrap(),
                cpus.iter().copied().collect(),
                "{text}"
            );
        };
        check("", &[]);
        check("0-2,5,7-8\n", &[0, 1, 2, 5, 7, 8]);
        check("3,1,2", &[1, 2, 3]);
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said() {
        let check = |text: &str, expect: &str| {
            assert!(
                text.parse::<CpuSet>().unwrap_err().to_string().contains(expect),
                "{text}"
            );
        };
        check("a", "`a` is not a CPU");
        check("1-", "`1-` is not a CPU");
        check("1,,2", "`` is not a CPU");
        check("5-3", "write `3-5`");
        check("0-4000000000", "out of bounds");
        check("99999999999999999999", "out of bounds");
    }

    proptest! {
        #[test]
        fn every_set_survives_its_own_text(cpus in prop::collection::btree_set(0..MAX_CPUS, 0..64)) {
            let set: CpuSet = cpus.into_iter().collect();
            prop_assert_eq!(set.to_string().parse::<CpuSet>().unwrap(), set);
        }

        #[test]
        fn no_text_panics(text in "[-0-9, a]{0,24}") {
            let _ = text.parse::<CpuSet>();
        }
    }
}
