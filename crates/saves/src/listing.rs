//! Listing the saves of the store, and removing them by hand.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use crate::error::StoreError;
use crate::manifest::{self, is_key};
use crate::store::Store;
use crate::usage;

/// One stored save.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// The save's name in the store.
    pub key: String,
    /// The save's manifest, as its creator wrote it; null if it cannot be read.
    pub manifest: Value,
    /// The disk space that the save takes, in bytes; holes in files take none.
    pub bytes: u64,
    /// When the save was last used, in seconds since 1970.
    pub last_used_s: u64,
    /// Why the manifest cannot be used, if it is damaged. The next caller makes the save again.
    pub damage: Option<String>,
}

impl Store {
    /// All saves, the last used first.
    ///
    /// # Errors
    /// [`StoreError::File`] when the store cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut saves: Vec<_> = self
            .keys()?
            .into_iter()
            .filter_map(|key| Some((usage::last(&self.directory.join(&key)), self.describe(key)?)))
            .collect();
        saves.sort_by(|(a_used, a), (b_used, b)| b_used.cmp(a_used).then_with(|| a.key.cmp(&b.key)));
        Ok(saves.into_iter().map(|(_, listed)| listed).collect())
    }

    /// Removes one save, named by the beginning of its key, even one in use. Processes that have its files open keep them.
    ///
    /// # Errors
    /// [`StoreError::NoEntry`] and [`StoreError::Ambiguous`] unless exactly one save matches; [`StoreError::File`] when
    /// the save cannot be removed.
    pub fn remove(&self, which: &str) -> Result<Listed, StoreError> {
        let listed = self.named(which)?;
        self.take_away(&listed.key)?;
        self.sweep();
        Ok(listed)
    }

    /// Removes all saves, including those in use, and returns them. A save that is being made is kept.
    ///
    /// # Errors
    /// [`StoreError::File`] when one cannot be removed.
    pub fn clear(&self) -> Result<Vec<Listed>, StoreError> {
        let saves = self.list()?;
        for listed in &saves {
            self.take_away(&listed.key)?;
        }
        self.sweep();
        Ok(saves)
    }

    /// The names of all saves.
    pub(crate) fn keys(&self) -> Result<Vec<String>, StoreError> {
        let listing = fs::read_dir(&self.directory).map_err(StoreError::file("listing", &self.directory))?;
        Ok(listing
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_key(name))
            .collect())
    }

    /// Describes a save; `None` if it was removed meanwhile.
    fn describe(&self, key: String) -> Option<Listed> {
        let directory = self.directory.join(&key);
        let (manifest, damage) = match manifest::read(&directory) {
            Ok(manifest) => (manifest, None),
            Err(damage) => (Value::Null, Some(damage.to_string())),
        };
        fs::symlink_metadata(&directory).ok()?;
        Some(Listed {
            manifest,
            bytes: bytes_of(&directory),
            last_used_s: usage::last(&directory)
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            damage,
            key,
        })
    }

    /// The one save that matches a name.
    fn named(&self, which: &str) -> Result<Listed, StoreError> {
        let saves = self.list()?;
        let matches: Vec<_> = saves
            .iter()
            .filter(|listed| !which.is_empty() && listed.key.starts_with(which))
            .collect();
        let keys =
            |saves: &mut dyn Iterator<Item = &Listed>| saves.map(|listed| listed.key.clone()).collect();
        match matches.as_slice() {
            [listed] => Ok((*listed).clone()),
            [] => Err(StoreError::NoEntry {
                which: which.to_owned(),
                available: keys(&mut saves.iter()),
            }),
            several => Err(StoreError::Ambiguous {
                which: which.to_owned(),
                matches: keys(&mut several.iter().copied()),
            }),
        }
    }
}

/// The disk space of a file, or of a directory with its contents; files removed meanwhile count as 0.
pub(crate) fn bytes_of(path: &Path) -> u64 {
    /// The unit of `st_blocks`, whatever the file system's own is.
    const BLOCK_BYTES: u64 = 512;
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    let own = metadata.blocks() * BLOCK_BYTES;
    if !metadata.is_dir() {
        return own;
    }
    let inside = fs::read_dir(path).into_iter().flatten().flatten();
    own + inside.map(|entry| bytes_of(&entry.path())).sum::<u64>()
}
