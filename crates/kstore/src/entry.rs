//! One kernel in the cache: its directory, its manifest, and the check that its files have not changed.
//!
//! ```text
//! <release>-<first 12 digits of the build id>/
//! ├── vmlinuz         as shipped (absent when an ELF was shipped)
//! ├── vmlinux         the uncompressed ELF
//! ├── config          if known
//! ├── manifest.json   release, build id, packages; size and SHA-256 of each file
//! └── .seen.json      stamps of the files when they were last found equal to the manifest
//! ```
//!
//! An entry never changes: it is written aside, renamed into place, and replaced or removed as a whole. Every use checks
//! it: by the stamps (no reading), and, when a stamp differs, by size and hash.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use disk::files::{self, Stamp};
use serde::{Deserialize, Serialize};

/// The description of an entry. Version 1; a field may be added, none changes its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) version: u32,
    pub(crate) release: String,
    pub(crate) build_id: String,
    /// Whether the kernel carries BTF.
    pub(crate) btf: bool,
    /// The packages that the kernel came from, each as `name=version`; none for a local file.
    pub(crate) packages: Vec<String>,
    /// When the entry was stored, in seconds since 1970.
    pub(crate) stored_at_s: u64,
    /// The files by name.
    pub(crate) files: BTreeMap<String, FileFacts>,
}

/// The expected size and hash of an entry's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileFacts {
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
}

/// Why an entry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The manifest is missing or cannot be read.
    #[error("manifest.json cannot be read: {0}")]
    Manifest(String),
    /// The manifest is of a version this program does not know.
    #[error("manifest.json has version {0}, and this program knows version {VERSION}")]
    Version(u32),
    /// A file is missing or cannot be read.
    #[error("{file} cannot be read: {source}")]
    Unreadable {
        /// The file's name.
        file: String,
        /// The cause.
        source: io::Error,
    },
    /// A file has another size than in the manifest.
    #[error("{file} has {bytes} bytes and should have {expected}")]
    Size {
        /// The file's name.
        file: String,
        /// The file's size, in bytes.
        bytes: u64,
        /// The size in the manifest.
        expected: u64,
    },
    /// A file has other contents than in the manifest.
    #[error("{file} does not have the SHA-256 of its manifest")]
    Contents {
        /// The file's name.
        file: String,
    },
}

impl Manifest {
    /// Whether this manifest lists every file of `other`, with equal size and hash.
    pub(crate) fn has_all_of(&self, other: &Self) -> bool {
        other
            .files
            .iter()
            .all(|(name, facts)| self.files.get(name) == Some(facts))
    }
}

impl FileFacts {
    /// Measures a file's contents.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.len() as u64,
            sha256: files::sha256(bytes),
        }
    }
}

pub(crate) const VERSION: u32 = 1;
pub(crate) const IMAGE: &str = "vmlinuz";
pub(crate) const ELF: &str = "vmlinux";
pub(crate) const CONFIG: &str = "config";
const MANIFEST: &str = "manifest.json";
const SEEN: &str = ".seen.json";

/// The name of a kernel's directory. The release comes from a file that anybody may have made.
pub(crate) fn id_of(release: &str, build_id: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "+-._~".contains(c) {
            c
        } else {
            '_'
        }
    };
    let release: String = release
        .trim_start_matches('.')
        .chars()
        .take(128)
        .map(safe)
        .collect();
    let build_id: String = build_id
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(12)
        .collect();
    format!("{release}-{build_id}")
}

/// Writes a whole entry into an empty directory and syncs it to disk.
pub(crate) fn write<'c>(
    directory: &Path,
    manifest: &Manifest,
    contents: impl Iterator<Item = (&'c str, &'c [u8])>,
) -> io::Result<()> {
    for (name, bytes) in contents {
        files::write_new(&directory.join(name), bytes)?;
    }
    files::write_new(&directory.join(MANIFEST), &json(manifest)?)?;
    if let Ok(stamps) = stamps(directory, manifest) {
        files::write_new(&directory.join(SEEN), &json(&stamps)?)?;
    }
    files::sync_dir(directory)
}

/// Reads the manifest of the entry in a directory, without checking the entry's files.
pub(crate) fn manifest(directory: &Path) -> Result<Manifest, Damage> {
    let bytes = fs::read(directory.join(MANIFEST)).map_err(|error| Damage::Manifest(error.to_string()))?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|error| Damage::Manifest(error.to_string()))?;
    if manifest.version == VERSION {
        Ok(manifest)
    } else {
        Err(Damage::Version(manifest.version))
    }
}

