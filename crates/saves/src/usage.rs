//! The use of saves, now and last: the file `.used` beside a save's manifest.
//!
//! ```text
//!            ┌──────────── shared lock, mtime = now ────────────┐
//!  unused ───┤                                                  ├──► unused
//!            └─ exclusive lock ─► renamed to .gone-… ─► removed
//! ```
//!
//! An [`Entry`](crate::Entry) holds the shared lock, eviction takes the exclusive one and never waits for it. So a save
//! is not evicted between its lookup and the opening of its files. Locks are on the file, not on its name; the holder
//! of a lock then checks that the name still leads to the locked file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use disk::Lock;

/// The result of claiming a save for use.
pub(crate) enum Claim {
    /// The save is not evicted before this lock is dropped.
    Held(Lock),
    /// The directory does not exist.
    Absent,
    /// The save is being evicted.
    Evicting,
    /// The save can be used, but the use cannot be recorded: the directory is read-only, for example.
    Unrecorded(io::Error),
}

/// Claims the save in a directory for use, from now on.
pub(crate) fn claim(directory: &Path) -> Claim {
    let file = match open(directory) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Claim::Absent,
        Err(error) => return Claim::Unrecorded(error),
    };
    match file.try_lock_shared() {
        Ok(()) => {
            let lock = Lock::taken(file);
            if !is_of(&lock, directory) {
                return Claim::Evicting;
            }
            if let Err(error) = lock.file().set_modified(SystemTime::now()) {
                tracing::debug!(directory = %directory.display(), %error, "use not recorded");
            }
            Claim::Held(lock)
        }
        Err(TryLockError::WouldBlock) => Claim::Evicting,
        Err(TryLockError::Error(error)) => Claim::Unrecorded(error),
    }
}

/// Takes the exclusive lock that permits eviction of a directory; `None` if the save is in use or was removed.
pub(crate) fn release(directory: &Path) -> io::Result<Option<Lock>> {
    let file = match open(directory) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {
            let lock = Lock::taken(file);
            Ok(is_of(&lock, directory).then_some(lock))
        }
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether the locked file is still the directory's `.used`.
pub(crate) fn is_of(lock: &Lock, directory: &Path) -> bool {
    let (Ok(held), Ok(current)) = (lock.file().metadata(), fs::metadata(directory.join(USED))) else {
        return false;
    };
    (held.dev(), held.ino()) == (current.dev(), current.ino())
}

/// When the save in a directory was last used; an unused one counts from its creation.
pub(crate) fn last(directory: &Path) -> SystemTime {
    fs::metadata(directory.join(USED))
        .or_else(|_| fs::symlink_metadata(directory))
        .and_then(|metadata| metadata.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

pub(crate) const USED: &str = ".used";

fn open(directory: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(directory.join(USED))
}
