//! Small file operations that happen whole or not at all, and the stamps that detect a changed file.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A file's identity and version, without its contents: any write changes at least one of these values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    size: u64,
    inode: u64,
    mtime_ns: i128,
    ctime_ns: i128,
}

impl Stamp {
    /// The file's current stamp.
    ///
    /// # Errors
    /// When the file's metadata cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Ok(Self {
            size: metadata.size(),
            inode: metadata.ino(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// SHA-256 of bytes, as lower-case hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file's contents, read in pieces.
///
/// # Errors
/// When the file cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

/// Writes a new file and syncs it to disk.
///
/// # Errors
/// When a file of that name exists, or the new one cannot be written.
pub fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Can a file be made in this directory? Leaves nothing behind.
///
/// # Errors
/// The reason, if not.
pub fn probe(directory: &Path) -> io::Result<()> {
    tempfile::Builder::new()
        .prefix(ASIDE)
        .tempfile_in(directory)
        .map(drop)
}

/// Replaces a file atomically: readers see the old or the new one, whole.
///
/// # Errors
/// When the new file cannot be written beside the old one or take its place; the old one is then unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut aside = tempfile::Builder::new().prefix(ASIDE).tempfile_in(directory)?;
    aside.write_all(bytes)?;
    aside.as_file().sync_all()?;
    aside.persist(path)?;
    sync_dir(directory)
}

/// Syncs a directory and all files and directories below it to disk. Symbolic links are not followed.
///
/// # Errors
/// When one of them cannot be opened or synced.
pub fn sync_tree(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_dir(directory)
}

/// Syncs a directory, so that renames in it are on the disk.
///
/// # Errors
/// When the directory cannot be opened or synced.
pub fn sync_dir(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Whether a write failed because the disk, or the user's quota, is full.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Prefix of the names of unfinished files and directories.
pub const ASIDE: &str = ".new-";

/// Prefix of the names of files and directories that are being removed.
pub const GONE: &str = ".gone-";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_tells_a_rewritten_file_of_the_same_size() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, b"one").unwrap();
        let before = Stamp::of(&path).unwrap();
        assert_eq!(Stamp::of(&path).unwrap(), before);
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&path, b"two").unwrap();
        assert_ne!(Stamp::of(&path).unwrap(), before);
    }

    #[test]
    fn a_replaced_file_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index.json");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_tree_is_synced_past_what_is_neither_file_nor_directory() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("one/two")).unwrap();
        fs::write(dir.path().join("one/two/file"), b"three").unwrap();
        std::os::unix::fs::symlink("/no/such/file", dir.path().join("one/link")).unwrap();
        sync_tree(dir.path()).unwrap();
        assert!(sync_tree(&dir.path().join("none")).is_err());
    }

    #[test]
    fn no_room_is_told_from_other_failures() {
        let check = |kind: io::ErrorKind, expect| assert_eq!(is_full(&kind.into()), expect);
        check(io::ErrorKind::StorageFull, true);
        check(io::ErrorKind::QuotaExceeded, true);
        check(io::ErrorKind::PermissionDenied, false);
    }

    #[test]
    fn both_hash_functions_agree_with_the_known_answer() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("abc"), b"abc").unwrap();
        assert_eq!(sha256(b"abc"), known);
        assert_eq!(sha256_of(&dir.path().join("abc")).unwrap(), known);
    }
}
