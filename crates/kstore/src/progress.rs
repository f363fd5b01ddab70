//! Progress of long operations, for the caller to display.

use std::path::PathBuf;

/// One step of progress. The store calls the sink on the caller's own thread, a few times a second at most;
/// it prints nothing itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Progress {
    /// Another process or thread does the same work; this one waits for the lock.
    Waiting {
        /// The lock file.
        lock: PathBuf,
    },
    /// The package index of a suite is being brought up to date.
    Indexing {
        /// The suite.
        suite: String,
        /// How far the update is, from 0 to 100.
        percent: f32,
    },
    /// A package is being downloaded.
    Downloading {
        /// The package's name and version.
        package: String,
        /// Bytes downloaded so far, as estimated by apt.
        done_bytes: u64,
        /// Size of the download, in bytes.
        total_bytes: u64,
    },
    /// A package or a kernel image is being unpacked.
    Unpacking {
        /// Name of the package or image.
        what: String,
    },
    /// The files are being written to the cache.
    Storing {
        /// The kernel's release.
        release: String,
    },
}
