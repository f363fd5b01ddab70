//! The names of snapshots, and of the files in which they are kept (contracts B10, B11).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest tag in bytes: what a guest's request has room for.
pub const MAX_TAG_BYTES: usize = 64;

/// Tags that tools know.
pub mod well_known {
    /// The state degraded early.
    pub const EARLY_DEGRADED: &str = "early-degraded";
    /// Taken early, before a later one that is degraded.
    pub const EARLY_PRE_LATE_DEGRADED: &str = "early-pre-late-degraded";
    /// There is an early one alone: the later one was suppressed.
    pub const EARLY_ONLY_LATE_SUPPRESSED: &str = "early-only-late-suppressed";
    /// There is an early one alone: nothing called for a later one.
    pub const EARLY_ONLY_LATE_NEVER_FIRED: &str = "early-only-late-never-fired";
}

/// The name of a snapshot: 1 to 64 bytes without a NUL. Any other character may be in it; see [`Tag::file_part`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Tag(String);

/// A text that is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Nothing.
    #[error("a snapshot's tag is empty; give it a name, as in `before-migration`")]
    Empty,
    /// It would not fit in a request, and cut it could be another's.
    #[error("the tag `{tag}` has {} bytes; {MAX_TAG_BYTES} are the most", tag.len())]
    TooLong {
        /// The text.
        tag: String,
    },
    /// It would end there in a request.
    #[error("the tag {tag:?} has a NUL in it")]
    Nul {
        /// The text.
        tag: String,
    },
}

impl Tag {
    /// The tag with this text.
    ///
    /// # Errors
    /// [`TagError`] for what is none.
    pub fn new(text: impl Into<String>) -> Result<Tag, TagError> {
        let tag = text.into();
        match tag.len() {
            0 => Err(TagError::Empty),
            _ if tag.len() > MAX_TAG_BYTES => Err(TagError::TooLong { tag }),
            _ if tag.contains('\0') => Err(TagError::Nul { tag }),
            _ => Ok(Tag(tag)),
        }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tag as part of a file's name, with `_` for each character that is not of `[A-Za-z0-9._-]`, so that no tag
    /// leads elsewhere (B10). Two tags can have the same.
    pub fn file_part(&self) -> String {
        let keep = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
        let chars = self.0.chars();
        chars.map(|char| if keep(char) { char } else { '_' }).collect()
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Tag, TagError> {
        Tag::new(text)
    }
}

impl TryFrom<String> for Tag {
    type Error = TagError;

    fn try_from(text: String) -> Result<Tag, TagError> {
        Tag::new(text)
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> String {
        tag.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// B10: each character that is not of `[A-Za-z0-9._-]` is one `_`, so no tag leads elsewhere.
    #[test]
    fn characters_of_paths_are_underscores() {
        for (tag, expect) in [
            ("early", "early"),
            ("../etc/passwd", ".._etc_passwd"),
            ("a b/ü€\n", "a_b____"),
            ("50%/é", "50___"),
        ] {
            assert_eq!(Tag::new(tag).unwrap().file_part(), expect);
        }
    }

    /// B11: the tags that tools know are tags, and the same in the names of files.
    #[test]
    fn well_known_tags_are_spelt_as_tools_know_them() {
        let tags = [
            (well_known::EARLY_DEGRADED, "early-degraded"),
            (well_known::EARLY_PRE_LATE_DEGRADED, "early-pre-late-degraded"),
            (
                well_known::EARLY_ONLY_LATE_SUPPRESSED,
                "early-only-late-suppressed",
            ),
            (
                well_known::EARLY_ONLY_LATE_NEVER_FIRED,
                "early-only-late-never-fired",
            ),
        ];
        for (tag, text) in tags {
            assert_eq!(Tag::new(tag).unwrap().file_part(), text);
        }
    }

    #[test]
    fn what_is_no_tag_is_refused_with_the_reason() {
        assert_eq!("".parse::<Tag>(), Err(TagError::Empty));
        assert_eq!(
            "x".repeat(64).parse::<Tag>().map(String::from),
            Ok("x".repeat(64))
        );
        let long = "x".repeat(65).parse::<Tag>().unwrap_err();
        assert!(long.to_string().contains("65 bytes; 64"), "{long}");
        assert!(matches!("a\0b".parse::<Tag>(), Err(TagError::Nul { .. })));
        assert!(serde_json::from_str::<Tag>("\"\"").is_err());
        assert_eq!(
            serde_json::to_string(&Tag::new("a/b").unwrap()).unwrap(),
            "\"a/b\""
        );
    }

    proptest! {
        /// B10: no tag leads out of the directory in which its file is.
        #[test]
        fn a_tag_is_the_name_of_a_file(tag in "[a-z./]{1,64}|\\PC{1,16}") {
            let part = Tag::new(tag).unwrap().file_part() + ".json";
            let path = std::path::Path::new(&part);
            prop_assert_eq!(path.components().count(), 1);
            prop_assert_eq!(path.file_name().unwrap(), std::ffi::OsStr::new(&part));
        }
    }
}
