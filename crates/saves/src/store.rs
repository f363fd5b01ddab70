//! Finding a save, or having it made: once, however many want it.

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

/// A save that is there and whole. As long as this value lives, the save is not evicted; whoever has its files open
/// keeps them anyway.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Entry {
    /// Its name in the store.
    pub key: String,
    /// Where its files are. They are everybody's: read only.
    pub directory: PathBuf,
    /// Whether it was made just now, by this call.
    pub made: bool,
    /// The lock that keeps it from eviction; `None` where none can be had.
    pub(crate) hold: Option<Arc<Lock>>,
}

/// One step of progress, told on the caller's own thread.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Another process or thread makes the save; this one waits for its lock.
    Waiting {
        /// The lock file.
        lock: PathBuf,
    },
    /// The save is not there and is being made.
    Making,
}

/// What is at a key's place.
enum Look {
    Whole(Entry),
    /// A directory that is not the wanted save, with the lock that keeps others from evicting it.
    Damaged(Damage, Option<Lock>),
    Absent,
    Leaving,
}

/// The bound unless one is given: some twenty saves of small machines.
const BOUND_BYTES: u64 = 10 << 30;

/// How long a creator is waited for: longer than the boot of any machine.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// How often it is looked whether an eviction has ended, which takes a rename.
const RETRY: Duration = Duration::from_millis(5);

const DIRECTORY_VARIABLE: &str = "SCHEDRIG_SAVES";
const BOUND_VARIABLE: &str = "SCHEDRIG_SAVES_MIB";

impl Store {
    /// The user's store: in `$SCHEDRIG_SAVES`, else in `$XDG_CACHE_HOME/schedrig/saves`; bounded by
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

    /// The store in a directory, which is made if it is not there. Its bound is 10 GiB.
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

    /// This store with another bound: when a new save makes all of them take more bytes of the disk, those that were
    /// not used for the longest time are removed. A save that is in use stays, so a bound can be exceeded.
    #[must_use]
    pub fn with_bound(self, bytes: u64) -> Self {
        Self {
            bound_bytes: bytes,
            ..self
        }
    }

    /// This store with another deadline for waiting on other creators; it is 30 minutes unless given.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The directory that the store is in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The save of this manifest: the one that is there, or the one that `make` puts into the empty directory it is
    /// given. Of all that want the same one at the same time, one makes it and the others wait.
    ///
    /// What `make` writes has names other than `manifest.json` and `.used`. It must not ask this store for another save:
    /// the two may share a lock. The store does not look into the files of a save; who finds them wanting says
    /// [`discard`](Self::discard) and asks again.
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
                tracing::warn!(key = wanted.key, %damage, "save is made anew");
                self.take_away(&wanted.key)?;
            }
            Look::Absent | Look::Leaving => {}
        }
        progress(Progress::Making);
        let entry = self.create(&wanted, make)?;
        drop(lock);
        self.keep_bound();
        Ok(entry)
    }

    /// Takes a save out of the store whose files are damaged: the next who asks makes it anew. If others have done so
    /// already, theirs stays.
    ///
    /// # Errors
    /// [`StoreError::File`] when it cannot be removed.
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

    /// Where a lock is; its directory is made if somebody has removed it.
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
            Claim::Leaving => return Look::Leaving,
            Claim::Untold(error) => {
                tracing::debug!(directory = %directory.display(), %error, "use not noted");
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

    /// Looks when no eviction is under way at the key's place: one that has begun must not hit what is made next. The
    /// caller holds the key's lock.
    fn look_after_evictions(&self, wanted: &Wanted) -> Result<Look, StoreError> {
        let start = Instant::now();
        loop {
            match self.look(wanted) {
                Look::Leaving if start.elapsed() < self.patience => std::thread::sleep(RETRY),
                Look::Leaving => {
                    return Err(StoreError::Lock(disk::LockError::Busy {
                        path: self.directory.join(&wanted.key).join(usage::USED),
                        seconds: self.patience.as_secs(),
                    }));
                }
                seen => return Ok(seen),
            }
        }
    }

    /// Makes a save and moves it to its place, where nothing is. The caller holds the key's lock.
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
                Claim::Untold(error) => return Err(error),
                Claim::Absent | Claim::Leaving => return Err(io::ErrorKind::NotFound.into()),
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

/// A directory that is removed if it is still there at the end: a save that was not finished.
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
