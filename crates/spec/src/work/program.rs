//! `program`: executes a program that was put into the guest. It has no text form that can be read: a program's
//! arguments may hold any character.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::WorkersError;
use super::definition::{Definition, PartError, WorkType};

/// Executes a program that was put into the guest; the program counts no work units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Path in the guest and arguments.
    pub argv: Vec<String>,
}

impl Definition for Program {
    const TYPE: &'static WorkType = &WorkType {
        name: "program",
        forms: &[],
        help: "executes a program that was put into the guest",
        measures_itself: false,
        has_children: true,
        ..WorkType::PLAIN
    };

    fn parse(_: &[&str]) -> Result<Option<Program>, PartError> {
        Ok(None)
    }

    fn check(&self) -> Result<(), WorkersError> {
        match self.argv.first() {
            Some(path) if !path.is_empty() => Ok(()),
            _ => Err(WorkersError::NoPath),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Self::TYPE.name, self.argv.join(" "))
    }
}
