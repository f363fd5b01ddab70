//! Workers that do the same: how a test, an op and the command line name them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Work;

/// A number of workers that do the same work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workers {
    /// What each of them does.
    pub work: Work,
    /// How many there are.
    pub count: u32,
    /// Their nice value, -20 to 19.
    pub nice: i8,
}

impl Workers {
    /// `count` workers that do `work`, with nice value 0. Any work may be read from its text form, as in
    /// `"burst/4ms/1ms/20%".parse::<Work>()?`.
    pub fn new(work: impl Into<Work>, count: u32) -> Workers {
        Workers {
            work: work.into(),
            count,
            nice: 0,
        }
    }

    /// The same workers with that nice value, -20 to 19.
    #[must_use]
    pub fn nice(self, nice: i8) -> Workers {
        Workers { nice, ..self }
    }
}

impl fmt::Display for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} workers", self.count, self.work)
    }
}
