//! Locks between processes and threads, with a deadline.
//!
//! A lock is a `flock(2)` on a file that is never removed; the kernel releases it when its holder ends, in whatever way.
//! Such a lock belongs to the open file, which a child also has from its `fork` to its `execve`. So a holder unlocks it
//! explicitly: otherwise a program that another thread is just starting would hold the lock for a moment longer.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Why a lock could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process held the lock until the deadline.
    #[error(
        "{} is still locked by another process after {seconds} s; wait for it, or find its holder with `fuser -v {}`",
        path.display(), path.display()
    )]
    Busy {
        /// The lock file.
        path: PathBuf,
        /// The time waited, in seconds.
        seconds: u64,
    },
    /// The lock file could not be created or locked.
    #[error("locking {}", path.display())]
    File {
        /// The lock file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// A held lock; dropping it releases the lock.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub struct Lock(File);

impl Lock {
    /// Wraps an open file on which the caller has taken a lock, shared or exclusive.
    pub fn taken(file: File) -> Lock {
        Lock(file)
    }

    /// The locked file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // If this fails, closing the last copy of the file releases the lock.
        self.0.unlock().ok();
    }
}

/// The pause between two tries of a lock that another process holds.
const RETRY: Duration = Duration::from_millis(20);

/// Takes the lock at `path`, and waits for it at most `patience`. `on_wait` is called once if the lock is not free.
///
/// # Errors
/// [`LockError::Busy`] when the lock was not free within `patience`; [`LockError::File`] when the file, whose directory
/// must exist, cannot be created or locked.
pub fn acquire(path: &Path, patience: Duration, on_wait: &mut dyn FnMut()) -> Result<Lock, LockError> {
    let file = open(path)?;
    let start = Instant::now();
    let mut reported = false;
    while !locked(&file, path)? {
        if start.elapsed() >= patience {
            return Err(LockError::Busy {
                path: path.to_owned(),
                seconds: patience.as_secs(),
            });
        }
        if !std::mem::replace(&mut reported, true) {
            on_wait();
        }
        thread::sleep(RETRY);
    }
    Ok(Lock(file))
}

/// Takes the lock at `path` without waiting; `None` if another process holds it.
///
/// # Errors
/// [`LockError::File`] when the file, whose directory must exist, cannot be created or locked.
pub fn try_acquire(path: &Path) -> Result<Option<Lock>, LockError> {
    let file = open(path)?;
    Ok(locked(&file, path)?.then_some(Lock(file)))
}

fn open(path: &Path) -> Result<File, LockError> {
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| broken(path, source))
}

fn locked(file: &File, path: &Path) -> Result<bool, LockError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(broken(path, source)),
    }
}

fn broken(path: &Path, source: io::Error) -> LockError {
    LockError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_waited_for_until_the_deadline_and_had_after_its_release() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let held = acquire(&path, Duration::ZERO, &mut || panic!("no other holder")).unwrap();

        let mut waited = 0;
        let busy = acquire(&path, Duration::from_millis(100), &mut || waited += 1);
        assert!(matches!(busy, Err(LockError::Busy { .. })));
        assert_eq!(waited, 1);

        let other = thread::spawn(move || acquire(&path, Duration::from_secs(20), &mut || ()).is_ok());
        thread::sleep(Duration::from_millis(50));
        drop(held);
        assert!(other.join().unwrap());
    }

    #[test]
    fn a_lock_that_is_dropped_is_free_even_while_a_child_has_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let held = try_acquire(&path).unwrap().unwrap();
        let of_a_child = held.file().try_clone().unwrap();
        drop(held);
        assert!(try_acquire(&path).unwrap().is_some());
        drop(of_a_child);
    }

    #[test]
    fn a_lock_is_tried_without_waiting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let held = try_acquire(&path).unwrap().unwrap();
        assert!(try_acquire(&path).unwrap().is_none());
        drop(held);
        assert!(try_acquire(&path).unwrap().is_some());
        let missing = try_acquire(&dir.path().join("none/.lock"));
        assert!(matches!(missing, Err(LockError::File { .. })), "{missing:?}");
    }
}
