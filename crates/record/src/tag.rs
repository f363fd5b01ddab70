//! The names of snapshots, and of the files in which they are kept (contracts B10, B11).

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest tag in bytes: what a guest's request has room for.
pub const MOST_TAG_BYTES: usize = 64;

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

/// What goes from a dump's name when it is tagged.
const FAILURE_DUMP: &[u8] = b".failure-dump";
/// The name of a dump that has none.
const NAMELESS: &[u8] = b"dump";

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
    #[error("the tag `{tag}` has {} bytes; {MOST_TAG_BYTES} are the most", tag.len())]
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
            _ if tag.len() > MOST_TAG_BYTES => Err(TagError::TooLong { tag }),
            _ if tag.contains('\0') => Err(TagError::Nul { tag }),
            _ => Ok(Tag(tag)),
        }
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As it is in the name of a file: two tags can have the same.
    pub fn file_part(&self) -> String {
        file_part(&self.0)
    }
}

/// The file beside `path` for what is tagged so: `out/run.failure-dump.json` and `early` give
/// `out/run.snapshot.early.json`.
///
/// Purely by the names. The file is in the directory of `path` whatever the tag is.
pub fn tagged_path(path: &Path, tag: &str) -> PathBuf {
    let stem = path.file_stem().map_or(&[][..], OsStrExt::as_bytes);
    let stem = stem.strip_suffix(FAILURE_DUMP).unwrap_or(stem);
    let nameless = stem.is_empty() || stem.starts_with(b".");
    let mut name = if nameless { NAMELESS } else { stem }.to_vec();
    name.extend(b".snapshot.");
    name.extend(file_part(tag).as_bytes());
    if let Some(ext) = path.extension() {
        name.push(b'.');
        name.extend(ext.as_bytes());
    }
    // The root has no parent, and is the directory.
    path.parent().unwrap_or(path).join(OsString::from_vec(name))
}

/// The text with `_` for each character that is not `A-Z`, `a-z`, `0-9`, `.`, `_` or `-`.
fn file_part(tag: &str) -> String {
    let keep = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '_' | '-');
    tag.chars()
        .map(|char| if keep(char) { char } else { '_' })
        .collect()
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
    use std::ffi::OsStr;

    use proptest::prelude::*;

    use super::*;

    fn check(path: &str, tag: &str, expect: &str) {
        assert_eq!(
            tagged_path(Path::new(path), tag),
            Path::new(expect),
            "{path} {tag}"
        );
    }

    /// B10: one `.failure-dump` goes, the tag comes before the extension.
    #[test]
    fn a_tag_comes_between_stem_and_extension() {
        check(
            "out/run.failure-dump.json",
            "early",
            "out/run.snapshot.early.json",
        );
        check("out/run.json", "early", "out/run.snapshot.early.json");
        check(
            "run.failure-dump.failure-dump.json",
            "a",
            "run.failure-dump.snapshot.a.json",
        );
        check("/a.b/run.v1.txt", "x", "/a.b/run.v1.snapshot.x.txt");
    }

    /// B10: without an extension none is made up.
    #[test]
    fn without_an_extension_there_is_none() {
        check("out/run", "early", "out/run.snapshot.early");
    }

    /// B10: names that would be hidden or empty are `dump`.
    #[test]
    fn hidden_and_empty_names_are_dump() {
        check("out/.json", "a", "out/dump.snapshot.a");
        check("out/.failure-dump.json", "a", "out/dump.snapshot.a.json");
        check("out/.hidden.json", "a", "out/dump.snapshot.a.json");
        check("", "a", "dump.snapshot.a");
        check("..", "a", "dump.snapshot.a");
        check("out/..", "a", "out/dump.snapshot.a");
        check("/", "a", "/dump.snapshot.a");
    }

    /// B10: each character that is not of `[A-Za-z0-9._-]` is one `_`, so no tag leads elsewhere.
    #[test]
    fn characters_of_paths_are_underscores() {
        check(
            "out/run.json",
            "../etc/passwd",
            "out/run.snapshot..._etc_passwd.json",
        );
        check("run.json", "a b/ü€\n", "run.snapshot.a_b____.json");
        check("run.json", "", "run.snapshot..json");
        assert_eq!(Tag::new("50%/é").unwrap().file_part(), "50___");
    }

    /// B10: what is tagged can be tagged again.
    #[test]
    fn a_second_tag_is_appended() {
        let first = tagged_path(Path::new("out/run.failure-dump.json"), "a");
        check(first.to_str().unwrap(), "b", "out/run.snapshot.a.snapshot.b.json");
    }

    /// B10: a name that is not UTF-8 stays as it is.
    #[test]
    fn names_are_bytes() {
        let path = Path::new(OsStr::from_bytes(b"out/r\xff.failure-dump.js\xfe"));
        let expect = Path::new(OsStr::from_bytes(b"out/r\xff.snapshot.a.js\xfe"));
        assert_eq!(tagged_path(path, "a"), expect);
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
        /// B10: no tag and no path lead out of the path's directory, and to no file of another kind.
        #[test]
        fn a_tagged_path_stays_in_its_directory(path in "[a-z./]{0,16}|\\PC{0,12}", tag in "[a-z./]{0,70}|\\PC{0,70}") {
            let path = Path::new(&path);
            let tagged = tagged_path(path, &tag);
            prop_assert_eq!(tagged.parent(), Some(path.parent().unwrap_or(path)));
            let name = tagged.file_name().unwrap().to_str().unwrap();
            prop_assert!(!name.starts_with('.') && name.contains(".snapshot."), "{}", name);
            prop_assert_eq!(tagged_path(path, &tag), tagged);
        }
    }
}
