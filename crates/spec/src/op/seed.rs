//! Another seed in mid-run.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::{end, value};
use super::{Form, Operation};

/// Seeds what is random from now on: the machine's own generator, the agent's choices, the kernel's generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed {
    /// The seed.
    pub seed: u64,
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}", self.seed)
    }
}

impl Operation for Seed {
    const FORMS: &'static [Form] = &[Form {
        usage: "seed N",
        help: "seeds what is random from now on",
    }];
    const BY_HOST: bool = true;

    fn parse(_: &str, arguments: &str) -> Result<Seed, String> {
        let (seed, rest) = value(arguments, "the seed")?;
        end(rest)?;
        Ok(Seed { seed })
    }

    fn describe(&self) -> String {
        "the agent is seeded".to_owned()
    }
}
