//! The description of a save: its manifest, and the key derived from it.
//!
//! ```json
//! {"version":1,"manifest":…}
//! ```
//!
//! Manifests are compared as parsed from JSON, on both sides: a number that JSON does not represent exactly is then
//! still equal to itself.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use disk::files;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::StoreError;

/// The key of the save that a manifest describes: the first 32 hexadecimal digits of the SHA-256 of its compact JSON,
/// with fields in the order in which they serialise.
///
/// # Errors
/// [`StoreError::Manifest`] when the manifest cannot be serialised.
pub fn key_of<M: Serialize>(manifest: &M) -> Result<String, StoreError> {
    let json = serde_json::to_vec(manifest).map_err(|error| StoreError::Manifest {
        reason: error.to_string(),
    })?;
    let mut key = files::sha256(&json);
    key.truncate(KEY_DIGITS);
    Ok(key)
}

/// A manifest in the forms in which the store needs it.
pub(crate) struct Wanted {
    pub(crate) key: String,
    /// The contents of `manifest.json`.
    pub(crate) bytes: Vec<u8>,
    /// The value parsed from these bytes.
    pub(crate) manifest: Value,
}

impl Wanted {
    pub(crate) fn new<M: Serialize>(manifest: &M) -> Result<Self, StoreError> {
        let key = key_of(manifest)?;
        let refuse = |reason: String| StoreError::Manifest { reason };
        let contents = Contents {
            version: VERSION,
            manifest,
        };
        let bytes = serde_json::to_vec(&contents).map_err(|error| refuse(error.to_string()))?;
        let manifest = parse(&bytes).map_err(|damage| refuse(damage.to_string()))?;
        Ok(Self { key, bytes, manifest })
    }
}

/// Why a save's manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Damage {
    #[error("{MANIFEST} cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("{MANIFEST} is not a file")]
    NoFile,
    #[error("{MANIFEST} has more than {MAX_MANIFEST_BYTES} bytes")]
    Long,
    #[error("{MANIFEST} cannot be understood: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{MANIFEST} has version {0}, and this program knows version {VERSION}")]
    Version(u32),
    #[error("{MANIFEST} describes another save")]
    Another,
}

/// Reads the manifest of the save in a directory.
pub(crate) fn read(directory: &Path) -> Result<Value, Damage> {
    let path = directory.join(MANIFEST);
    // Opening a pipe, for example, could block for ever.
    if !fs::metadata(&path)?.is_file() {
        return Err(Damage::NoFile);
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_MANIFEST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    parse(&bytes)
}

/// Whether a name is a key: the store ignores other names in its directory.
pub(crate) fn is_key(name: &str) -> bool {
    name.len() == KEY_DIGITS && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

pub(crate) const MANIFEST: &str = "manifest.json";

const VERSION: u32 = 1;

/// 128 bits: no two manifests of one store have the same.
const KEY_DIGITS: usize = 32;

/// The largest manifest read into memory, in bytes; real ones have some hundred.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Contents<M> {
    version: u32,
    manifest: M,
}

fn parse(bytes: &[u8]) -> Result<Value, Damage> {
    if bytes.len() as u64 > MAX_MANIFEST_BYTES {
        return Err(Damage::Long);
    }
    let contents: Contents<Value> = serde_json::from_slice(bytes)?;
    if contents.version == VERSION {
        Ok(contents.manifest)
    } else {
        Err(Damage::Version(contents.version))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Example {
        kernel: &'static str,
        memory_mib: u32,
    }

    const EXAMPLE: Example = Example {
        kernel: "6.12",
        memory_mib: 512,
    };

    #[test]
    fn key_and_file_are_pinned() {
        let wanted = Wanted::new(&EXAMPLE).unwrap();
        let file = r#"{"version":1,"manifest":{"kernel":"6.12","memory_mib":512}}"#;
        assert_eq!(String::from_utf8(wanted.bytes).unwrap(), file);
        let json = br#"{"kernel":"6.12","memory_mib":512}"#;
        assert_eq!(wanted.key, files::sha256(json)[..32]);
        assert_eq!(wanted.key, "aabc6d4af41947cb92f20cfef0f22f88");
        assert!(is_key(&wanted.key));
    }

    #[test]
    fn only_keys_are_keys() {
        let check = |name: &str, expect| assert_eq!(is_key(name), expect, "{name}");
        check(&"0f".repeat(16), true);
        check(&"0F".repeat(16), false);
        check(&"0f".repeat(15), false);
        check("../../../../../../../../../../..", false);
        check("", false);
    }

    #[test]
    fn a_manifest_that_could_not_be_read_again_is_refused() {
        fn check<M: Serialize>(manifest: &M, part: &str) {
            let Err(StoreError::Manifest { reason }) = Wanted::new(manifest) else {
                panic!("{part}: not refused");
            };
            assert!(reason.contains(part), "{reason}");
        }
        check(&std::collections::BTreeMap::from([((1, 2), 3)]), "key");
        check(&"x".repeat(1 << 20), "more than 1048576 bytes");
        let mut deep = Value::Null;
        for _ in 0..200 {
            deep = Value::Array(vec![deep]);
        }
        check(&deep, "recursion");
    }
}
