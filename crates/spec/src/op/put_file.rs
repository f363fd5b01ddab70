//! A file for the guest.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{OpError, Operation};
use crate::Topology;

/// Puts a file into the guest: parents are made, an older file is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutFile {
    /// Absolute path in the guest.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// What is in it.
    pub content: Content,
}

impl fmt::Display for PutFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "put {} ({} bytes)", self.path, self.content.len())
    }
}

impl Operation for PutFile {
    const BY_HOST: bool = true;

    fn check(&self, _: &Topology) -> Result<(), OpError> {
        match &self.content {
            Content::Bytes(_) => Ok(()),
            Content::Omitted { bytes } => Err(OpError::Invalid(format!(
                "the record does not hold the {bytes} bytes of {}; run the test itself again",
                self.path
            ))),
        }
    }

    fn describe(&self) -> String {
        format!("the agent writes {}", self.path)
    }

    fn recorded(&self) -> PutFile {
        PutFile {
            path: self.path.clone(),
            mode: self.mode,
            content: self.content.recorded(),
        }
    }
}

/// What is in a file that a test put into its guest. In a record `{"text":…}`, `{"hex":…}` or `{"omitted":…}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Spelled", try_from = "Spelled")]
pub enum Content {
    /// All of it.
    Bytes(Vec<u8>),
    /// Too much for a record.
    Omitted {
        /// How many bytes there were.
        bytes: u64,
    },
}

/// The longest file that a record keeps, in bytes.
const MAX_RECORDED: usize = 1 << 20;

impl Content {
    /// These bytes.
    pub fn of(bytes: &[u8]) -> Content {
        Content::Bytes(bytes.to_vec())
    }

    /// The bytes; `None` where a record has not kept them.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self {
            Content::Bytes(bytes) => Some(bytes),
            Content::Omitted { .. } => None,
        }
    }

    /// How many bytes there are, or were.
    pub fn len(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Omitted { bytes } => *bytes,
        }
    }

    /// No bytes at all?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The content as a record keeps it.
    fn recorded(&self) -> Content {
        match self.len() {
            bytes if bytes > MAX_RECORDED as u64 => Content::Omitted { bytes },
            _ => self.clone(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Spelled {
    Text(String),
    Hex(String),
    Omitted { bytes: u64 },
}

/// A record's content of a file that is not hex.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{digits}` is not hex; the record is damaged")]
pub struct ContentError {
    /// The first digits.
    digits: String,
}

impl From<Content> for Spelled {
    fn from(content: Content) -> Spelled {
        match content {
            Content::Omitted { bytes } => Spelled::Omitted { bytes },
            Content::Bytes(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Spelled::Text(text),
                Err(error) => Spelled::Hex(
                    error
                        .as_bytes()
                        .iter()
                        .map(|byte| format!("{byte:02x}"))
                        .collect(),
                ),
            },
        }
    }
}

impl TryFrom<Spelled> for Content {
    type Error = ContentError;

    fn try_from(spelled: Spelled) -> Result<Content, ContentError> {
        match spelled {
            Spelled::Text(text) => Ok(Content::Bytes(text.into_bytes())),
            Spelled::Hex(digits) => bytes_of(&digits).map(Content::Bytes).ok_or_else(|| ContentError {
                digits: digits.chars().take(16).collect(),
            }),
            Spelled::Omitted { bytes } => Ok(Content::Omitted { bytes }),
        }
    }
}

fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex || !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_come_back_from_a_record_unless_they_were_too_long() {
        let check = |bytes: &[u8], expect: &str| {
            let json = serde_json::to_string(&Content::of(bytes).recorded()).unwrap();
            assert_eq!(json, expect);
            let back: Content = serde_json::from_str(&json).unwrap();
            assert_eq!(back.bytes(), Some(bytes));
        };
        check(b"", r#"{"text":""}"#);
        check(b"plain text", r#"{"text":"plain text"}"#);
        check(&[0xff, 0x00, 0x7f], r#"{"hex":"ff007f"}"#);
        let bytes = MAX_RECORDED as u64 + 1;
        let long = Content::of(&vec![0; MAX_RECORDED + 1]).recorded();
        assert_eq!(long, Content::Omitted { bytes });
        assert_eq!((long.bytes(), long.len()), (None, bytes));
    }

    #[test]
    fn what_is_not_hex_is_refused() {
        for digits in ["zz", "abc", "+1", "é"] {
            let json = format!(r#"{{"hex":"{digits}"}}"#);
            let error = serde_json::from_str::<Content>(&json).unwrap_err().to_string();
            assert!(error.contains("is not hex"), "{error}");
        }
    }
}
