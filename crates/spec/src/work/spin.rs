//! `spin`: computes without end.

use std::fmt;

use super::definition::{Definition, Form, PartError, WorkType};

/// Computes without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spin;

impl Definition for Spin {
    const TYPE: &'static WorkType = &WorkType {
        name: "spin",
        forms: &[Form::plain("spin")],
        help: "computes without end",
        ..WorkType::PLAIN
    };

    fn parse(parts: &[&str]) -> Result<Option<Spin>, PartError> {
        Ok(parts.is_empty().then_some(Spin))
    }
}

impl fmt::Display for Spin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::TYPE.name)
    }
}
