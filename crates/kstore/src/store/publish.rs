//! The writing side of the store: a found kernel becomes an entry, whole or not at all.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use disk::files::{self, ASIDE, GONE, Stamp};

use super::Store;
use super::answer::Found;
use crate::entry::{self, CONFIG, ELF, FileFacts, IMAGE, Manifest};
use crate::error::StoreError;
use crate::index::Answer;
use crate::kernel::Kernel;
use crate::progress::Progress;
use crate::request::KernelRequest;

/// The files of an entry that is being written, by name.
type Contents<'a> = BTreeMap<&'static str, Cow<'a, [u8]>>;

impl Store {
    /// Stores a found kernel as an entry and records it as the answer to the request.
    pub(super) fn publish(
        &self,
        key: &str,
        request: &KernelRequest,
        found: Found,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Kernel, StoreError> {
        progress(Progress::Unpacking {
            what: found.name.clone(),
        });
        let image = kimage::KernelImage::from_bytes(&found.image).map_err(|source| StoreError::Image {
            name: found.name.clone(),
            source,
        })?;
        progress(Progress::Storing {
            release: image.release().to_owned(),
        });

        let mut contents = Contents::from([(ELF, Cow::from(image.unpacked()))]);
        if image.unpacked() != found.image {
            contents.insert(IMAGE, Cow::from(&found.image));
        }
        if let Some(config) = &found.config {
            contents.insert(CONFIG, Cow::from(config));
        }
        let mut manifest = Manifest {
            version: entry::VERSION,
            release: image.release().to_owned(),
            build_id: image.build_id().to_string(),
            btf: image.btf().is_some(),
            packages: found.packages,
            stored_at_s: now_s(),
            files: contents
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), FileFacts::of(bytes)))
                .collect(),
        };
        let id = entry::id_of(&manifest.release, &manifest.build_id);

        let _lock = self.lock(progress)?;
        self.sweep();
        match entry::verified(&self.directory.join(&id)) {
            Ok(existing) if existing.has_all_of(&manifest) => manifest = existing,
            Ok(existing) => {
                self.keep_other_files(&id, &existing, &mut manifest, &mut contents)?;
                self.write_entry(&id, &manifest, &contents)?;
            }
            Err(_) => self.write_entry(&id, &manifest, &contents)?,
        }
        self.record(key, &id, found.sources)?;
        Ok(self.kernel(&id, &manifest, request))
    }

    /// Records an existing entry as the answer to a request; `None` if the entry has been removed.
    pub(super) fn adopt(
        &self,
        key: &str,
        request: &KernelRequest,
        id: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Option<Kernel>, StoreError> {
        let _lock = self.lock(progress)?;
        let Ok(manifest) = entry::verified(&self.directory.join(id)) else {
            return Ok(None);
        };
        self.record(key, id, Vec::new())?;
        Ok(Some(self.kernel(id, &manifest, request)))
    }

    /// Records the answer to a request. The caller holds the store's lock.
    fn record(&self, key: &str, id: &str, sources: Vec<(PathBuf, Stamp)>) -> Result<(), StoreError> {
        let mut index = self.index()?;
        let answer = Answer {
            entry: id.to_owned(),
            fetched_at_s: now_s(),
            sources,
        };
        index.answers.insert(key.to_owned(), answer);
        index
            .write(&self.directory)
            .map_err(|source| self.write_failed(0, source))
    }

    /// Takes over the files and packages that only the existing entry of the same kernel has.
    fn keep_other_files(
        &self,
        id: &str,
        existing: &Manifest,
        manifest: &mut Manifest,
        contents: &mut Contents<'_>,
    ) -> Result<(), StoreError> {
        for name in [IMAGE, CONFIG] {
            let Some(facts) = existing.files.get(name).filter(|_| !contents.contains_key(name)) else {
                continue;
            };
            let path = self.directory.join(id).join(name);
            let bytes = fs::read(&path).map_err(StoreError::file("reading", &path))?;
            contents.insert(name, Cow::from(bytes));
            manifest.files.insert(name.to_owned(), facts.clone());
        }
        if manifest.packages.is_empty() {
            manifest.packages.clone_from(&existing.packages);
        }
        Ok(())
    }

    /// Writes an entry aside and moves it to its place. The caller holds the store's lock.
    fn write_entry(&self, id: &str, manifest: &Manifest, contents: &Contents<'_>) -> Result<(), StoreError> {
        let bytes = manifest.files.values().map(|facts| facts.bytes).sum();
        let write = || {
            let aside = tempfile::Builder::new()
                .prefix(ASIDE)
                .tempdir_in(&self.directory)?;
            entry::write(
                aside.path(),
                manifest,
                contents.iter().map(|(name, bytes)| (*name, bytes.as_ref())),
            )?;
            let place = self.directory.join(id);
            if place.exists() {
                self.move_away(id)?;
            }
            fs::rename(aside.path(), &place)?;
            // The directory was renamed, so a drop has nothing left to remove.
            let _ = aside.keep();
            files::sync_dir(&self.directory)
        };
        write().map_err(|source| self.write_failed(bytes, source))?;
        self.sweep();
        Ok(())
    }

    pub(super) fn write_failed(&self, bytes: u64, source: io::Error) -> StoreError {
        if files::is_full(&source) {
            return StoreError::Full {
                directory: self.directory.clone(),
                bytes,
                source,
            };
        }
        StoreError::File {
            action: "writing to",
            path: self.directory.clone(),
            source,
        }
    }

    /// Removes an entry from the store. The caller holds the store's lock.
    pub(super) fn discard(&self, id: &str) -> Result<(), StoreError> {
        self.move_away(id)
            .map_err(StoreError::file("removing", &self.directory.join(id)))?;
        self.sweep();
        Ok(())
    }

    fn move_away(&self, id: &str) -> io::Result<()> {
        let away = tempfile::Builder::new()
            .prefix(GONE)
            .tempdir_in(&self.directory)?;
        fs::rename(self.directory.join(id), away.path().join("entry"))
    }

    /// Removes the leftovers of interrupted processes. The caller holds the store's lock, so no other process is writing.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if !name.starts_with(ASIDE) && !name.starts_with(GONE) {
                continue;
            }
            let path = entry.path();
            let removed = if path.is_dir() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            if let Err(error) = removed {
                tracing::warn!(path = %path.display(), %error, "leftover not removed");
            }
        }
    }
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
