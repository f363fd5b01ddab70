//! Pieces of files: how [`spec::op::PutFile`] and [`spec::op::PutProgram`] reach the guest.

use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use spec::OpOutcome;

use super::file::check_absolute;
use crate::error::{Failure, system};

/// Writes a piece of a file. The first piece makes the file anew, so that a program that still runs from an
/// older one keeps it.
pub(crate) fn write_chunk(path: &str, mode: u32, offset: u64, bytes: &[u8]) -> Result<OpOutcome, Failure> {
    let doing = || format!("write {} bytes at {offset} of {path}", bytes.len());
    check_absolute(path)?;
    if offset == 0 {
        let parent = Path::new(path).parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(parent).map_err(system(format!("make {}", parent.display())))?;
        // Whoever has the older file mapped would be killed if it became shorter. Files of procfs and sysfs cannot be
        // removed, and are written as they are.
        if std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            let _ = std::fs::remove_file(path);
        }
    }
    let open = OpenOptions::new()
        .write(true)
        .create(offset == 0)
        .truncate(offset == 0)
        .mode(mode)
        .open(path);
    let file = open.map_err(system(doing()))?;
    file.write_all_at(bytes, offset).map_err(system(doing()))?;
    if offset == 0 && file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        // The umask may have taken bits away. A file of sysfs or procfs keeps its own.
        let _ = file.set_permissions(Permissions::from_mode(mode));
    }
    Ok(OpOutcome::Done)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;

    use spec::OpError;
    use wire::Command;

    use super::*;
    use crate::testing::Stage;

    fn piece(path: &str, offset: u64, bytes: &[u8]) -> Command {
        Command::WriteChunk {
            path: path.to_owned(),
            mode: 0o751,
            offset,
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn a_file_is_written_in_pieces_with_its_parents_and_mode() {
        let stage = Stage::new();
        let path = stage.path("a/b/program");
        let (replies, _) = stage.play([
            piece(&path, 0, b"an older and longer one"),
            piece(&path, 0, b"one"),
            piece(&path, 3, b"two"),
        ]);
        assert_eq!(replies, vec![Ok(OpOutcome::Done); 3]);
        assert_eq!(std::fs::read(&path).unwrap(), b"onetwo");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
            0o751
        );
    }

    #[test]
    fn whoever_has_the_older_file_open_keeps_it() {
        let stage = Stage::new();
        let path = stage.path("library");
        std::fs::write(&path, b"in use").unwrap();
        let mut older = File::open(&path).unwrap();
        let (replies, _) = stage.play([piece(&path, 0, b"new")]);
        assert_eq!(replies, [Ok(OpOutcome::Done)]);
        let mut kept = String::new();
        older.read_to_string(&mut kept).unwrap();
        assert_eq!(kept, "in use");
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn what_cannot_be_written_is_reported_with_its_path() {
        let stage = Stage::new();
        let check = |command: Command, errno: i32, text: &str| {
            let error = stage.reply(command).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
            assert!(
                matches!(error, OpError::System { errno: found, .. } if found == errno),
                "{error}"
            );
        };
        let path = stage.path("");
        check(piece(&path, 0, b""), libc::EISDIR, &path);
        check(piece("/no/such/file", 7, b"x"), libc::ENOENT, "at 7");
        assert!(matches!(
            stage.reply(piece("relative", 0, b"")),
            Err(OpError::State(_))
        ));
    }
}
