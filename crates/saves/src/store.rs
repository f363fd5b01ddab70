//! Obtaining a save: found in the store, or made once, however many callers want it.

use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use disk::files::{self, ASIDE};
use disk::lock::{self, Lock};
use etcetera::BaseStrategy;
use serde::Serialize;

use crate::error::{ObtainError, StoreError};
use crate::manifest::{self, Damage, MANIFEST, Wanted};
use crate::removal;
use crate::usage::{self, Claim};

/// The saves in one directory. Cheap to open; any number of threads and processes may use the same directory.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) directory: PathBuf,
    pub(crate) bound_bytes: u64,
    pub(crate) patience: Duration,
}

/// A whole save in the store. The save is not evicted while this value lives; open files remain usable in any case.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Entry {
    /// The save's name in the store.
    pub key: String,
    /// The directory with the save's files. They are shared: read only.
    pub directory: PathBuf,
    /// Whether this call made the save.
    pub made: bool,
    /// The lock that prevents eviction; `None` if it could not be taken.
    pub(crate) hold: Option<Arc<Lock>>,
}

/// One step of progress, reported on the caller's own thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Another process or thread makes the save; this one waits for its lock.
    Waiting {
        /// The lock file.
        lock: PathBuf,
    },
    /// The save does not exist and is being made.
    Making,
}

/// The state of a key's directory.
enum Look {
    Whole(Entry),
    /// A directory that is not the wanted save, with the lock that prevents its eviction.
    Damaged(Damage, Option<Lock>),
    Absent,
    Evicting,
}

/// The default bound, in bytes: some twenty saves of small machines.
const BOUND_BYTES: u64 = 10 << 30;

/// How long to wait for another creator: longer than the boot of any machine.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// The pause between two checks whether an eviction, one rename, has ended.
const RETRY: Duration = Duration::from_millis(5);

const DIRECTORY_VARIABLE: &str = "SCHEDRIG_SAVES";
const BOUND_VARIABLE: &str = "SCHEDRIG_SAVES_MIB";

impl Store {
    /// Opens the user's store: in `$SCHEDRIG_SAVES`, else in `$XDG_CACHE_HOME/schedrig/saves`; bounded by
    /// `$SCHEDRIG_SAVES_MIB`, else by 10 GiB. An empty variable counts as none.
    ///
    /// # Errors
    /// [`StoreError::NoCacheDir`] without a home directory; [`StoreError::Bound`] when the bound is not a number;
    /// [`StoreError::File`] if the directory cannot be made.
    pub fn open_default() -> Result<Self, StoreError> {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let bound_bytes = variable(BOUND_VARIABLE).map_or(Ok(BOUND_BYTES), |value| bytes_of_mib(&value))?;
        let directory = match variable(DIRECTORY_VARIABLE) {
            Some(directory) => PathBuf::from(directory),
            None => etcetera::choose_base_strategy()
                .map_err(|_| StoreError::NoCacheDir)?
                .cache_dir()
                .join("schedrig/saves"),
        };
        Ok(Self::open(directory)?.with_bound(bound_bytes))
    }

    /// Can a save be made here?
    ///
    /// # Errors
    /// [`StoreError::File`] with the reason, if not.
    pub fn probe(&self) -> Result<(), StoreError> {
        files::probe(&self.directory).map_err(StoreError::file("writing to", &self.directory))
    }

    /// Has somebody chosen the directory of [`Store::open_default`]?
    pub fn is_chosen() -> bool {
        std::env::var_os(DIRECTORY_VARIABLE).is_some_and(|value| !value.is_empty())
    }

