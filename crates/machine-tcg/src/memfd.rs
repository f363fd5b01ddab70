//! Memory files: without a name in any directory, and freed when the last descriptor is closed.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};

/// An empty one; `name` is what `/proc/<pid>/fd` shows.
pub(crate) fn empty(name: &str) -> io::Result<File> {
    Ok(File::from(memfd_create(name, MemfdFlags::CLOEXEC)?))
}

/// One that holds `content`.
pub(crate) fn with_content(name: &str, content: &[u8]) -> io::Result<File> {
    let mut file = empty(name)?;
    file.write_all(content)?;
    Ok(file)
}

/// The whole content of `file`, whatever its position is; what is appended meanwhile may be missing.
pub(crate) fn content(file: &File) -> io::Result<Vec<u8>> {
    content_from(file, 0)
}

/// The same without the first `start` bytes.
pub(crate) fn content_from(file: &File, start: u64) -> io::Result<Vec<u8>> {
    let len = file.metadata()?.len().saturating_sub(start);
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(&mut bytes[done..], start + done as u64)? {
            0 => break,
            read => done += read,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_does_not_depend_on_the_position() {
        let file = with_content("test", b"hello").unwrap();
        assert_eq!(content(&file).unwrap(), b"hello");
        assert_eq!(content(&file).unwrap(), b"hello");
        assert_eq!(content(&empty("test").unwrap()).unwrap(), b"");
        assert_eq!(content_from(&file, 3).unwrap(), b"lo");
        assert_eq!(content_from(&file, 9).unwrap(), b"");
    }
}
