//! A record could not be written or read.

use std::io;
use std::path::{Path, PathBuf};

use crate::{FORMAT, Format};

/// A record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("{doing} {path}; is the disk full or the directory not writable? (set SCHEDRIG_RECORDS to another)", path = .path.display())]
    Write {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// The index could not be read.
    #[error("read {path}; a record is a directory with a record.json", path = .path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// A file that the index lists could not be read.
    #[error("read {path}, which is listed in the record's index; copy the record again, or make the run again by the command in record.json (host.replay)", path = .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// A file has another size than the index says.
    #[error("{path} has {found} bytes and had {expected} when the record was written; copy the record again, or make the run again by the command in record.json (host.replay)", path = .path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Its size now.
        found: u64,
        /// Its size in the index.
        expected: u64,
    },
    /// A file has another content than the index says.
    #[error("{path} was altered after the record was written: its SHA-256 is {found} and was {expected}; copy the record again, or make the run again by the command in record.json (host.replay)", path = .path.display())]
    Altered {
        /// The file.
        path: PathBuf,
        /// Its SHA-256 now.
        found: String,
        /// Its SHA-256 in the index.
        expected: String,
    },
    /// The index lists a file that is none of the record's.
    #[error("{index} lists the file `{path}`, which is outside of the record's directory; the record was altered: make the run again", index = .index.display())]
    Outside {
        /// The index.
        index: PathBuf,
        /// The path in it.
        path: String,
    },
    /// The index lists no evidence.
    #[error("{index} lists no {part}; the record was altered: make the run again", index = .index.display())]
    Incomplete {
        /// The index.
        index: PathBuf,
        /// What it does not list.
        part: &'static str,
    },
    /// A file is not what it should be.
    #[error("{path} is not part of a record of this version", path = .path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// No record is called so.
    #[error("there is no record `{which}` in {}; give its directory, its name or the beginning of its hash", dir.display())]
    NoRecord {
        /// What was asked for.
        which: String,
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// Several records are called so.
    #[error("`{which}` can be several records: {found}; give more of the hash")]
    Ambiguous {
        /// What was asked for.
        which: String,
        /// Their names.
        found: String,
    },
    /// The record is of a major format that this version cannot read.
    #[error("{path} has format {}.{}, and this version reads 1.x and {}.x; read it with the version of schedrig that wrote it (host.schedrig in it), or make the run again", found.major, found.minor, FORMAT.major, path = .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: Format,
    },
}

/// The error of a call that was to write.
pub(super) fn wrote(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Write { doing, path, source }
}

/// The error of a file that does not parse.
pub(super) fn parsing(path: &Path) -> impl FnOnce(serde_json::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Parse { path, source }
}
