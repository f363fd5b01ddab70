//! What can go wrong between a request and its files.

use std::io;
use std::path::{Path, PathBuf};

use disk::LockError;

use crate::apt::AptError;
use crate::entry::Damage;
use crate::local::LocalError;

/// Why the store could not do what was asked. The cause, where there is one, is the error's source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no home directory to keep a cache in.
    #[error("no cache directory: set HOME or XDG_CACHE_HOME")]
    NoCacheDir,
    /// The request has a word in it that cannot be one.
    #[error(transparent)]
    Request(#[from] crate::RequestError),
    /// The package manager did not give a kernel.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// There is no kernel where the request says.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// Another process holds a lock for too long.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// What was found is not a kernel that can be used.
    #[error("{name} is not a usable kernel")]
    Image {
        /// The file or package.
        name: String,
        /// Why.
        source: kimage::ImageError,
    },
    /// The kernel has not what it was asked for.
    #[error(transparent)]
    Feature(#[from] kimage::FeatureError),
    /// The kernel's config says that it has not what it was asked for.
    #[error(
        "the kernel {release} (`{request}`) has no {what}: its config lacks {option}; ask for another one, for example `apt:sid`"
    )]
    Lacks {
        /// The kernel's release.
        release: String,
        /// The request.
        request: String,
        /// What is missing.
        what: &'static str,
        /// The kernel option that gives it.
        option: &'static str,
    },
    /// No room for a kernel. Nothing of it was left.
    #[error("no room for {bytes} bytes in {}; free some, or remove kernels from the cache", directory.display())]
    Full {
        /// The cache.
        directory: PathBuf,
        /// What was to be written, in bytes.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A cached kernel is damaged and could not be fetched anew; the cause says why not.
    #[error("the cached kernel {} is damaged ({damage}) and could not be fetched again", directory.display())]
    Damaged {
        /// The entry's directory.
        directory: PathBuf,
        /// What is wrong with it.
        damage: Damage,
        /// Why it could not be replaced.
        source: Box<StoreError>,
    },
    /// No entry is called so.
    #[error("no cached kernel `{which}`; {}", known(there))]
    NoEntry {
        /// What was asked for.
        which: String,
        /// The ids of all entries.
        there: Vec<String>,
    },
    /// Several entries are called so.
    #[error("several cached kernels match `{which}`: {}; write more of the one that is meant", matches.join(", "))]
    Ambiguous {
        /// What was asked for.
        which: String,
        /// The ids of the entries that match.
        matches: Vec<String>,
    },
    /// A file of the cache could not be read or written.
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
        move |source| Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

fn known(ids: &[String]) -> String {
    if ids.is_empty() {
        "the cache is empty".to_owned()
    } else {
        format!("there are {}", ids.join(", "))
    }
}
