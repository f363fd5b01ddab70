//! A value for the record.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::operation::need;
use super::{Form, Operation};

/// Puts a value into the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// The value's name.
    pub key: String,
    /// The value.
    pub value: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "note {} {}", self.key, self.value)
    }
}

impl Operation for Note {
    const FORMS: &'static [Form] = &[Form {
        usage: "note KEY VALUE",
        help: "puts a value into the record",
    }];
    const BY_HOST: bool = true;

    fn parse(_: &str, arguments: &str) -> Result<Note, String> {
        let (key, value) = need(arguments, "the key")?;
        Ok(Note {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }

    fn describe(&self) -> String {
        format!("the host notes {}", self.key)
    }
}
