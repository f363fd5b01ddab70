//! Kernels from a distribution's archive, by way of apt itself.
//!
//! apt is driven with a state directory of its own, so that it needs no privileges, and changes nothing on this machine:
//!
//! ```text
//! <state>/
//! ├── apt.conf         our settings, read after the machine's (proxies and certificates stay in force)
//! ├── sources/         one stanza: the wanted suite, from the machine's own mirror, with its own keyring
//! ├── lists/  cache/   apt's package index
//! └── packages/        downloads, removed as soon as they are unpacked
//! ```
//!
//! Which archive and which keyring: those of this machine's distribution ([`sources`]). So apt handles signatures,
//! hashes, proxies and mirrors, and this crate knows no address. Steps of [`fetch`]:
//! update the index · list the suite's kernels · take the newest that is admitted, by dpkg's ordering ·
//! download its packages · unpack image and config.
//!
//! The caller holds a lock on the state directory; see [`program`] for how apt holds it too.

mod machine;
mod packages;
mod program;
mod sources;
mod suite;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use crate::deb::DebError;

pub use program::Programs;
pub(crate) use suite::{fetch, fetch_member};

/// A kernel's files, as read from its packages.
pub(crate) struct Fetched {
    /// The kernel image as shipped.
    pub(crate) image: Vec<u8>,
    /// Its build configuration, if a package had one.
    pub(crate) config: Option<Vec<u8>>,
    /// The packages, each as `name=version`.
    pub(crate) packages: Vec<String>,
}

/// The newest kernel, as [`fetch`] returns it.
pub(crate) enum Newest<K> {
    /// The caller has this kernel already; it was identified by its leading package.
    Known(K),
    /// The caller did not have this kernel; it was downloaded.
    Fetched(Fetched),
}

/// Why apt did not provide a kernel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AptError {
    /// A program of apt is not on this machine.
    #[error(
        "{} not found, so this machine cannot serve `apt:` kernels; use `path:<vmlinuz or directory>` for a kernel file \
         or `host` for the running kernel",
        program.display()
    )]
    Missing {
        /// The program's path.
        program: PathBuf,
    },
    /// A program could not be started or waited for.
    #[error("running {}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A program ended with an error.
    #[error("`{command}` failed ({status}): {stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// The exit status.
        status: ExitStatus,
        /// The program's stderr.
        stderr: String,
    },
    /// A program printed nothing for too long and was killed.
    #[error(
        "`{command}` printed nothing for {seconds} s and was stopped; check the connection to the package mirror, then try again"
    )]
    Silent {
        /// The command line.
        command: String,
        /// How long the program was silent, in seconds.
        seconds: u64,
    },
    /// apt had no room for its index or its downloads.
    #[error("no room for packages in {}; free some, or use another cache directory (XDG_CACHE_HOME)", state.display())]
    Full {
        /// The state directory; it was removed.
        state: PathBuf,
        /// apt's error.
        source: Box<AptError>,
    },
    /// The suite's index could not be fetched.
    #[error(
        "no package index for the suite `{suite}` from {mirror}; check the suite's name and the connection"
    )]
    NoIndex {
        /// The suite.
        suite: String,
        /// The archive's address.
        mirror: String,
        /// apt's error.
        source: Box<AptError>,
    },
    /// apt is configured for no archive that could serve the suite.
    #[error(
        "apt on this machine has no distribution archive that could serve the suite `{suite}` (looked for a `deb` source with component \
         `main` in {}); add one, or use `path:` or `host`",
        looked_in.display()
    )]
    NoSource {
        /// The suite.
        suite: String,
        /// The directory of apt's source lists.
        looked_in: PathBuf,
    },
    /// The suite has no such kernel.
    #[error("the suite `{suite}` has no kernel `{wanted}`; it has {available}")]
    NoKernel {
        /// The suite.
        suite: String,
        /// The wanted flavour, or version and flavour.
        wanted: String,
        /// The suite's flavours or versions, for the message.
        available: String,
    },
    /// The packages of a release have no kernel image in them.
    #[error("no kernel image for {release} in {packages}; ask for another version or flavour")]
    NoImage {
        /// The kernel's release.
        release: String,
        /// The packages that were searched.
        packages: String,
    },
    /// apt said that it has downloaded a package, and it is not there.
    #[error("apt-get downloaded {package}, and it is not in {}; set XDG_CACHE_HOME to another directory", directory.display())]
    NotDownloaded {
        /// The package, as `name=version`.
        package: String,
        /// The working directory that apt was given.
        directory: PathBuf,
    },
    /// The suite has no such package.
    #[error("the suite `{suite}` has no package `{package}`")]
    NoPackage {
        /// The suite.
        suite: String,
        /// The package's name.
        package: String,
    },
    /// A package has no such file in it.
    #[error("the package {package} has no file {member}")]
    NoMember {
        /// The package, as `name=version`.
        package: String,
        /// The file's path.
        member: String,
    },
    /// A downloaded package could not be unpacked.
    #[error("unpacking {}", package.display())]
    Package {
        /// The package file.
        package: PathBuf,
        /// The cause.
        source: DebError,
    },
    /// A file of the state directory or of apt's configuration could not be read or written.
    #[error("{action} {}", path.display())]
    File {
        /// The failed action: reading, writing, …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl AptError {
    /// A conversion of the error of doing `action` with `path`.
    fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}
