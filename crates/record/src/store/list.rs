//! Listing the records of a directory, and removing them by hand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;

use super::error::{StoreError, wrote};
use super::find::{candidates, names};
use super::index::{FileEntry, INDEX};
use super::read::read_index;
use crate::{Plan, RecordHash, Verdict};

/// A record below the directory of records.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    /// Its directory's name.
    pub name: String,
    /// Its directory.
    pub place: PathBuf,
    /// When it was written, in seconds since 1970.
    pub written_s: u64,
    /// The size of its files, in bytes.
    pub bytes: u64,
    /// Its files, as they are.
    pub files: Vec<ListedFile>,
    /// What its index says; `None` where that cannot be read.
    pub about: Option<About>,
    /// Why the index cannot be read, or the first file that is missing or of another size; checksums are for who loads it.
    pub damage: Option<String>,
}

/// A file of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListedFile {
    /// Below the record's directory.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// What the index of a record says of it.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    /// The record's hash.
    pub hash: RecordHash,
    /// Its verdict.
    pub verdict: Verdict,
    /// What was asked of the run.
    pub plan: Plan,
    /// The command that makes the run again.
    pub replay: String,
}

/// The records below `dir`, the newest first; none where there is no such directory.
///
/// # Errors
/// [`StoreError::Index`] where the directory cannot be read.
pub fn list(dir: &Path) -> Result<Vec<Listed>, StoreError> {
    let names = match names(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.map_err(|source| StoreError::Index {
            path: dir.to_owned(),
            source,
        })?,
    };
    // One that is removed meanwhile is none.
    let described = names.iter().filter_map(|name| describe(&dir.join(name)).ok());
    let mut listed: Vec<Listed> = described.collect();
    listed.sort_by(|one, other| (other.written_s, &one.name).cmp(&(one.written_s, &other.name)));
    Ok(listed)
}

/// Removes the record that goes by its name below `dir`, or by the beginning of its hash.
///
/// # Errors
/// [`StoreError::NoRecord`], [`StoreError::Ambiguous`]; [`StoreError::Write`] where it cannot be removed. A path is no name:
/// what is not below `dir` stays.
pub fn remove(which: &str, dir: &Path) -> Result<Listed, StoreError> {
    let found = candidates(which, dir);
    let name = match &found[..] {
        [name] => name,
        [] => {
            return Err(StoreError::NoRecord {
                which: which.to_owned(),
                dir: dir.to_owned(),
            });
        }
        several => {
            return Err(StoreError::Ambiguous {
                which: which.to_owned(),
                found: several.join(", "),
            });
        }
    };
    let place = dir.join(name);
    let listed = describe(&place)?;
    fs::remove_dir_all(&place).map_err(wrote("remove", &place))?;
    Ok(listed)
}

/// What there is in the directory of a record.
///
/// # Errors
/// [`StoreError::Index`] where there is no such directory.
pub fn describe(place: &Path) -> Result<Listed, StoreError> {
    let unreadable = |source| StoreError::Index {
        path: place.to_owned(),
        source,
    };
    let written = fs::metadata(place.join(INDEX)).and_then(|index| index.modified());
    let written = written
        .ok()
        .and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned());
    let index = read_index(place);
    let mut files = Vec::new();
    add_files(place, "", &mut files).map_err(unreadable)?;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let (about, damage) = match index {
        Ok((about, indexed)) => (Some(about), changed(&indexed, &files)),
        Err(error) => (None, Some(error.to_string())),
    };
    Ok(Listed {
        name: name.unwrap_or_default(),
        written_s: written.map_or(0, |since| since.as_secs()),
        bytes: files.iter().map(|file| file.bytes).sum(),
        damage,
        about,
        files,
        place: place.to_owned(),
    })
}

/// The first file that is not there as the index lists it, by its size.
fn changed(indexed: &[FileEntry], files: &[ListedFile]) -> Option<String> {
    indexed.iter().find_map(|FileEntry { path, bytes, .. }| {
        match files.iter().find(|file| file.path == *path) {
            None => Some(format!("{path} is missing")),
            Some(file) if file.bytes != *bytes => {
                Some(format!("{path} has {} bytes and had {bytes}", file.bytes))
            }
            Some(_) => None,
        }
    })
}

/// Adds a directory's files, and those of its folders; what is removed meanwhile is left out.
fn add_files(directory: &Path, below: &str, files: &mut Vec<ListedFile>) -> io::Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        match entry.metadata() {
            Ok(kind) if kind.is_dir() => {
                // One that is gone by now has no files.
                let _ = add_files(&entry.path(), &format!("{path}/"), files);
            }
            Ok(file) => files.push(ListedFile {
                path,
                bytes: file.len(),
            }),
            Err(_) => {}
        }
    }
    Ok(())
}
