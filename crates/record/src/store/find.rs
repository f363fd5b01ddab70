//! The names of records, and the record that a name means.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::index::INDEX;
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
    let names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let hash_begins = |name: &&String| {
        let hash = name.rsplit('-').next().unwrap_or_default();
        !which.is_empty()
            && (hash.starts_with(which) || (which.len() > hash.len() && which.starts_with(hash)))
    };
    let exactly: Vec<&String> = names.iter().filter(|name| *name == which).collect();
    let mut found = if exactly.is_empty() {
        names.iter().filter(hash_begins).collect()
    } else {
        exactly
    };
    found.sort();
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
            found: several
                .iter()
                .map(|name| name.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}
