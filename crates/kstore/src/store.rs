//! The cache of kernels, and how a request becomes one of them.
//!
//! ```text
//! <store>/
//! ├── <release>-<build id>/          entries, see `entry`
//! ├── index.json                     request → entry
//! ├── .lock                          held while entries or index change
//! ├── .new-…                         an entry being written; a leftover of an interruption if `.lock` is free
//! └── .apt/<suite>-<architecture>/   apt's state, see `apt`
//!     └── …lock                      beside it; held while apt works there
//! ```
//!
//! Readers need no lock: an entry appears complete, by a rename, and the index is replaced in one step. Two that want the same
//! suite meet at the suite's lock, where the second finds what the first has stored. No lock is waited for without
//! end. What an interrupted process leaves is swept by the next that takes `.lock`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcetera::BaseStrategy;
use serde::Serialize;

use crate::apt::{self, Programs};
use crate::entry::{self, CONFIG, Damage, ELF, FileFacts, IMAGE, Manifest};
use crate::error::StoreError;
use crate::files::{self, ASIDE, Stamp};
use crate::index::{Answer, Index};
use crate::kernel::Kernel;
use crate::local::{self, LocalFiles};
use crate::lock;
use crate::progress::Progress;
use crate::request::{AptRequest, KernelRequest};

/// The kernels kept in one directory. Cheap to open; any number of threads and processes may use the same directory.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
    programs: Programs,
    patience: Duration,
}

/// What the store says about one of its kernels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Entry {
    /// Its name in the store: `<release>-<first 12 digits of the build id>`.
    pub id: String,
    /// The kernel's release; the id if the entry is damaged.
    pub release: String,
    /// The GNU build id, in hexadecimal digits.
    pub build_id: String,
    /// The requests that it answers now.
    pub requests: Vec<String>,
    /// The packages it came in, each as `name=version`.
    pub packages: Vec<String>,
    /// When it was stored, in seconds since 1970.
    pub stored_at_s: u64,
    /// The size of its files, in bytes.
    pub bytes: u64,
    /// Its directory.
    pub directory: PathBuf,
    /// What is wrong with it, if something is. A request for it then fetches it anew.
    pub damage: Option<String>,
}

/// How long a lock of another process is waited for: longer than any download that makes progress should take.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How the names of entries begin that are being removed.
const GONE: &str = ".gone-";

/// A kernel that was found, not yet in the store.
struct Found {
    /// What messages call the image.
    name: String,
    image: Vec<u8>,
    config: Option<Vec<u8>>,
    packages: Vec<String>,
    sources: Vec<(PathBuf, Stamp)>,
}

impl Store {
    /// The store in the user's cache directory, `$XDG_CACHE_HOME/schedrig/kernels`.
    ///
    /// # Errors
    /// [`StoreError::NoCacheDir`] without a home directory; [`StoreError::File`] if the directory cannot be made.
    pub fn open_default() -> Result<Self, StoreError> {
        let base = etcetera::choose_base_strategy().map_err(|_| StoreError::NoCacheDir)?;
        Self::open(base.cache_dir().join("schedrig/kernels"))
    }

