//! `yield`: gives up its CPU again and again.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::definition::{Definition, Form, PartError, WorkType};
use crate::Nanos;

/// Computes for a short time, then calls `sched_yield()`, in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Yield {
    /// How long it computes between two yields, in its own on-CPU time.
    pub length: Nanos,
}

impl Yield {
    /// Computes 20 µs between two yields.
    pub const DEFAULT: Yield = Yield {
        length: Nanos::from_micros(20),
    };
}

impl Definition for Yield {
    const TYPE: &'static WorkType = &WorkType {
        name: "yield",
        forms: &[
            Form::plain("yield"),
            Form {
                text: "yield/LENGTH",
                example: "yield/20us",
            },
        ],
        help: "computes for LENGTH (20us), then yields its CPU, in turn",
        ..WorkType::PLAIN
    };

    fn parse(parts: &[&str]) -> Result<Option<Yield>, PartError> {
        match *parts {
            [] => Ok(Some(Yield::DEFAULT)),
            [length] => Ok(Some(Yield {
                length: length.parse()?,
            })),
            _ => Ok(None),
        }
    }
}

impl fmt::Display for Yield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Self::TYPE.name, self.length.typed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::{Work, WorkError};

    #[test]
    fn a_yield_reads_with_and_without_its_length() {
        let check = |text: &str, expect: &str| {
            assert_eq!(text.parse::<Work>().unwrap().to_string(), expect);
        };
        check("yield", "yield/20us");
        check("yield/1.5ms", "yield/1.5ms");
        assert!(matches!("yield/20".parse::<Work>(), Err(WorkError::Part { .. })));
        assert!(matches!(
            "yield/1us/1us".parse::<Work>(),
            Err(WorkError::Unknown { .. })
        ));
    }

    #[test]
    fn its_format_is_pinned() {
        let work = Work::Yield(Yield { length: Nanos(300) });
        assert_eq!(postcard::to_allocvec(&work).unwrap(), [4, 0xac, 0x02]);
        assert_eq!(
            serde_json::to_string(&work).unwrap(),
            r#"{"Yield":{"length":300}}"#
        );
    }
}
