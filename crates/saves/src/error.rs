//! The errors of obtaining a save.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use disk::LockError;
use disk::files;

/// Why a save could not be obtained.
#[derive(Debug, thiserror::Error)]
pub enum ObtainError<E: Error + 'static> {
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The save did not exist, and the caller's function failed to make it. Nothing was stored.
    #[error(transparent)]
    Make(E),
}

/// A failed operation of the store. The cause, where there is one, is the error's source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no home directory for the cache.
    #[error("no cache directory: set SCHEDRIG_SAVES, XDG_CACHE_HOME or HOME")]
    NoCacheDir,
    /// The bound of the store is not a number.
    #[error("SCHEDRIG_SAVES_MIB is `{value}`; write a number of MiB, for example 4096")]
    Bound {
        /// The variable's value.
        value: String,
    },
    /// The wanted manifest could not be stored and read again.
    #[error("the manifest of a save cannot be stored: {reason}; it must be JSON of at most 1 MiB")]
    Manifest {
        /// The problem.
        reason: String,
    },
    /// Another process held a lock for too long, or a lock file cannot be created.
    #[error(transparent)]
    Lock(LockError),
    /// The disk is full. Nothing was stored.
    #[error(
        "no room for a save at {}: free some, remove saves with `cargo schedrig saves rm`, or set SCHEDRIG_SAVES to a directory on another disk",
        path.display()
    )]
    Full {
        /// The save's directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// No save matches the name.
    #[error("no save `{which}`; {}", alternatives(available))]
    NoEntry {
        /// The name given.
        which: String,
        /// The keys of all saves.
        available: Vec<String>,
    },
    /// Several saves match the name.
    #[error("several saves match `{which}`: {}; give a longer name", matches.join(", "))]
    Ambiguous {
        /// The name given.
        which: String,
        /// The keys that match.
        matches: Vec<String>,
    },
    /// A file of the store could not be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// The failed action: reading, writing, …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
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

fn alternatives(keys: &[String]) -> String {
    if keys.is_empty() {
        "the cache is empty".to_owned()
    } else {
        format!("available: {}", keys.join(", "))
    }
}