/// Reads the manifest of an entry and checks that all files agree with it.
pub(crate) fn verified(directory: &Path) -> Result<Manifest, Damage> {
    let manifest = manifest(directory)?;
    if !manifest.files.contains_key(ELF)
        || manifest
            .files
            .keys()
            .any(|name| ![IMAGE, ELF, CONFIG].contains(&name.as_str()))
    {
        return Err(Damage::Manifest(
            "it does not list the files of a kernel".to_owned(),
        ));
    }
    let now = stamps(directory, &manifest)?;
    let seen = fs::read(directory.join(SEEN))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if seen.as_ref() == Some(&now) {
        return Ok(manifest);
    }
    for (name, facts) in &manifest.files {
        check(directory, name, facts)?;
    }
    // Stamps only save time; a read-only cache works without them.
    if let Ok(bytes) = json(&now)
        && let Err(error) = files::replace(&directory.join(SEEN), &bytes)
    {
        tracing::debug!(directory = %directory.display(), %error, "stamps not written");
    }
    Ok(manifest)
}

/// The stamps of all files of the manifest.
fn stamps(directory: &Path, manifest: &Manifest) -> Result<BTreeMap<String, Stamp>, Damage> {
    let stamp = |name: &String| {
        let stamp = Stamp::of(&directory.join(name)).map_err(|source| Damage::Unreadable {
            file: name.clone(),
            source,
        })?;
        Ok((name.clone(), stamp))
    };
    manifest.files.keys().map(stamp).collect()
}

fn check(directory: &Path, name: &str, facts: &FileFacts) -> Result<(), Damage> {
    let path: PathBuf = directory.join(name);
    let unreadable = |source| Damage::Unreadable {
        file: name.to_owned(),
        source,
    };
    let bytes = fs::metadata(&path).map_err(unreadable)?.len();
    if bytes != facts.bytes {
        return Err(Damage::Size {
            file: name.to_owned(),
            bytes,
            expected: facts.bytes,
        });
    }
    if files::sha256_of(&path).map_err(unreadable)? != facts.sha256 {
        return Err(Damage::Contents {
            file: name.to_owned(),
        });
    }
    Ok(())
}

fn json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> (tempfile::TempDir, Manifest) {
        let contents: [(&str, &[u8]); 3] = [(IMAGE, b"image"), (ELF, b"elf"), (CONFIG, b"config")];
        let manifest = Manifest {
            version: VERSION,
            release: "6.12".to_owned(),
            build_id: "00".repeat(20),
            btf: true,
            packages: Vec::new(),
            stored_at_s: 1,
            files: contents
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), FileFacts::of(bytes)))
                .collect(),
        };
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &manifest, contents.into_iter()).unwrap();
        (dir, manifest)
    }

    #[test]
    fn a_written_entry_is_verified_with_and_without_stamps() {
        let (dir, manifest) = written();
        assert_eq!(verified(dir.path()).unwrap(), manifest);
        fs::remove_file(dir.path().join(SEEN)).unwrap();
        assert_eq!(verified(dir.path()).unwrap(), manifest);
        assert!(dir.path().join(SEEN).exists(), "stamps are written again");
    }

    #[test]
    fn every_damage_is_detected_and_named() {
        let check = |damage: &dyn Fn(&Path), part: &str| {
            let (dir, _) = written();
            damage(dir.path());
            let message = verified(dir.path()).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        };
        check(
            &|dir| fs::write(dir.join(IMAGE), b"imag").unwrap(),
            "vmlinuz has 4 bytes and should have 5",
        );
        check(
            &|dir| fs::write(dir.join(ELF), b"fle").unwrap(),
            "vmlinux does not have the SHA-256",
        );
        check(
            &|dir| fs::remove_file(dir.join(CONFIG)).unwrap(),
            "config cannot be read",
        );
        check(
            &|dir| fs::write(dir.join(MANIFEST), b"{").unwrap(),
            "manifest.json cannot be read",
        );
        check(
            &|dir| fs::remove_file(dir.join(MANIFEST)).unwrap(),
            "manifest.json cannot be read",
        );
        let rewrite = |dir: &Path, from: &str, to: &str| {
            let text = fs::read_to_string(dir.join(MANIFEST)).unwrap();
            assert!(text.contains(from));
            fs::write(dir.join(MANIFEST), text.replace(from, to)).unwrap();
        };
        check(
            &|dir| rewrite(dir, "\"version\": 1", "\"version\": 2"),
            "version 2",
        );
        check(
            &|dir| rewrite(dir, "\"vmlinuz\"", "\"../../etc/passwd\""),
            "does not list the files",
        );
    }

    #[test]
    fn ids_are_safe_file_names() {
        let check = |release: &str, expect: &str| assert_eq!(id_of(release, "0123456789abcdef"), expect);
        check(
            "7.2.13+deb14-cloud-amd64",
            "7.2.13+deb14-cloud-amd64-0123456789ab",
        );
        check("../../x", "_.._x-0123456789ab");
        check("a/b\0c d", "a_b_c_d-0123456789ab");
        assert!(id_of(&"x".repeat(500), "ab").len() < 200);
    }
}
