//! A cgroup that a test wants: its name, cpuset and weight.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::CpuSet;

/// A cgroup below the root, as the agent makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupSpec {
    /// The directory's name.
    pub name: GroupName,
    /// `cpuset.cpus`; `None` = all.
    pub cpus: Option<CpuSet>,
    /// `cpu.weight`.
    pub weight: Weight,
}

/// A name that is one harmless path component: letters, digits, `-`, `_`, at most 32 of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct GroupName(String);

/// A text that cannot name a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` cannot name a group; use 1 to 32 letters, digits, `-` or `_`")]
pub struct GroupNameError {
    text: String,
}

impl GroupName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = GroupNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if (1..=32).contains(&text.len()) && text.bytes().all(harmless) {
            Ok(GroupName(text.to_owned()))
        } else {
            Err(GroupNameError {
                text: text.to_owned(),
            })
        }
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<GroupName> for String {
    fn from(name: GroupName) -> String {
        name.0
    }
}

impl TryFrom<String> for GroupName {
    type Error = GroupNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A `cpu.weight`: 1 to 10000, 100 by default (Documentation/admin-guide/cgroup-v2.rst).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u32", try_from = "u32")]
pub struct Weight(u32);

/// A number that is not a weight.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no weight; write a number from 1 to 10000 (100 is the default)")]
pub struct WeightError {
    text: String,
}

impl Weight {
    /// The weight of a new cgroup.
    pub const DEFAULT: Weight = Weight(100);

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Weight::DEFAULT
    }
}

impl From<Weight> for u32 {
    fn from(weight: Weight) -> u32 {
        weight.0
    }
}

impl TryFrom<u32> for Weight {
    type Error = WeightError;

    fn try_from(number: u32) -> Result<Self, Self::Error> {
        if (1..=10_000).contains(&number) {
            Ok(Weight(number))
        } else {
            Err(WeightError {
                text: number.to_string(),
            })
        }
    }
}

impl FromStr for Weight {
    type Err = WeightError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |_| WeightError {
            text: text.to_owned(),
        };
        text.parse::<u32>().map_err(wrong).and_then(Weight::try_from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_directory() {
        for text in ["", "..", "a/b", "a b", "ä", &"x".repeat(33)] {
            assert!(text.parse::<GroupName>().is_err(), "{text:?}");
        }
        assert_eq!("web-1_a".parse::<GroupName>().unwrap().as_str(), "web-1_a");
    }

    #[test]
    fn weights_have_the_kernels_bounds() {
        assert!(Weight::try_from(0).is_err());
        assert!(Weight::try_from(10_001).is_err());
        assert_eq!(Weight::try_from(10_000).unwrap().get(), 10_000);
        assert_eq!("300".parse::<Weight>().unwrap().get(), 300);
        assert!("heavy".parse::<Weight>().is_err());
    }
}
