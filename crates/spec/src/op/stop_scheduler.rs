//! A scheduler's program, ended.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::end;
use super::{Form, Operation, Takes};

/// Asks the scheduler's program to end (SIGINT), and ends it where it does not: the kernel's own scheduler takes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopScheduler;

impl fmt::Display for StopScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stop-scheduler")
    }
}

impl Operation for StopScheduler {
    const FORMS: &'static [Form] = &[Form {
        usage: "stop-scheduler",
        help: "asks the scheduler's program to end, and waits for it",
    }];

    fn parse(_: &str, arguments: &str) -> Result<StopScheduler, String> {
        end(arguments).map(|()| StopScheduler)
    }

    fn takes(&self) -> Takes {
        Takes::SchedulerLimit
    }

    fn describe(&self) -> String {
        "the agent stops the scheduler".to_owned()
    }
}
