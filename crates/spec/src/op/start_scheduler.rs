//! A scheduler's program, started.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::argv;
use super::{Form, Operation, Takes};

/// Starts a scheduler's program that is in the guest, and waits until the kernel says that its scheduler is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartScheduler {
    /// Path in the guest and arguments.
    pub argv: Vec<String>,
}

impl fmt::Display for StartScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start-scheduler {}", self.argv.join(" "))
    }
}

impl Operation for StartScheduler {
    const FORMS: &'static [Form] = &[Form {
        usage: "start-scheduler PROGRAM [ARGUMENT…]",
        help: "starts a scheduler's program that is in the guest, and waits until it is attached",
    }];

    fn parse(_: &str, arguments: &str) -> Result<StartScheduler, String> {
        let argv = argv(arguments)?;
        Ok(StartScheduler { argv })
    }

    fn takes(&self) -> Takes {
        Takes::SchedulerLimit
    }

    fn describe(&self) -> String {
        format!("the agent starts {}", self.argv.join(" "))
    }
}
