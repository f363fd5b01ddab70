//! The names of records, and the record that a name means.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::index::INDEX;
use super::read::read_index;
use crate::Record;

/// A record's name below the directory of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordId(String);

impl RecordId {
    /// The name of this record: its plan's name, made harmless, and the start of its hash.
    pub fn of(record: &Record) -> RecordId {
        let harmless = |c: char| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '_'
            }
        };
        let name: String = record.plan.name.chars().map(harmless).take(80).collect();
        let name = name.trim_start_matches('.');
        RecordId(format!(
            "{}-{}",
            if name.is_empty() { "run" } else { name },
            record.hash.short()
        ))
    }

    /// The directory's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The directory of the record that goes by `which`: a path, or a record's name below `dir`, or the beginning of the
/// hash in one.
///
/// # Errors
/// [`StoreError::NoRecord`], [`StoreError::Ambiguous`].
pub fn find(which: &str, dir: &Path) -> Result<PathBuf, StoreError> {
    let path = Path::new(which);
    if path.join(INDEX).is_file() {
        return Ok(path.to_owned());
    }
    if path.file_name().is_some_and(|name| name == INDEX) && path.is_file() {
        return Ok(path.parent().unwrap_or(Path::new(".")).to_owned());
    }
    let found = candidates(which, dir);
    let hash_of = |name: &str| name.rsplit('-').next().map(str::to_owned);
    match found.as_slice() {
        // Records of one hash are the same execution: either will do.
        [first, others @ ..] if others.iter().all(|other| hash_of(other) == hash_of(first)) => {
            Ok(dir.join(first))
        }
        [] => Err(StoreError::NoRecord {
            which: which.to_owned(),
            dir: dir.to_owned(),
        }),
        several => Err(StoreError::Ambiguous {
            which: which.to_owned(),
            found: several.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// The names of the records below `dir`, sorted.
///
/// # Errors
/// Why the directory cannot be read.
pub(super) fn names(dir: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(dir)?.flatten();
    let names = names.filter_map(|entry| entry.file_name().into_string().ok());
    let is_record = |name: &String| !name.starts_with('.') && dir.join(name).join(INDEX).is_file();
    let mut names: Vec<String> = names.filter(is_record).collect();
    names.sort();
    Ok(names)
}

/// The records below `dir` that `which` can mean, sorted: the one that is called so, or else those with a hash that begins so.
pub(super) fn candidates(which: &str, dir: &Path) -> Vec<String> {
    // Where there is no directory there is no record.
    let names = names(dir).unwrap_or_default();
    if names.iter().any(|name| name == which) {
        return vec![which.to_owned()];
    }
    let hash_begins = |name: &String| {
        let hash = name.rsplit('-').next().unwrap_or_default();
        if which.len() > hash.len() {
            // The name has the hash's beginning only.
            let whole =
                || read_index(&dir.join(name)).is_ok_and(|(about, _)| about.hash.as_str().starts_with(which));
            return which.starts_with(hash) && whole();
        }
        !which.is_empty() && hash.starts_with(which)
    };
    names.into_iter().filter(hash_begins).collect()
}
