//! What each type of work says about itself.

use std::fmt;

use super::{JitterError, Work, WorkersError};
use crate::NanosError;

/// One type of work: implemented once in each file beside this one, read by the table in `mod.rs`.
pub(super) trait Definition: fmt::Display + Into<Work> {
    /// What is the same for all works of the type.
    const TYPE: &'static WorkType;

    /// Reads the parts of a text form that follow the name. `None`: no form has that many parts.
    fn parse(parts: &[&str]) -> Result<Option<Self>, PartError>;

    /// Does each worker draw random numbers?
    fn is_random(&self) -> bool {
        false
    }

    /// Can it be performed as it is given?
    fn check(&self) -> Result<(), WorkersError> {
        Ok(())
    }
}

/// What is the same for all works of one type.
#[derive(Debug, PartialEq, Eq)]
pub struct WorkType {
    /// The name by which the type is asked for and shown.
    pub name: &'static str,
    /// Its text forms; none where only the code of a test can ask for it.
    pub forms: &'static [Form],
    /// What its workers do, in one line.
    pub help: &'static str,
    /// How many successive workers of one spawn work together; the number of workers is a multiple of it.
    pub team: u32,
    /// Do its workers measure themselves, that is count work units, and note their gaps and CPUs?
    pub measures_itself: bool,
    /// May its workers start processes, whose CPU time then counts as the worker's?
    pub has_children: bool,
}

/// One way to write a work.
#[derive(Debug, PartialEq, Eq)]
pub struct Form {
    /// With the parts by name, as in `burst/SLEEP/BURST`.
    pub text: &'static str,
    /// With values for the parts, as in `burst/4ms/1ms`.
    pub example: &'static str,
}

/// A part of a work's text form is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// It should be a [`Nanos`](crate::Nanos).
    #[error(transparent)]
    Time(#[from] NanosError),
    /// It should be a [`Jitter`](super::Jitter).
    #[error(transparent)]
    Jitter(#[from] JitterError),
}

impl WorkType {
    /// What most types have in common.
    pub(super) const PLAIN: WorkType = WorkType {
        name: "",
        forms: &[],
        help: "",
        team: 1,
        measures_itself: true,
        has_children: false,
    };
}

impl Form {
    /// A form without parts.
    pub(super) const fn plain(text: &'static str) -> Form {
        Form { text, example: text }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text)?;
        if self.text == self.example {
            return Ok(());
        }
        write!(f, " (as in `{}`)", self.example)
    }
}
