//! Resolving a request: from the cache, from this machine's files, or through apt.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};

use disk::files::Stamp;
use disk::lock::{self, Lock};

use super::Store;
use crate::apt::{self, Newest};
use crate::entry::{self, Damage};
use crate::error::StoreError;
use crate::kernel::Kernel;
use crate::local::{self, LocalFiles};
use crate::progress::Progress;
use crate::request::{AptRequest, KernelRequest};

/// A kernel that was found and is not yet in the store.
pub(super) struct Found {
    /// The image's name in messages.
    pub(super) name: String,
    pub(super) image: Vec<u8>,
    pub(super) config: Option<Vec<u8>>,
    /// The packages that the kernel came from, each as `name=version`.
    pub(super) packages: Vec<String>,
    /// The local files that the kernel was read from.
    pub(super) sources: Vec<(PathBuf, Stamp)>,
}

/// The cache's answer to a request.
enum Cached {
    Current(Kernel),
    /// No entry, or one made from files that have changed.
    Nothing,
    Damaged {
        directory: PathBuf,
        damage: Damage,
    },
}

impl Store {
    pub(super) fn answer(
        &self,
        request: &KernelRequest,
        accept_cached: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Kernel, StoreError> {
        match request {
            KernelRequest::Apt(apt) => self.answer_apt(apt, request, accept_cached, progress),
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
        accept_cached: bool,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Kernel, StoreError> {
        let key = request.to_string();
        if accept_cached && let Cached::Current(kernel) = self.cached(&key, &[], request)? {
            return Ok(kernel);
        }
        // Suites drop old versions: what is here need not be there any more.
        if accept_cached
            && let Some(id) = self.entry_of_version(apt)
            && let Some(kernel) = self.adopt(&key, request, &id, progress)?
        {
            return Ok(kernel);
        }
        let (state, lock) = self.suite(apt, progress)?;
        // The previous holder of the lock may have stored the kernel.
        let damaged = match self.cached(&key, &[], request)? {
            Cached::Current(kernel) if accept_cached => return Ok(kernel),
            Cached::Damaged { directory, damage } => Some((directory, damage)),
            _ => None,
        };
        let fetched = self.fetch(&state, &lock, apt, request, progress);
        match (fetched, damaged) {
            (Err(source), Some((directory, damage))) => {
                let source = Box::new(source);
                Err(StoreError::Damaged {
                    directory,
                    damage,
                    source,
                })
            }
            (fetched, _) => fetched,
        }
    }

    /// A suite's state directory, and the lock on it.
    pub(super) fn suite(
        &self,
        apt: &AptRequest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(PathBuf, Lock), StoreError> {
        let suites = self.directory.join(".apt");
        let name = format!("{}-{}", apt.suite, apt.architecture().unwrap_or("native"));
        fs::create_dir_all(&suites).map_err(StoreError::file("creating", &suites))?;
        let path = suites.join(format!("{name}.lock"));
        let mut waiting = || progress(Progress::Waiting { lock: path.clone() });
        let lock = lock::acquire(&path, self.patience, &mut waiting)?;
        Ok((suites.join(name), lock))
    }

    /// Fetches the newest kernel through apt, with the suite's lock held. Packages that an entry was already made from are
    /// not downloaded again.
    fn fetch(
        &self,
        state: &Path,
        lock: &Lock,
        apt: &AptRequest,
        request: &KernelRequest,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Kernel, StoreError> {
        let key = request.to_string();
        let known = |package: &str| self.entry_of_package(package);
        let fetched = match apt::fetch(&self.programs, state, lock.file(), apt, &known, progress)? {
            Newest::Known(id) => {
                if let Some(kernel) = self.adopt(&key, request, &id, progress)? {
                    return Ok(kernel);
                }
                // The entry was removed in the meantime.
                match apt::fetch::<Infallible>(&self.programs, state, lock.file(), apt, &|_| None, progress)?
                {
                    Newest::Known(never) => match never {},
                    Newest::Fetched(fetched) => fetched,
                }
            }
            Newest::Fetched(fetched) => fetched,
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
        // Files of /proc are generated by each read and have no lasting stamp.
        let lasting = |path: &&PathBuf| !path.starts_with("/proc");
        let sources: Vec<PathBuf> = [&files.image]
            .into_iter()
            .chain(&files.config)
            .filter(lasting)
            .cloned()
            .collect();
        if let Cached::Current(kernel) = self.cached(&key, &sources, request)? {
            return Ok(kernel);
        }
        let stamped = |path: PathBuf| match Stamp::of(&path) {
            Ok(stamp) => Ok((path, stamp)),
            Err(source) => Err(StoreError::File {
                action: "reading",
                path,
                source,
            }),
        };
        // Stamps are taken before reading, so a file that changes meanwhile counts as changed.
        let sources = sources.into_iter().map(stamped).collect::<Result<_, _>>()?;
        let found = Found {
            name: files.image.display().to_string(),
            image: local::read(&files.image)?,
            config: files.config.as_deref().map(local::read_config).transpose()?,
            packages: Vec::new(),
            sources,
        };
        self.publish(&key, request, found, progress)
    }

    fn cached(&self, key: &str, sources: &[PathBuf], request: &KernelRequest) -> Result<Cached, StoreError> {
        let index = self.index()?;
        let Some(answer) = index.answers.get(key).filter(|answer| answer.is_current(sources)) else {
            return Ok(Cached::Nothing);
        };
        let directory = self.directory.join(&answer.entry);
        Ok(match entry::verified(&directory) {
            Ok(manifest) => Cached::Current(self.kernel(&answer.entry, &manifest, request)),
            Err(damage) => {
                tracing::warn!(entry = answer.entry, %damage, "damaged kernel in the cache");
                Cached::Damaged { directory, damage }
            }
        })
    }

    /// The undamaged entry that was made from a package (`name=version`).
    fn entry_of_package(&self, package: &str) -> Option<String> {
        let made_from_package = |id: &String| {
            entry::verified(&self.directory.join(id))
                .is_ok_and(|manifest| manifest.packages.iter().any(|its| its == package))
        };
        self.ids().ok()?.into_iter().find(made_from_package)
    }

    /// The entry that was made from exactly the version and flavour of a request.
    fn entry_of_version(&self, apt: &AptRequest) -> Option<String> {
        let version = apt.version.as_deref()?;
        let flavour = format!("-{}", apt.flavour);
        let is_it = |package: &String| {
            package
                .split_once('=')
                .is_some_and(|(name, its)| its == version && name.ends_with(&flavour))
        };
        let made_from_it = |id: &String| {
            entry::verified(&self.directory.join(id))
                .is_ok_and(|manifest| manifest.packages.iter().any(is_it))
        };
        self.ids().ok()?.into_iter().find(made_from_it)
    }
}
