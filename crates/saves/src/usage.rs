//! Who uses a save, and when one was last used: the file `.used` beside its manifest.
//!
//! ```text
//!            ┌──────────── shared lock, mtime = now ────────────┐
//!  unused ───┤                                                  ├──► unused
//!            └─ exclusive lock ─► renamed to .gone-… ─► removed
//! ```
//!
//! An [`Entry`](crate::Entry) holds the shared lock, eviction takes the exclusive one and never waits for it. So a save
//! is not evicted between the moment in which it is found and the one in which its files are open. Locks are on the
//! file, not on its name; whoever has one then looks whether the name still leads to that file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use disk::Lock;

/// What came of the wish to use what is in a directory.
pub(crate) enum Claim {
    /// It is not evicted before this is dropped.
    Held(Lock),
    /// There is no such directory.
    Absent,
    /// It is being evicted.
    Leaving,
    /// It can be used, but nobody can be told so: the directory is read-only, for example.
    Untold(io::Error),
}

/// Says that what is in a directory is used now, and from now on.
pub(crate) fn claim(directory: &Path) -> Claim {
    let file = match open(directory) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Claim::Absent,
        Err(error) => return Claim::Untold(error),
    };
    match file.try_lock_shared() {
        Ok(()) => {
            let lock = Lock::taken(file);
            if !is_of(&lock, directory) {
                return Claim::Leaving;
            }
            if let Err(error) = lock.file().set_modified(SystemTime::now()) {
                tracing::debug!(directory = %directory.display(), %error, "use not noted");
            }
            Claim::Held(lock)
        }
        Err(TryLockError::WouldBlock) => Claim::Leaving,
        Err(TryLockError::Error(error)) => Claim::Untold(error),
    }
}

/// The right to evict a directory, until it is dropped; `None` if it is used, or not there any more.
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

/// Whether the file is the `.used` that is in the directory now.
pub(crate) fn is_of(lock: &Lock, directory: &Path) -> bool {
    let (Ok(held), Ok(there)) = (lock.file().metadata(), fs::metadata(directory.join(USED))) else {
        return false;
    };
    (held.dev(), held.ino()) == (there.dev(), there.ino())
}

/// When what is in a directory was last used; what never was counts from its making.
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