    /// The store in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// [`StoreError::File`] if the directory cannot be made.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let dir = dir.into();
        let directory = std::path::absolute(&dir).map_err(StoreError::file("finding", &dir))?;
        fs::create_dir_all(&directory).map_err(StoreError::file("creating", &directory))?;
        Ok(Self {
            directory,
            programs: Programs::default(),
            patience: PATIENCE,
        })
    }

    /// This store with other programs in apt's place.
    #[must_use]
    pub fn with_programs(self, programs: Programs) -> Self {
        Self { programs, ..self }
    }

    /// This store with another deadline for waiting on other processes.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The directory that the store is in.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The kernel that answers a request: the cached one if there is one, else it is fetched. A cached kernel that is
    /// damaged, or whose local files have changed, is fetched anew.
    ///
    /// # Errors
    /// [`StoreError`] when there is none and none could be had.
    pub fn resolve(
        &self,
        request: &KernelRequest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Kernel, StoreError> {
        self.answer(request, true, progress)
    }

    /// The kernel that answers a request now: an `apt:` suite is asked for its newest even if one is cached.
    ///
    /// # Errors
    /// As for [`Store::resolve`].
    pub fn refresh(
        &self,
        request: &KernelRequest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Kernel, StoreError> {
        self.answer(request, false, progress)
    }

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
    /// Whoever has its files open keeps them.
    ///
    /// # Errors
    /// [`StoreError::NoEntry`] and [`StoreError::Ambiguous`] unless exactly one is named so.
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

    fn answer(
        &self,
        request: &KernelRequest,
        cached_will_do: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Kernel, StoreError> {
        match request {
            KernelRequest::Apt(apt) => self.answer_apt(apt, request, cached_will_do, progress),
            KernelRequest::Path(path) => self.answer_local(&local::at_path(path)?, request, progress),
            KernelRequest::Host => {
                let uname = rustix::system::uname();
                let files = local::of_host(Path::new("/"), &uname.release().to_string_lossy())?;
                self.answer_local(&files, request, progress)
            }
        }
    }

    fn answer_apt(
        &self,
        apt: &AptRequest,
        request: &KernelRequest,
        cached_will_do: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Kernel, StoreError> {
        let key = request.to_string();
        if cached_will_do && let Ok(Some(kernel)) = self.cached(&key, &[], request)? {
            return Ok(kernel);
        }
        let suites = self.directory.join(".apt");
        let name = format!("{}-{}", apt.suite, apt.architecture().unwrap_or("native"));
        fs::create_dir_all(&suites).map_err(StoreError::file("creating", &suites))?;
        let lock_path = suites.join(format!("{name}.lock"));
        let lock = lock::acquire(&lock_path, self.patience, &mut || {
            progress(Progress::Waiting {
                lock: lock_path.clone(),
            })
        })?;
        // Whoever had the lock before may have stored what is wanted.
        let damage = match self.cached(&key, &[], request)? {
            Ok(Some(kernel)) if cached_will_do => return Ok(kernel),
            Ok(_) => None,
            Err(damage) => Some(damage),
        };
        let fetched =
            apt::fetch(&self.programs, &suites.join(&name), &lock, apt, progress).map_err(StoreError::from);
        let fetched = match (fetched, damage) {
            (Err(source), Some((id, damage))) => {
                return Err(StoreError::Damaged {
                    directory: self.directory.join(id),
                    damage,
                    source: Box::new(source),
                });
            }
            (fetched, _) => fetched?,
        };
        let found = Found {
            name: fetched.packages.join(" "),
            image: fetched.image,
            config: fetched.config,
            packages: fetched.packages,
            sources: Vec::new(),
        };
        self.publish(&key, request, found, progress)
    }

    fn answer_local(
        &self,
        files: &LocalFiles,
        request: &KernelRequest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Kernel, StoreError> {
        let key = match request {
            KernelRequest::Host => request.to_string(),
            _ => KernelRequest::Path(files.image.clone()).to_string(),
        };
        // Files of /proc are made as they are read and have no lasting stamp.
        let sources: Vec<PathBuf> = [Some(&files.image), files.config.as_ref()]
            .into_iter()
            .flatten()
            .filter(|path| !path.starts_with("/proc"))
            .cloned()
            .collect();
        if let Ok(Some(kernel)) = self.cached(&key, &sources, request)? {
            return Ok(kernel);
        }
        let stamped = sources
            .into_iter()
            .map(|path| {
                Ok((
                    path.clone(),
                    Stamp::of(&path).map_err(StoreError::file("reading", &path))?,
                ))
            })
            .collect::<Result<_, StoreError>>()?;
        let found = Found {
            name: files.image.display().to_string(),
            image: local::read(&files.image)?,
            config: files.config.as_deref().map(local::read_config).transpose()?,
            packages: Vec::new(),
            sources: stamped,
        };
        self.publish(&key, request, found, progress)
    }

    /// The cached answer: `Ok(None)` if there is none that is current, `Err` with the entry's id if it is damaged.
    #[expect(
        clippy::type_complexity,
        reason = "two failures that lead to different places"
    )]
    fn cached(
        &self,
        key: &str,
        sources: &[PathBuf],
        request: &KernelRequest,
    ) -> Result<Result<Option<Kernel>, (String, Damage)>, StoreError> {
        let index = self.index()?;
        let Some(answer) = index.answers.get(key).filter(|answer| answer.is_current(sources)) else {
            return Ok(Ok(None));
        };
        Ok(match entry::verified(&self.directory.join(&answer.entry)) {
            Ok(manifest) => Ok(Some(self.kernel(&answer.entry, &manifest, request))),
            Err(damage) => {
                tracing::warn!(entry = answer.entry, %damage, "damaged kernel in the cache");
                Err((answer.entry.clone(), damage))
            }
        })
    }

    /// Makes a found kernel an entry, and the answer to the request.
    fn publish(
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

        let mut contents: Vec<(&str, &[u8])> = vec![(ELF, image.elf())];
        if image.elf() != found.image {
            contents.push((IMAGE, &found.image));
        }
        if let Some(config) = &found.config {
            contents.push((CONFIG, config));
        }
        let now = now_s();
        let facts = |bytes: &[u8]| FileFacts {
            bytes: bytes.len() as u64,
            sha256: files::sha256(bytes),
        };
        let manifest = Manifest {
            version: entry::VERSION,
            release: image.release().to_owned(),
            build_id: image.build_id().to_string(),
            btf: image.btf().is_some(),
            packages: found.packages,
            stored_at_s: now,
            files: contents
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), facts(bytes)))
                .collect(),
        };
        let id = entry::id_of(&manifest.release, &manifest.build_id);

        let _lock = self.lock(progress)?;
        self.sweep();
        let there = entry::verified(&self.directory.join(&id)).ok();
        let manifest = match there {
            Some(there) if there.files == manifest.files => there,
            _ => {
                self.write_entry(&id, &manifest, &contents)?;
                manifest
            }
        };
        let mut index = self.index()?;
        index.answers.insert(
            key.to_owned(),
            Answer {
                entry: id.clone(),
                fetched_at_s: now,
                sources: found.sources,
            },
        );
        index
            .write(&self.directory)
            .map_err(|source| self.write_failed(0, source))?;
        Ok(self.kernel(&id, &manifest, request))
    }

    /// Writes an entry aside and moves it to its place. The caller holds the store's lock.
    fn write_entry(
        &self,
        id: &str,
        manifest: &Manifest,
        contents: &[(&str, &[u8])],
    ) -> Result<(), StoreError> {
        let bytes = manifest.files.values().map(|facts| facts.bytes).sum();
        let write = || {
            let aside = tempfile::Builder::new()
                .prefix(ASIDE)
                .tempdir_in(&self.directory)?;
            entry::write(aside.path(), manifest, contents)?;
            let place = self.directory.join(id);
            if place.exists() {
                self.move_away(id)?;
            }
            fs::rename(aside.path(), &place)?;
            // Nothing is there any more that dropping it could remove.
            let _ = aside.keep();
            files::sync_dir(&self.directory)
        };
        write().map_err(|source| self.write_failed(bytes, source))?;
        self.sweep();
        Ok(())
    }

    fn write_failed(&self, bytes: u64, source: io::Error) -> StoreError {
        if matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        ) {
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

    /// Takes an entry out of the store. The caller holds the store's lock.
    fn discard(&self, id: &str) -> Result<(), StoreError> {
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

    /// Removes what interrupted processes left. The caller holds the store's lock, so nobody else is at work.
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

    /// The lock that is held while entries or index change.
    fn lock(&self, progress: &mut dyn FnMut(Progress)) -> Result<File, StoreError> {
        let path = self.directory.join(".lock");
        Ok(lock::acquire(&path, self.patience, &mut || {
            progress(Progress::Waiting { lock: path.clone() })
        })?)
    }

    fn index(&self) -> Result<Index, StoreError> {
        Index::read(&self.directory).map_err(StoreError::file("reading the index in", &self.directory))
    }

    /// The names of all entries.
    fn ids(&self) -> Result<Vec<String>, StoreError> {
        let listing = fs::read_dir(&self.directory).map_err(StoreError::file("listing", &self.directory))?;
        Ok(listing
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.'))
            .collect())
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

    /// The one entry that goes by a name.
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
                there: entries.into_iter().map(|entry| entry.id).collect(),
            }),
            several => Err(StoreError::Ambiguous {
                which: which.to_owned(),
                matches: several.iter().map(|entry| entry.id.clone()).collect(),
            }),
        }
    }

    fn kernel(&self, id: &str, manifest: &Manifest, request: &KernelRequest) -> Kernel {
        let directory = self.directory.join(id);
        let has = |name: &str| manifest.files.contains_key(name);
        Kernel {
            image: directory.join(if has(IMAGE) { IMAGE } else { ELF }),
            vmlinux: directory.join(ELF),
            config: has(CONFIG).then(|| directory.join(CONFIG)),
            release: manifest.release.clone(),
            build_id: manifest.build_id.clone(),
            request: request.to_string(),
        }
    }
}

fn now_s() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
