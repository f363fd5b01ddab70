//! Copies a file's data and leaves its holes: guest RAM is mostly holes.

use std::fs::File;
use std::io;

use rustix::fs::{SeekFrom, copy_file_range, seek};
use rustix::io::Errno;

/// Copies all of `from` into the empty file `to`: the same length, holes where there are holes. Returns the bytes of
/// data. Changes the position of `from`.
pub(crate) fn copy(from: &File, to: &File) -> io::Result<u64> {
    let len = from.metadata()?.len();
    to.set_len(len)?;
    let (mut at, mut copied) = (0, 0);
    while at < len {
        let start = match seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // There is no data any more.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(from, SeekFrom::Hole(start))?;
        copy_extent(from, to, start, end)?;
        copied += end - start;
        at = end;
    }
    Ok(copied)
}

fn copy_extent(from: &File, to: &File, start: u64, end: u64) -> io::Result<()> {
    let mut at = start;
    while at < end {
        let (mut source, mut target) = (at, at);
        let rest = usize::try_from(end - at).unwrap_or(usize::MAX);
        match copy_file_range(from, Some(&mut source), to, Some(&mut target), rest) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(done) => at += done as u64,
            Err(Errno::INTR) => {}
            // Between file systems, or from one that cannot.
            Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP) => return copy_by_hand(from, to, at, end),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn copy_by_hand(from: &File, to: &File, start: u64, end: u64) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    const CHUNK: usize = 1 << 20;
    let mut chunk = vec![0; CHUNK];
    let mut at = start;
    while at < end {
        let want = usize::try_from(end - at).map_or(CHUNK, |rest| rest.min(CHUNK));
        from.read_exact_at(&mut chunk[..want], at)?;
        to.write_all_at(&chunk[..want], at)?;
        at += want as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;
    use crate::memfd;

    const MIB: u64 = 1 << 20;

    #[test]
    fn data_and_holes_arrive_where_they_were() {
        let from = memfd::empty("from").unwrap();
        from.set_len(64 * MIB).unwrap();
        from.write_all_at(b"low", 5 * MIB).unwrap();
        from.write_all_at(b"end", 64 * MIB - 3).unwrap();
        let to = memfd::empty("to").unwrap();
        let copied = copy(&from, &to).unwrap();
        assert!(copied < MIB, "{copied} bytes: the holes were copied, too");
        assert_eq!(memfd::content(&to).unwrap(), memfd::content(&from).unwrap());
    }

    #[test]
    fn a_copy_into_another_file_system_is_the_same() {
        let from = tempfile::tempfile().unwrap();
        from.write_all_at(&[7; 3000], 10_000).unwrap();
        let to = memfd::empty("to").unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(memfd::content(&to).unwrap(), memfd::content(&from).unwrap());
        copy(&memfd::empty("nothing").unwrap(), &memfd::empty("to").unwrap()).unwrap();
    }
}
