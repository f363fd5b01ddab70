//! What a long operation is doing, for whoever draws it.

use std::path::PathBuf;

/// One step of progress. The store calls the sink on the caller's own thread, a few times a second at most;
/// it prints nothing itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// Another process or thread does the same work; this one waits for its lock.
    Waiting {
        /// The lock file.
        lock: PathBuf,
    },
    /// The package index of a suite is being brought up to date.
    Indexing {
        /// The suite.
        suite: String,
        /// 0 to 100.
        percent: f32,
    },
    /// A package is being downloaded.
    Downloading {
        /// The package's name and version.
        package: String,
        /// Bytes so far; an estimate of the package manager.
        done_bytes: u64,
        /// Bytes in all.
        total_bytes: u64,
    },
    /// A package or a kernel image is being unpacked.
    Unpacking {
        /// What is unpacked: a package's or an image's name.
        what: String,
    },
    /// The files are being written to the cache.
    Storing {
        /// The kernel's release.
        release: String,
    },
}
