//! What can go wrong between a manifest and its save.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use disk::LockError;
use disk::files;

/// Why there is no save.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError<E: Error + 'static> {
    /// The store could not look for it or keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was not there, and the caller's function could not make it. Nothing of it was left.
    #[error(transparent)]
    Make(E),
}

/// Why the store could not do what was asked. The cause, where there is one, is the error's source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no home directory to keep a cache in.
    #[error("no cache directory: set SCHEDRIG_SAVES, XDG_CACHE_HOME or HOME")]
    NoCacheDir,
    /// The bound of the store is not a number.
    #[error("SCHEDRIG_SAVES_MIB is `{value}`; write a number of MiB, for example 4096")]
    Bound {
        /// What it is.
        value: String,
    },
    /// The wanted save's manifest is not one that could be read again.
    #[error("the manifest of a save cannot be kept: {reason}; it must be JSON of at most 1 MiB")]
    Manifest {
        /// What is wrong with it.
        reason: String,
    },
    /// Another process holds a lock for too long, or a lock cannot be made.
    #[error(transparent)]
    Lock(LockError),
    /// No room for a save. Nothing of it was left.
    #[error(
        "no room for a save at {}: free some, remove saves with `cargo schedrig saves rm`, or set SCHEDRIG_SAVES to a directory on another disk",
        path.display()
    )]
    Full {
        /// Where it was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No save is called so.
    #[error("no save `{which}`; {}", known(there))]
    NoEntry {
        /// What was asked for.
        which: String,
        /// The keys of all saves.
        there: Vec<String>,
    },
    /// Several saves are called so.
    #[error("several saves match `{which}`: {}; write more of the one that is meant", matches.join(", "))]
    Ambiguous {
        /// What was asked for.
        which: String,
        /// The keys that match.
        matches: Vec<String>,
    },
    /// A file of the store could not be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// What was done: reading, writing, …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StoreError {
    /// A conversion of the error of doing `action` with `path`.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| {
            let path = path.to_owned();
            if files::is_full(&source) {
                Self::Full { path, source }
            } else {
                Self::File { action, path, source }
            }
        }
    }
}

impl From<LockError> for StoreError {
    fn from(error: LockError) -> Self {
        match error {
            LockError::File { path, source } if files::is_full(&source) => Self::Full { path, source },
            other => Self::Lock(other),
        }
    }
}

fn known(keys: &[String]) -> String {
    if keys.is_empty() {
        "the cache is empty".to_owned()
    } else {
        format!("there are {}", keys.join(", "))
    }
}
