//! Downloading a suite's packages, and reading the wanted files out of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::slice;

use tempfile::TempDir;

use super::choose::{self, Candidate};
use super::status::on_percent;
use super::{Suite, listed};
use crate::apt::packages::{self, Package};
use crate::apt::{AptError, Fetched};
use crate::deb;
use crate::progress::Progress;

impl Suite<'_> {
    /// Downloads a kernel's packages, cheapest first, until image and config are found.
    pub(super) fn kernel_files(
        &self,
        kernel: &Candidate,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Fetched, AptError> {
        let (images, configs) = (
            packages::image_paths(&kernel.release),
            packages::config_paths(&kernel.release),
        );
        let paths: Vec<_> = images.iter().chain(&configs).map(String::as_str).collect();
        let (mut image, mut config, mut used) = (None, None, Vec::new());
        for batch in packages::batches(&kernel.parts) {
            if image.is_some() && config.is_some() {
                break;
            }
            for downloaded in self.download(&choose::packages_of(self, kernel, &batch)?, progress)? {
                progress(Progress::Unpacking {
                    what: downloaded.package.name.clone(),
                });
                let mut found = downloaded.members(&paths)?;
                image = image.or_else(|| images.iter().find_map(|path| found.remove(path)));
                config = config.or_else(|| configs.iter().find_map(|path| found.remove(path)));
                used.push(downloaded.package.to_string());
            }
        }
        match image {
            Some(image) => Ok(Fetched {
                image,
                config,
                packages: used,
            }),
            None => Err(AptError::NoImage {
                release: kernel.release.clone(),
                packages: listed(&used),
            }),
        }
    }

    /// Downloads one package and reads one file out of it.
    pub(super) fn member(
        &self,
        package: &Package,
        member: &str,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<u8>, AptError> {
        let no_member = || AptError::NoMember {
            package: package.to_string(),
            member: member.to_owned(),
        };
        let found = self.download(slice::from_ref(package), progress)?;
        let mut members = found.first().ok_or_else(no_member)?.members(&[member])?;
        members.remove(member).ok_or_else(no_member)
    }

    /// Downloads packages, in the order of `wanted`. Nothing is left on disk.
    fn download(
        &self,
        wanted: &[Package],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Downloaded>, AptError> {
        let directory = self.empty_downloads()?;
        let directory = directory.path();
        let mut args: Vec<OsString> = ["-qq", "download"].map(Into::into).to_vec();
        args.extend(wanted.iter().map(|package| package.to_string().into()));
        let total_bytes: u64 = wanted.iter().map(|package| package.size).sum();
        let title = wanted.first().map(ToString::to_string).unwrap_or_default();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an estimate to show"
        )]
        let bytes_at = |percent: f32| (f64::from(percent) / 100.0 * total_bytes as f64) as u64;
        let run = self.run(&self.programs.apt_get, args, directory);
        run.lines(&mut on_percent(|percent| {
            progress(Progress::Downloading {
                package: title.clone(),
                done_bytes: bytes_at(percent),
                total_bytes,
            });
        }))?;
        let files: Vec<_> = fs::read_dir(directory)
            .map_err(AptError::file("listing", directory))?
            .flatten()
            .map(|entry| entry.path())
            .collect();
        // A file is named <package>_<version>_<architecture>.deb, and no package name has an underscore.
        let of = |package: &Package| {
            let prefix = format!("{}_", package.name);
            files.iter().find(|file| {
                file.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
            })
        };
        let downloaded = wanted.iter().map(|package| {
            let file = of(package).ok_or_else(|| AptError::NotDownloaded {
                package: package.to_string(),
                directory: directory.to_owned(),
            })?;
            let bytes = fs::read(file).map_err(AptError::file("reading", file))?;
            Ok(Downloaded {
                package: package.clone(),
                file: file.clone(),
                bytes,
            })
        });
        downloaded.collect()
    }

    /// An empty directory for packages, which is removed when it is dropped: below the suite's, where others look after what a
    /// killed process leaves, unless that is [too long](MAX_DIRECTORY).
    fn empty_downloads(&self) -> Result<TempDir, AptError> {
        let of_suite = self.state.join("packages");
        match fs::remove_dir_all(&of_suite) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(AptError::file("removing", &of_suite)(source));
            }
            _ => {}
        }
        let fits = of_suite.as_os_str().len() <= MAX_DIRECTORY;
        let directory = if fits { of_suite } else { std::env::temp_dir() };
        fs::create_dir_all(&directory).map_err(AptError::file("creating", &directory))?;
        TempDir::with_prefix_in("schedrig-apt-", &directory)
            .map_err(AptError::file("creating a directory in", &directory))
    }
}

/// The longest working directory for `apt-get download`, in bytes, less the name that is made in it: apt 2.6 takes `/` for a
/// working directory of 300 bytes and more, and puts the packages there (`SafeGetCWD`, apt-pkg/contrib/fileutl.cc).
const MAX_DIRECTORY: usize = 250;

/// A package that was downloaded.
struct Downloaded {
    package: Package,
    /// Where it was.
    file: PathBuf,
    bytes: Vec<u8>,
}

impl Downloaded {
    /// The wanted members of it.
    fn members(&self, wanted: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, AptError> {
        deb::read_members(&self.bytes, wanted).map_err(|source| AptError::Package {
            package: self.file.clone(),
            source,
        })
    }
}