    /// Opens the store in a directory, which is created if missing. Its bound is 10 GiB.
    ///
    /// # Errors
    /// [`StoreError::File`] if the directory cannot be made.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = dir.into();
        let directory = std::path::absolute(&dir).map_err(StoreError::file("finding", &dir))?;
        fs::create_dir_all(&directory).map_err(StoreError::file("creating", &directory))?;
        Ok(Self {
            directory,
            bound_bytes: BOUND_BYTES,
            patience: PATIENCE,
        })
    }

    /// Replaces the bound, in bytes on disk: when a new save makes the store exceed it, the least recently used saves
    /// are removed. A save in use is kept, so the bound can be exceeded.
    #[must_use]
    pub fn with_bound(self, bytes: u64) -> Self {
        Self {
            bound_bytes: bytes,
            ..self
        }
    }

    /// Replaces the deadline for waits on other creators, which is 30 minutes by default.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The store's directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Obtains the save of this manifest: the stored one, or a new one that `make` writes into the empty directory it is
    /// given. Of concurrent callers with the same manifest, one makes the save and the others wait.
    ///
    /// `make` must not write files named `manifest.json` or `.used`, nor obtain another save of this store: the two may
    /// share a lock. The store does not check the files of a save; a caller that finds them damaged calls
    /// [`discard`](Self::discard) and obtains the save again.
    ///
    /// # Errors
    /// [`ObtainError::Make`] when `make` fails, which leaves nothing; [`ObtainError::Store`] when the store cannot be
    /// read or written, or another creator takes longer than this store's patience.
    pub fn obtain<M: Serialize, E: Error + Send + Sync + 'static>(
        &self,
        manifest: &M,
        progress: &mut dyn FnMut(Progress),
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Entry, ObtainError<E>> {
        let wanted = Wanted::new(manifest)?;
        if let Look::Whole(entry) = self.look(&wanted) {
            return Ok(entry);
        }
        let lock = self.lock(removal::creators(&wanted.key), self.patience, progress)?;
        match self.look_after_evictions(&wanted)? {
            Look::Whole(entry) => return Ok(entry),
            Look::Damaged(damage, _hold) => {
                tracing::warn!(key = wanted.key, %damage, "damaged save is made again");
                self.take_away(&wanted.key)?;
            }
            Look::Absent | Look::Evicting => {}
        }
        progress(Progress::Making);
        let entry = self.create(&wanted, make)?;
        drop(lock);
        self.keep_bound();
        Ok(entry)
    }

    /// Removes a save with damaged files, so that the next caller makes it again. A save that another caller has already
    /// remade is kept.
    ///
    /// # Errors
    /// [`StoreError::File`] when the save cannot be removed.
    pub fn discard(&self, entry: &Entry) -> Result<(), StoreError> {
        let replaced = |hold: &Arc<Lock>| !usage::is_of(hold, &entry.directory);
        if entry.hold.as_ref().is_some_and(replaced) {
            return Ok(());
        }
        self.take_away(&entry.key).map(|_| ())
    }

    pub(crate) fn lock(
        &self,
        name: &str,
        patience: Duration,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Lock, StoreError> {
        let path = self.lock_path(name)?;
        Ok(lock::acquire(&path, patience, &mut || {
            progress(Progress::Waiting { lock: path.clone() });
        })?)
    }

    /// The path of a lock; its directory is created if missing.
    pub(crate) fn lock_path(&self, name: &str) -> Result<PathBuf, StoreError> {
        let locks = self.directory.join(".locks");
        fs::create_dir_all(&locks).map_err(StoreError::file("creating", &locks))?;
        Ok(locks.join(name))
    }

    fn look(&self, wanted: &Wanted) -> Look {
        let directory = self.directory.join(&wanted.key);
        let hold = match usage::claim(&directory) {
            Claim::Held(file) => Some(file),
            Claim::Absent => return Look::Absent,
            Claim::Evicting => return Look::Evicting,
            Claim::Unrecorded(error) => {
                tracing::debug!(directory = %directory.display(), %error, "use not recorded");
                None
            }
        };
        match manifest::read(&directory) {
            Ok(manifest) if manifest == wanted.manifest => Look::Whole(Entry {
                key: wanted.key.clone(),
                directory,
                made: false,
                hold: hold.map(Arc::new),
            }),
            Ok(_) => Look::Damaged(Damage::Another, hold),
            Err(damage) => Look::Damaged(damage, hold),
        }
    }

    /// The state of the key's directory once no eviction of it is under way: an eviction that has begun must not remove
    /// the save that is made next. The caller holds the key's lock.
    fn look_after_evictions(&self, wanted: &Wanted) -> Result<Look, StoreError> {
        let start = Instant::now();
        loop {
            match self.look(wanted) {
                Look::Evicting if start.elapsed() < self.patience => std::thread::sleep(RETRY),
                Look::Evicting => {
                    return Err(StoreError::Lock(disk::LockError::Busy {
                        path: self.directory.join(&wanted.key).join(usage::USED),
                        seconds: self.patience.as_secs(),
                    }));
                }
                seen => return Ok(seen),
            }
        }
    }

    /// Makes a save and moves it to its place, which is empty. The caller holds the key's lock.
    fn create<E: Error + Send + Sync + 'static>(
        &self,
        wanted: &Wanted,
        make: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<Entry, ObtainError<E>> {
        let aside = Aside(self.directory.join(format!("{ASIDE}{}", wanted.key)));
        removal::remove(&aside.0)
            .and_then(|()| fs::create_dir(&aside.0))
            .map_err(StoreError::file("creating", &aside.0))?;
        make(&aside.0).map_err(ObtainError::Make)?;

        let directory = self.directory.join(&wanted.key);
        let finish = || {
            files::sync_tree(&aside.0)?;
            files::write_new(&aside.0.join(MANIFEST), &wanted.bytes)?;
            let hold = match usage::claim(&aside.0) {
                Claim::Held(file) => file,
                Claim::Unrecorded(error) => return Err(error),
                Claim::Absent | Claim::Evicting => return Err(io::ErrorKind::NotFound.into()),
            };
            files::sync_dir(&aside.0)?;
            fs::rename(&aside.0, &directory)?;
            files::sync_dir(&self.directory)?;
            Ok(hold)
        };
        let hold = finish().map_err(StoreError::file("writing the save to", &aside.0))?;
        Ok(Entry {
            key: wanted.key.clone(),
            directory,
            made: true,
            hold: Some(Arc::new(hold)),
        })
    }
}

/// The directory of an unfinished save; dropping it removes the directory unless it was renamed.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        if let Err(error) = removal::remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "unfinished save not removed");
        }
    }
}

fn bytes_of_mib(value: &OsStr) -> Result<u64, StoreError> {
    let mib: Option<u64> = value.to_str().and_then(|text| text.trim().parse().ok());
    mib.map(|mib| mib.saturating_mul(1 << 20))
        .ok_or_else(|| StoreError::Bound {
            value: value.to_string_lossy().into_owned(),
        })
}
