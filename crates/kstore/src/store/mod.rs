//! The cache of kernels, and how a request becomes one of them.
//!
//! ```text
//! <store>/
//! ├── <release>-<build id>/          entries, see `entry`
//! ├── index.json                     request → entry
//! ├── .lock                          held while entries or index change
//! ├── .new-…                         an entry being written; a leftover of an interruption if `.lock` is free
//! ├── .files/<suite>-<architecture>/<package>/   files that are no kernels, see `packaged`
//! └── .apt/<suite>-<architecture>/   apt's state, see `apt`
//!     └── …lock                      beside it; held while apt works there
//! ```
//!
//! Readers need no lock: an entry appears complete, by a rename, and the index is replaced in one step. Two that want the same
//! suite meet at the suite's lock, where the second finds what the first has stored. No lock is waited for without
//! end. What an interrupted process leaves is swept by the next that takes `.lock`.

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

/// How long a lock of another process is waited for: longer than any download that makes progress should take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

impl Store {
    /// The store in the user's cache directory, `$XDG_CACHE_HOME/schedrig/kernels`.
    ///
    /// # Errors
    /// [`StoreError::NoCacheDir`] without a home directory; [`StoreError::File`] if the directory cannot be made.
    pub fn open_default() -> Result<Self, StoreError> {
        let base = etcetera::choose_base_strategy().map_err(|_| StoreError::NoCacheDir)?;
        Self::open(base.cache_dir().join("schedrig/kernels"))
    }

    /// The store in a directory, which is made if it is not there.
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

    /// This store with other programs in apt's place.
    #[must_use]
    pub fn with_programs(self, programs: Programs) -> Self {
        Self { programs, ..self }
    }

    /// This store with another deadline for waiting on other processes.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The directory that the store is in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kernel that answers a request: the cached one if there is one, else it is fetched. A cached kernel that is
    /// damaged, or whose local files have changed, is fetched anew.
    ///
    /// # Errors
    /// [`StoreError`] when there is none and none could be had.
    pub fn resolve(
        &self,
        request: &KernelRequest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Kernel, StoreError> {
        self.answer(request, true, progress)
    }

    /// The kernel that answers a request now: an `apt:` suite is asked for its newest even if one is cached.
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

    /// The lock that is held while entries or index change.
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
        }
    }
}

#[cfg(test)]
mod tests;
