//! Chosen members of a Debian package, read from memory.
//!
//! ```text
//! package.deb   ar archive
//! ├── debian-binary        "2.0\n" (the major version must be 2)
//! ├── control.tar.{xz,…}   ignored
//! └── data.tar.{xz,zst,gz} or data.tar
//!     └── ./boot/vmlinuz-6.12…   wanted members, by their exact path
//! ```
//!
//! Nothing is written anywhere: a member is found when its path, without a leading `./`, *equals* one that is
//! wanted, so that names with `..` or a leading `/`, links and devices cannot lead outside; they are skipped.
//! Long-name records (GNU, PAX) are not followed: no wanted path is that long. Every quantity is bounded by [`Limits`].
//! Reading ends when all wanted members are found. Authenticity is not checked
//! here: apt has verified signature and hash before.

use std::collections::BTreeMap;
use std::io::{self, Read};

use object::read::archive::ArchiveFile;

/// Bounds on the memory and work that a package may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest member kept, in bytes.
    pub member_bytes: u64,
    /// How many bytes of `data.tar` may be unpacked before the search fails.
    pub unpacked_bytes: u64,
    /// The largest window or dictionary a decompressor may ask for, in KiB.
    pub window_kib: u32,
}

impl Default for Limits {
    /// Admits the largest kernel packages (some 100 MB packed, 600 MB unpacked) a few times over.
    fn default() -> Self {
        Self {
            member_bytes: 512 << 20,
            unpacked_bytes: 4 << 30,
            window_kib: 128 << 10,
        }
    }
}

/// Why a package could not be read.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The outer `ar` archive is damaged, truncated or absent.
    #[error("not a Debian package, or a truncated one: {0}")]
    Archive(String),
    /// `debian-binary` is missing or of another major version.
    #[error("not a Debian package of format 2: debian-binary holds `{0}`")]
    Format(String),
    /// The package has no `data.tar`.
    #[error("the package has no data.tar member")]
    NoData,
    /// `data.tar` is packed by a method that this reader does not know.
    #[error(
        "the package's {0} is compressed by a method this reader does not know (known: xz, zst, gz, none)"
    )]
    Compression(String),
    /// The decompressor or the tar reader failed.
    #[error("the package's {member} is damaged")]
    Data {
        /// The member of the outer archive.
        member: String,
        /// The reader's error.
        source: io::Error,
    },
    /// A wanted member is larger than [`Limits::member_bytes`].
    #[error("{path} in the package has {size} bytes, more than the {limit} that are allowed")]
    MemberTooLarge {
        /// The member's path.
        path: String,
        /// The member's size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

/// The wanted members of a package, by their path without a leading `./` or `/`. Members that the package does not
/// have are absent from the answer; the first of two with the same path counts.
///
/// # Errors
/// [`DebError`] when the bytes are not a package, or one that exceeds the default [`Limits`].
pub fn read_members(deb: &[u8], wanted: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, DebError> {
    read_members_within(deb, wanted, &Limits::default())
}

/// [`read_members`] with other [`Limits`].
///
/// # Errors
/// As for [`read_members`].
pub fn read_members_within(
    deb: &[u8],
    wanted: &[&str],
    limits: &Limits,
) -> Result<BTreeMap<String, Vec<u8>>, DebError> {
    let (name, packed) = data_member(deb)?;
    let damaged = |source| DebError::Data {
        member: name.clone(),
        source,
    };
    let plain = decompress(&name, packed, limits)?;
    let bounded = Bounded {
        inner: plain,
        left: limits.unpacked_bytes,
        limit: limits.unpacked_bytes,
    };
    let mut archive = tar::Archive::new(bounded);

    let mut found = BTreeMap::new();
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        if found.len() == wanted.len() {
            break;
        }
        let mut entry = entry.map_err(damaged)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path_bytes();
        let path = path.strip_prefix(b"./").unwrap_or(&path);
        let Some(&path) = wanted.iter().find(|wanted| wanted.as_bytes() == path) else {
            continue;
        };
        if found.contains_key(path) {
            continue;
        }
        let size = entry.size();
        if size > limits.member_bytes {
            return Err(DebError::MemberTooLarge {
                path: path.to_owned(),
                size,
                limit: limits.member_bytes,
            });
        }
        let bytes = read_exactly(&mut entry, size).map_err(damaged)?;
        found.insert(path.to_owned(), bytes);
    }
    Ok(found)
}

/// Name and bytes of the `data.tar*` member.
fn data_member(deb: &[u8]) -> Result<(String, &[u8]), DebError> {
    let broken = |error: object::Error| DebError::Archive(error.to_string());
    let archive = ArchiveFile::parse(deb).map_err(broken)?;
    let mut format_seen = false;
    for member in archive.members() {
        let member = member.map_err(broken)?;
        let bytes = member.data(deb).map_err(broken)?;
        let name = String::from_utf8_lossy(member.name()).into_owned();
        if !format_seen {
            if name != "debian-binary" || !bytes.starts_with(b"2.") {
                return Err(DebError::Format(
                    String::from_utf8_lossy(&bytes[..bytes.len().min(16)])
                        .trim()
                        .to_owned(),
                ));
            }
            format_seen = true;
        } else if name == "data.tar" || name.starts_with("data.tar.") {
            return Ok((name, bytes));
        }
    }
    Err(if format_seen {
        DebError::NoData
    } else {
        DebError::Format(String::new())
    })
}

fn decompress<'a>(name: &str, packed: &'a [u8], limits: &Limits) -> Result<Box<dyn Read + 'a>, DebError> {
    let damaged = |error: &dyn std::fmt::Display| DebError::Data {
        member: name.to_owned(),
        source: io::Error::other(error.to_string()),
    };
    Ok(match name.strip_prefix("data.tar").unwrap_or_default() {
        "" => Box::new(packed),
        ".xz" => Box::new(lzma_rust2::XzReader::new_mem_limit(
            packed,
            true,
            limits.window_kib,
        )),
        ".gz" => Box::new(flate2::read::MultiGzDecoder::new(packed)),
        ".zst" => Box::new(ruzstd::decoding::StreamingDecoder::new(packed).map_err(|error| damaged(&error))?),
        _ => return Err(DebError::Compression(name.to_owned())),
    })
}

/// Reads `size` bytes; memory grows with the bytes read, not with the claimed size.
fn read_exactly(reader: &mut dyn Read, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = reader.take(size).read_to_end(&mut bytes)?;
    if read as u64 == size {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// A reader that fails, instead of ending, beyond its limit.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other(format!("unpacks to more than {} bytes", self.limit)))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
