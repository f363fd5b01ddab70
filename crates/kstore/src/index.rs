//! The index: for each request, the entry that answers it and when that was fetched.
//!
//! One small file, replaced as a whole under the store's lock and read without one. Losing the file does no harm:
//! requests are then resolved again, and entries keep their own names.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use disk::files::{self, Stamp};
use serde::{Deserialize, Serialize};

/// The index, by the canonical form of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Index {
    version: u32,
    pub(crate) answers: BTreeMap<String, Answer>,
}

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The entry's id.
    pub(crate) entry: String,
    /// When the entry was fetched, in seconds since 1970.
    pub(crate) fetched_at_s: u64,
    /// The local files that the entry was made from, with their stamps at that time; empty for a package.
    pub(crate) sources: Vec<(PathBuf, Stamp)>,
}

const VERSION: u32 = 1;
const FILE: &str = "index.json";

impl Default for Index {
    fn default() -> Self {
        Self {
            version: VERSION,
            answers: BTreeMap::new(),
        }
    }
}

impl Index {
    /// Reads the index of a store; a missing or damaged one, or one of another version, counts as empty.
    pub(crate) fn read(store: &Path) -> io::Result<Self> {
        let bytes = match fs::read(store.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        match serde_json::from_slice::<Self>(&bytes) {
            Ok(index) if index.version == VERSION => Ok(index),
            Ok(index) => {
                tracing::warn!(
                    version = index.version,
                    "kernel index of another version; starting a new one"
                );
                Ok(Self::default())
            }
            Err(error) => {
                tracing::warn!(%error, "damaged kernel index; starting a new one");
                Ok(Self::default())
            }
        }
    }

    /// Replaces the store's index with this one. The caller holds the store's lock.
    pub(crate) fn write(&self, store: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        files::replace(&store.join(FILE), &bytes)
    }
}

impl Answer {
    /// Whether the local files are still those that the entry was made from.
    pub(crate) fn is_current(&self, sources: &[PathBuf]) -> bool {
        self.sources.len() == sources.len()
            && self
                .sources
                .iter()
                .zip(sources)
                .all(|((path, stamp), now)| path == now && Stamp::of(now).is_ok_and(|now| now == *stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_read_as_written_and_a_damaged_one_counts_as_empty() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Index::read(dir.path()).unwrap(), Index::default());
        let mut index = Index::default();
        let source = dir.path().join("vmlinuz");
        fs::write(&source, b"x").unwrap();
        let sources = vec![(source.clone(), Stamp::of(&source).unwrap())];
        index.answers.insert(
            "apt:sid".to_owned(),
            Answer {
                entry: "7.2-ab".to_owned(),
                fetched_at_s: 1,
                sources,
            },
        );
        index.write(dir.path()).unwrap();
        assert_eq!(Index::read(dir.path()).unwrap(), index);
        for damaged in ["", "{", "{\"version\": 9, \"answers\": {}}", "[]"] {
            fs::write(dir.path().join(FILE), damaged).unwrap();
            assert_eq!(Index::read(dir.path()).unwrap(), Index::default(), "{damaged}");
        }
    }
}
