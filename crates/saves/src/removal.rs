//! Removing saves, so that no reader sees half of one, and removing the leftovers of interrupted processes.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use disk::files::{ASIDE, GONE};
use disk::lock;

use crate::error::StoreError;
use crate::listing;
use crate::manifest::is_key;
use crate::store::Store;
use crate::usage;

/// How long to wait for another process's eviction; after that, the next eviction restores the bound.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most names tried for a removed directory. One is enough unless process ids repeat, as in containers.
const MAX_NAMES: u32 = 1000;

impl Store {
    /// Removes leftovers, then saves until the rest is within the bound. Failures are only logged: the creator's save
    /// is already in the store.
    pub(crate) fn keep_bound(&self) {
        self.sweep();
        let evicted = self
            .lock("store", PATIENCE.min(self.patience), &mut |_| ())
            .and_then(|_lock| self.evict());
        if let Err(error) = evicted {
            tracing::warn!(directory = %self.directory.display(), %error, "saves exceed their bound: eviction failed");
        }
    }

    /// Removes the least recently used saves. The caller holds the store's lock.
    fn evict(&self) -> Result<(), StoreError> {
        let mut saves: Vec<_> = self
            .keys()?
            .into_iter()
            .map(|key| {
                let directory = self.directory.join(&key);
                (usage::last(&directory), key, listing::bytes_of(&directory))
            })
            .collect();
        saves.sort();
        let mut total: u64 = saves.iter().map(|(_, _, bytes)| bytes).sum();
        for (_, key, bytes) in saves {
            if total <= self.bound_bytes {
                break;
            }
            match self.evict_one(&key) {
                Ok(true) => total -= bytes,
                Ok(false) => {}
                // A save that cannot be removed must not keep the others.
                Err(error) => tracing::warn!(key, %error, "save not evicted"),
            }
        }
        Ok(())
    }

    /// Removes a save unless it is in use; `false` if it was kept.
    fn evict_one(&self, key: &str) -> Result<bool, StoreError> {
        let directory = self.directory.join(key);
        let right = usage::release(&directory).map_err(StoreError::file("locking", &directory))?;
        if right.is_none() {
            return Ok(fs::symlink_metadata(&directory).is_err());
        }
        self.take_away(key)?;
        Ok(true)
    }

    /// Removes one save; `false` if it did not exist.
    pub(crate) fn take_away(&self, key: &str) -> Result<bool, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let directory = self.directory.join(key);
        let removing = || StoreError::file("removing", &directory);
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..MAX_NAMES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("{GONE}{key}-{}-{number}", std::process::id());
            // Renamed in place: a full disk may have no room for a new directory around it.
            let gone = self.directory.join(name);
            match fs::rename(&directory, &gone) {
                Ok(()) => return remove(&gone).map(|()| true).map_err(removing()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error) if is_taken(&error) => last = error,
                Err(error) => return Err(removing()(error)),
            }
        }
        Err(removing()(last))
    }

    /// Removes the leftovers of interrupted processes; directories that a live process works on are kept.
    pub(crate) fn sweep(&self) {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let swept = match name.to_str().and_then(leftover) {
                Some(Leftover::Unfinished(key)) => self.sweep_unfinished(key, &entry.path()),
                Some(Leftover::Gone) => {
                    remove(&entry.path()).map_err(StoreError::file("removing", &entry.path()))
                }
                None => Ok(()),
            };
            if let Err(error) = swept {
                tracing::warn!(path = %entry.path().display(), %error, "leftover not removed");
            }
        }
    }

    fn sweep_unfinished(&self, key: &str, path: &Path) -> Result<(), StoreError> {
        let Some(_lock) = lock::try_acquire(&self.lock_path(creators(key))?)? else {
            return Ok(());
        };
        remove(path).map_err(StoreError::file("removing", path))
    }
}

/// The name of the lock of a key's creators: the key's first two digits, so that there are at most 256 locks, which are
/// never removed.
pub(crate) fn creators(key: &str) -> &str {
    key.get(..2).unwrap_or(key)
}

/// Removes a file, or a directory with its contents; it may be absent, or be removed by another process meanwhile.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

enum Leftover<'n> {
    /// The unfinished save of a key.
    Unfinished(&'n str),
    Gone,
}

fn leftover(name: &str) -> Option<Leftover<'_>> {
    if let Some(key) = name.strip_prefix(ASIDE) {
        return is_key(key).then_some(Leftover::Unfinished(key));
    }
    let (key, _) = name.strip_prefix(GONE)?.split_once('-')?;
    is_key(key).then_some(Leftover::Gone)
}

fn is_taken(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory};
    matches!(
        error.kind(),
        AlreadyExists | DirectoryNotEmpty | IsADirectory | NotADirectory
    )
}
