//! [`ReadFile`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use spec::op::ReadFile;
use spec::{OpError, OpOutcome};
use wire::{Notice, call};

use super::file::check_absolute;
use crate::context::Context;
use crate::error::{Failure, system};

/// The longest file that is read, in bytes: /proc/kallsyms takes about 12 MiB.
const MAX_FILE: u64 = 64 << 20;

/// Reads the file and sends it in pieces, the last one with the outcome. Sizes of procfs files are not known beforehand;
/// a read that would block is the end.
pub(super) fn carry_out(op: &ReadFile, context: &mut Context) -> Result<OpOutcome, Failure> {
    let path = op.path.as_str();
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
            return Err(OpError::State(format!("{path} is longer than {MAX_FILE} bytes")).into());
        }
        if filled < call::MAX_CHUNK {
            return Ok(OpOutcome::FileRead { len, bytes });
        }
        context.event_loop.notice(Notice::FileChunk { bytes })?;
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

#[cfg(test)]
mod tests {
    use wire::Command;

    use super::*;
    use crate::testing::{Stage, does};

    fn read(path: impl Into<String>) -> Command {
        let path = path.into();
        does(ReadFile { path })
    }

    /// A whole file, of the pieces that went ahead and the last one.
    fn whole(notices: Vec<Notice>, reply: &wire::Reply) -> Vec<u8> {
        let Ok(OpOutcome::FileRead { len, bytes: last }) = reply else {
            panic!("{reply:?}")
        };
        let chunk = |notice| match notice {
            Notice::FileChunk { bytes } => bytes,
            other => panic!("{other:?}"),
        };
        let mut bytes: Vec<u8> = notices.into_iter().flat_map(chunk).collect();
        bytes.extend(last);
        assert_eq!(bytes.len() as u64, *len);
        bytes
    }

    #[test]
    fn a_long_file_comes_in_pieces_and_whole() {
        let stage = Stage::new();
        let check = |len: usize, pieces: usize| {
            let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
            std::fs::write(stage.path("long"), &bytes).unwrap();
            let (replies, notices) = stage.play([read(stage.path("long"))]);
            assert_eq!(notices.len(), pieces, "ahead of the reply");
            assert_eq!(whole(notices, &replies[0]), bytes);
        };
        check(0, 0);
        check(call::MAX_CHUNK - 1, 0);
        check(call::MAX_CHUNK, 1);
        check(2 * call::MAX_CHUNK + 5, 2);
    }

    #[test]
    fn a_file_of_the_kernel_is_read_although_its_size_is_zero() {
        let (replies, notices) = Stage::new().play([read("/proc/self/status")]);
        let text = String::from_utf8(whole(notices, &replies[0])).unwrap();
        assert!(text.starts_with("Name:") && text.contains("nonvoluntary_ctxt_switches"));
    }

    #[test]
    fn a_pipe_that_nobody_fills_does_not_stop_the_agent() {
        let stage = Stage::new();
        let path = stage.path("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let (len, bytes) = (0, Vec::new());
        assert_eq!(stage.reply(read(path)), Ok(OpOutcome::FileRead { len, bytes }));
    }

    #[test]
    fn what_cannot_be_read_is_reported_with_its_path() {
        let stage = Stage::new();
        let error = stage.reply(read("/no/such/file")).unwrap_err();
        assert!(error.to_string().contains("/no/such/file"), "{error}");
        assert!(
            matches!(
                error,
                OpError::System {
                    errno: libc::ENOENT,
                    ..
                }
            ),
            "{error}"
        );
        assert!(matches!(stage.reply(read("relative")), Err(OpError::State(_))));
    }

    #[test]
    fn a_host_that_has_enough_of_a_file_ends_the_op_not_the_agent() {
        let stage = Stage::refusing_notices();
        std::fs::write(stage.path("long"), vec![1; call::MAX_CHUNK + 1]).unwrap();
        let (replies, _) = stage.play([read(stage.path("long")), Command::Seed { seed: 1 }]);
        assert!(
            matches!(&replies[0], Err(OpError::State(text)) if text.contains("enough")),
            "{replies:?}"
        );
        assert_eq!(replies[1], Ok(OpOutcome::Done));
    }
}
