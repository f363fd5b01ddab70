//! `WriteFile`, `ReadFile`.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use wire::{AgentError, Notice, Reply, call};

use crate::agent::Agent;
use crate::error::{Failure, system};

/// The longest file that is read, in bytes: /proc/kallsyms takes about 12 MiB.
const MAX_FILE: u64 = 64 << 20;

/// Writes a piece of a file. The first piece makes the file anew, so that a program that still runs from an
/// older one keeps it.
pub(crate) fn write(path: &str, mode: u32, offset: u64, bytes: &[u8]) -> Result<Reply, Failure> {
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
    Ok(Reply::Done)
}

/// Reads a file whole. Sizes of procfs files are not known beforehand; what would block is an end.
pub(crate) fn read(agent: &mut Agent, path: &str) -> Result<Reply, Failure> {
    check_absolute(path)?;
    let doing = || format!("read {path}");
    let open = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let mut file = open.map_err(system(doing()))?;
    let mut len = 0;
    loop {
        let mut bytes = vec![0; call::MAX_CHUNK];
        let filled = fill(&mut file, &mut bytes).map_err(system(doing()))?;
        bytes.truncate(filled);
        len += filled as u64;
        if len > MAX_FILE {
            return Err(AgentError::State(format!("{path} is longer than {MAX_FILE} bytes")).into());
        }
        if filled > 0 {
            agent.event_loop.notice(Notice::FileChunk { bytes })?;
        }
        if filled < call::MAX_CHUNK {
            return Ok(Reply::FileRead { len });
        }
    }
}

/// Reads until the buffer is full, the file ends, or it has nothing now.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(len) => filled += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn check_absolute(path: &str) -> Result<(), AgentError> {
    if path.starts_with('/') {
        Ok(())
    } else {
        Err(AgentError::State(format!("`{path}` is not an absolute path")))
    }
}

#[cfg(test)]
mod tests {
    use wire::Command;

    use super::*;
    use crate::testing::Stage;

    fn piece(path: &str, offset: u64, bytes: &[u8]) -> Command {
        Command::WriteFile {
            path: path.to_owned(),
            mode: 0o751,
            offset,
            bytes: bytes.to_vec(),
        }
    }

    fn contents(notices: Vec<Notice>) -> Vec<u8> {
        let chunk = |notice| match notice {
            Notice::FileChunk { bytes } => bytes,
            other => panic!("{other:?}"),
        };
        notices.into_iter().flat_map(chunk).collect()
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
        assert_eq!(replies, vec![Ok(Reply::Done); 3]);
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
        assert_eq!(replies, [Ok(Reply::Done)]);
        let mut kept = String::new();
        older.read_to_string(&mut kept).unwrap();
        assert_eq!(kept, "in use");
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_long_file_comes_in_chunks_and_whole() {
        let stage = Stage::new();
        let bytes: Vec<u8> = (0..call::MAX_CHUNK + 5).map(|at| (at % 251) as u8).collect();
        std::fs::write(stage.path("long"), &bytes).unwrap();
        let path = stage.path("long");
        let (replies, notices) = stage.play([Command::ReadFile { path }]);
        let len = bytes.len() as u64;
        assert_eq!(replies, [Ok(Reply::FileRead { len })]);
        assert_eq!(notices.len(), 2);
        assert_eq!(contents(notices), bytes);
    }

    #[test]
    fn a_file_of_the_kernel_is_read_although_its_size_is_zero() {
        let path = "/proc/self/status".to_owned();
        let (_, notices) = Stage::new().play([Command::ReadFile { path }]);
        let text = String::from_utf8(contents(notices)).unwrap();
        assert!(text.starts_with("Name:") && text.contains("nonvoluntary_ctxt_switches"));
    }

    #[test]
    fn a_pipe_that_nobody_fills_does_not_stop_the_agent() {
        let stage = Stage::new();
        let path = stage.path("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        assert_eq!(
            stage.reply(Command::ReadFile { path }),
            Ok(Reply::FileRead { len: 0 })
        );
    }

    #[test]
    fn what_cannot_be_read_or_written_is_told_with_its_path() {
        let stage = Stage::new();
        let check = |command: Command, errno: i32, text: &str| {
            let error = stage.reply(command).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
            assert!(
                matches!(error, AgentError::System { errno: found, .. } if found == errno),
                "{error}"
            );
        };
        let path = "/no/such/file".to_owned();
        check(Command::ReadFile { path }, libc::ENOENT, "/no/such/file");
        let path = stage.path("");
        check(piece(&path, 0, b""), libc::EISDIR, &path);
        check(piece("/no/such/file", 7, b"x"), libc::ENOENT, "at 7");
        assert!(matches!(
            stage.reply(piece("relative", 0, b"")),
            Err(AgentError::State(_))
        ));
    }

    #[test]
    fn a_host_that_has_enough_of_a_file_ends_the_command_not_the_agent() {
        let stage = Stage::refusing_notices();
        let read = || Command::ReadFile {
            path: "/proc/self/status".to_owned(),
        };
        let (replies, _) = stage.play([read(), Command::Seed { seed: 1 }]);
        assert!(
            matches!(&replies[0], Err(AgentError::State(text)) if text.contains("enough")),
            "{replies:?}"
        );
        assert_eq!(replies[1], Ok(Reply::Done));
    }
}
