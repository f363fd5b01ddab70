//! `pingpong`: pairs of workers that wake each other over a futex.

use std::fmt;

use super::definition::{Definition, Form, PartError, WorkType};

/// Two workers wake each other over a futex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PingPong;

impl Definition for PingPong {
    const TYPE: &'static WorkType = &WorkType {
        name: "pingpong",
        forms: &[Form::plain("pingpong")],
        help: "two workers wake each other over a futex, in turn",
        team: 2,
        ..WorkType::PLAIN
    };

    fn parse(parts: &[&str]) -> Result<Option<PingPong>, PartError> {
        Ok(parts.is_empty().then_some(PingPong))
    }
}

impl fmt::Display for PingPong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::TYPE.name)
    }
}
