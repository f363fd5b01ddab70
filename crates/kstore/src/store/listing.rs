//! Listing the store's entries, and removing one.

use std::path::PathBuf;

use serde::Serialize;

use super::Store;
use crate::entry;
use crate::error::StoreError;
use crate::index::Index;
use crate::request::KernelRequest;

/// One cached kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// The entry's name in the store: `<release>-<first 12 digits of the build id>`.
    pub id: String,
    /// The kernel's release; the id if the entry is damaged.
    pub release: String,
    /// The GNU build id, in hexadecimal digits.
    pub build_id: String,
    /// The requests that the entry answers now.
    pub requests: Vec<String>,
    /// The packages that the kernel came from, each as `name=version`.
    pub packages: Vec<String>,
    /// When the entry was stored, in seconds since 1970.
    pub stored_at_s: u64,
    /// The size of the entry's files, in bytes.
    pub bytes: u64,
    /// The entry's directory.
    pub directory: PathBuf,
    /// Why the entry cannot be used, if it is damaged. The next request fetches the kernel again.
    pub damage: Option<String>,
}

impl Store {
    /// All cached kernels, by id.
    ///
    /// # Errors
    /// [`StoreError::File`] when the store cannot be read.
    pub fn list(&self) -> Result<Vec<Entry>, StoreError> {
        let index = self.index()?;
        let mut entries: Vec<_> = self
            .ids()?
            .into_iter()
            .map(|id| self.describe(id, &index))
            .collect();
        entries.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(entries)
    }

    /// Removes one kernel, named by its release, the beginning of its id or of its build id, or a request that it answers.
    /// Processes that have its files open keep them.
    ///
    /// # Errors
    /// [`StoreError::NoEntry`] and [`StoreError::Ambiguous`] unless exactly one entry matches.
    pub fn remove(&self, which: &str) -> Result<Entry, StoreError> {
        let _lock = self.lock(&mut |_| ())?;
        let mut index = self.index()?;
        let entry = self.named(which)?;
        index.answers.retain(|_, answer| answer.entry != entry.id);
        index
            .write(&self.directory)
            .map_err(StoreError::file("writing the index in", &self.directory))?;
        self.discard(&entry.id)?;
        Ok(entry)
    }

    fn describe(&self, id: String, index: &Index) -> Entry {
        let directory = self.directory.join(&id);
        let (manifest, damage) = match entry::verified(&directory) {
            Ok(manifest) => (Some(manifest), None),
            Err(damage) => (entry::manifest(&directory).ok(), Some(damage.to_string())),
        };
        let requests = index
            .answers
            .iter()
            .filter(|(_, answer)| answer.entry == id)
            .map(|(request, _)| request.clone())
            .collect();
        Entry {
            release: manifest
                .as_ref()
                .map_or_else(|| id.clone(), |manifest| manifest.release.clone()),
            build_id: manifest
                .as_ref()
                .map(|manifest| manifest.build_id.clone())
                .unwrap_or_default(),
            requests,
            packages: manifest
                .as_ref()
                .map(|manifest| manifest.packages.clone())
                .unwrap_or_default(),
            stored_at_s: manifest.as_ref().map_or(0, |manifest| manifest.stored_at_s),
            bytes: manifest.map_or(0, |manifest| {
                manifest.files.values().map(|facts| facts.bytes).sum()
            }),
            directory,
            damage,
            id,
        }
    }

    /// The one entry that matches a name.
    fn named(&self, which: &str) -> Result<Entry, StoreError> {
        let entries = self.list()?;
        let canonical = which.parse::<KernelRequest>().map(|request| request.to_string());
        let exactly = |entry: &&Entry| {
            entry.id == which
                || canonical
                    .as_ref()
                    .is_ok_and(|request| entry.requests.contains(request))
        };
        let roughly = |entry: &&Entry| {
            entry.release == which || entry.id.starts_with(which) || entry.build_id.starts_with(which)
        };
        let mut matches: Vec<_> = entries.iter().filter(exactly).collect();
        if matches.is_empty() && !which.is_empty() {
            matches = entries.iter().filter(roughly).collect();
        }
        match matches.as_slice() {
            [entry] => Ok((*entry).clone()),
            [] => Err(StoreError::NoEntry {
                which: which.to_owned(),
                available: entries.into_iter().map(|entry| entry.id).collect(),
            }),
            several => Err(StoreError::Ambiguous {
                which: which.to_owned(),
                matches: several.iter().map(|entry| entry.id.clone()).collect(),
            }),
        }
    }
}
