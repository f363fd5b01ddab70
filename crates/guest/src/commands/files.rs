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
            agent.desk.notice(Notice::FileChunk { bytes })?;
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
