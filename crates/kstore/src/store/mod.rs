//! The cache of kernels, and the resolution of requests.
//!
//! ```text
//! <store>/
//! ├── <release>-<build id>/          entries, see `entry`
//! ├── index.json                     request → entry
//! ├── .lock                          held while entries or index change
//! ├── .new-…                         an entry being written; a leftover of an interruption if `.lock` is free
//! ├── .files/<suite>-<architecture>/<package>/   files that are no kernels, see `packaged`
//! └── .apt/<suite>-<architecture>/   apt's state, see `apt`
//!     └── …lock                      beside the state; held while apt works there
//! ```
//!
//! Readers need no lock: an entry appears complete, by a rename, and the index is replaced in one step. Two
//! requests for one suite take its lock in turn, and the second finds the kernel that the first has stored. Every wait
//! for a lock has a deadline. The leftovers of an interrupted process are removed by the next holder of `.lock`.

mod answer;
mod listing;
mod packaged;
mod publish;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use disk::lock::{self, Lock};
use etcetera::BaseStrategy;

pub use listing::Entry;

use crate::apt::Programs;
use crate::entry::{CONFIG, ELF, IMAGE, Manifest};
use crate::error::StoreError;
use crate::index::Index;
use crate::kernel::Kernel;
use crate::progress::Progress;
use crate::request::KernelRequest;

/// The kernels kept in one directory. Cheap to open; any number of threads and processes may use the same directory.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
    programs: Programs,
    patience: Duration,
}

/// How long to wait for another process's lock: longer than any download that makes progress should take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

impl Store {
    /// Opens the store in the user's cache directory, `$XDG_CACHE_HOME/schedrig/kernels`.
    ///
    /// # Errors
    /// [`StoreError::NoCacheDir`] without a home directory; [`StoreError::File`] if the directory cannot be made.
    pub fn open_default() -> Result<Self, StoreError> {
        let base = etcetera::choose_base_strategy().map_err(|_| StoreError::NoCacheDir)?;
        Self::open(base.cache_dir().join("schedrig/kernels"))
    }

    /// Opens the store in a directory, which is created if missing.
    ///
    /// # Errors
    /// [`StoreError::File`] if the directory cannot be made.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = dir.into();
        let directory = std::path::absolute(&dir).map_err(StoreError::file("finding", &dir))?;
        fs::create_dir_all(&directory).map_err(StoreError::file("creating", &directory))?;
        Ok(Self {
            directory,
            programs: Programs::default(),
            patience: PATIENCE,
        })
    }

    /// Replaces apt's programs.
    #[must_use]
    pub fn with_programs(self, programs: Programs) -> Self {
        Self { programs, ..self }
    }

    /// Replaces the deadline for waits on other processes.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The store's directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kernel that answers a request: the cached one if there is one, else a fetched one. A cached kernel that is
    /// damaged, or whose local files have changed, is fetched again.
    ///
    /// # Errors
    /// [`StoreError`] when no kernel is cached and none could be fetched.
    pub fn resolve(
        &self,
        request: &KernelRequest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Kernel, StoreError> {
        self.answer(request, true, progress)
    }

    /// The kernel that answers a request now: an `apt:` suite is queried for its newest kernel even if one is cached.
    ///
    /// # Errors
    /// As for [`Store::resolve`].
    pub fn refresh(
        &self,
        request: &KernelRequest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Kernel, StoreError> {
        self.answer(request, false, progress)
    }

    /// Takes the lock that guards changes of entries and index.
    fn lock(&self, progress: &mut dyn FnMut(Progress)) -> Result<Lock, StoreError> {
        let path = self.directory.join(".lock");
        Ok(lock::acquire(&path, self.patience, &mut || {
            progress(Progress::Waiting { lock: path.clone() });
        })?)
    }

    fn index(&self) -> Result<Index, StoreError> {
        Index::read(&self.directory).map_err(StoreError::file("reading the index in", &self.directory))
    }

    /// The names of all entries.
    fn ids(&self) -> Result<Vec<String>, StoreError> {
        let listing = fs::read_dir(&self.directory).map_err(StoreError::file("listing", &self.directory))?;
        Ok(listing
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect())
    }

    fn kernel(&self, id: &str, manifest: &Manifest, request: &KernelRequest) -> Kernel {
        let directory = self.directory.join(id);
        let has = |name: &str| manifest.files.contains_key(name);
        Kernel {
            image: directory.join(if has(IMAGE) { IMAGE } else { ELF }),
            vmlinux: directory.join(ELF),
            config: has(CONFIG).then(|| directory.join(CONFIG)),
            release: manifest.release.clone(),
            build_id: manifest.build_id.clone(),
            request: request.to_string(),
            exact: request.exact(&manifest.packages),
        }
    }
}

#[cfg(test)]
mod tests;
