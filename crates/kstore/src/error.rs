//! The errors of resolving a request to local files.

use std::io;
use std::path::{Path, PathBuf};

use disk::LockError;

use crate::apt::AptError;
use crate::entry::Damage;
use crate::local::LocalError;

/// A failed operation of the store. The cause, where there is one, is the error's source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no home directory for the cache.
    #[error("no cache directory: set HOME or XDG_CACHE_HOME")]
    NoCacheDir,
    /// The request is malformed.
    #[error(transparent)]
    Request(#[from] crate::RequestError),
    /// apt did not provide a kernel.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// There is no kernel at the requested place.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// Another process held a lock for too long.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The file found is not a usable kernel.
    #[error("{name} is not a usable kernel")]
    Image {
        /// The file or package.
        name: String,
        /// The cause.
        source: kimage::ImageError,
    },
    /// The kernel lacks a required feature, by its own symbols or sections.
    #[error(transparent)]
    Feature(#[from] kimage::FeatureError),
    /// The kernel lacks a required feature, by its config.
    #[error(
        "the kernel {release} (`{request}`) has no {what}: its config lacks {option}; ask for another one, for example `apt:sid`"
    )]
    Lacks {
        /// The kernel's release.
        release: String,
        /// The request.
        request: String,
        /// The missing feature.
        what: &'static str,
        /// The kernel option that gives it.
        option: &'static str,
    },
    /// The disk is full. Nothing was stored.
    #[error("no room for {bytes} bytes in {}; free some, or remove kernels from the cache", directory.display())]
    Full {
        /// The cache.
        directory: PathBuf,
        /// The size of the kernel's files, in bytes.
        bytes: u64,
        /// The system's error.
        source: io::Error,
    },
    /// A cached kernel is damaged and could not be fetched again; the source is the failed fetch.
    #[error("the cached kernel {} is damaged ({damage}) and could not be fetched again", directory.display())]
    Damaged {
        /// The entry's directory.
        directory: PathBuf,
        /// The damage.
        damage: Damage,
        /// Why the fetch failed.
        source: Box<StoreError>,
    },
    /// No entry matches the name.
    #[error("no cached kernel `{which}`; {}", alternatives(available))]
    NoEntry {
        /// The name given.
        which: String,
        /// The ids of all entries.
        available: Vec<String>,
    },
    /// Several entries match the name.
    #[error("several cached kernels match `{which}`: {}; give a longer name", matches.join(", "))]
    Ambiguous {
        /// The name given.
        which: String,
        /// The ids of the entries that match.
        matches: Vec<String>,
    },
    /// A file of the cache could not be read or written.
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
        move |source| Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

fn alternatives(ids: &[String]) -> String {
    if ids.is_empty() {
        "the cache is empty".to_owned()
    } else {
        format!("available: {}", ids.join(", "))
    }
}
