//! What is in the store, and taking something out of it by hand.

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

/// What the store says about one of its saves.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Listed {
    /// Its name in the store.
    pub key: String,
    /// What it must be, in its creator's words; null if it cannot be read.
    pub manifest: Value,
    /// What it takes of the disk, in bytes; holes in files take nothing.
    pub bytes: u64,
    /// When it was last used, in seconds since 1970.
    pub last_used_s: u64,
    /// What is wrong with its manifest, if something is. Who asks for the save then makes it anew.
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

    /// Removes one save, named by the beginning of its key, also if it is in use. Whoever has its files open keeps them.
    ///
    /// # Errors
    /// [`StoreError::NoEntry`] and [`StoreError::Ambiguous`] unless exactly one is named so; [`StoreError::File`] when
    /// it cannot be removed.
    pub fn remove(&self, which: &str) -> Result<Listed, StoreError> {
        let listed = self.named(which)?;
        self.take_away(&listed.key)?;
        self.sweep();
        Ok(listed)
    }

    /// Removes all saves, also those in use, and says which. One that is being made stays.
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

    /// `None` if it was removed meanwhile.
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

    /// The one save that goes by a name.
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
                there: keys(&mut saves.iter()),
            }),
            several => Err(StoreError::Ambiguous {
                which: which.to_owned(),
                matches: keys(&mut several.iter().copied()),
            }),
        }
    }
}

/// What a file, or a directory with all that is in it, takes of the disk. What vanishes meanwhile takes nothing.
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
