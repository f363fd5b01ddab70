//! Downloading a suite's packages, and reading the wanted files out of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::slice;

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
            for (package, file) in self.download(&choose::packages_of(self, kernel, &batch)?, progress)? {
                progress(Progress::Unpacking {
                    what: package.name.clone(),
                });
                let mut found = read_package(&file, &paths)?;
                image = image.or_else(|| images.iter().find_map(|path| found.remove(path)));
                config = config.or_else(|| configs.iter().find_map(|path| found.remove(path)));
                used.push(package.to_string());
            }
        }
        self.clear_downloads()?;
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
        let (_, file) = found.first().ok_or_else(no_member)?;
        let mut members = read_package(file, &[member])?;
        self.clear_downloads()?;
        members.remove(member).ok_or_else(no_member)
    }

    /// Downloads packages; the files in the order of `wanted`.
    fn download(
        &self,
        wanted: &[Package],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<(Package, PathBuf)>, AptError> {
        self.clear_downloads()?;
        let directory = self.downloads();
        fs::create_dir_all(&directory).map_err(AptError::file("creating", &directory))?;
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
        let run = self.run(&self.programs.apt_get, args, &directory);
        run.lines(&mut on_percent(|percent| {
            progress(Progress::Downloading {
                package: title.clone(),
                done_bytes: bytes_at(percent),
                total_bytes,
            });
        }))?;
        let files: Vec<_> = fs::read_dir(&directory)
            .map_err(AptError::file("listing", &directory))?
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
        Ok(wanted
            .iter()
            .filter_map(|package| Some((package.clone(), of(package)?.clone())))
            .collect())
    }

    fn downloads(&self) -> PathBuf {
        self.state.join("packages")
    }

    fn clear_downloads(&self) -> Result<(), AptError> {
        let path = self.downloads();
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(AptError::file("removing", &path)(source))
            }
            _ => Ok(()),
        }
    }
}

/// The wanted members of a downloaded package.
fn read_package(file: &Path, wanted: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, AptError> {
    let bytes = fs::read(file).map_err(AptError::file("reading", file))?;
    deb::read_members(&bytes, wanted).map_err(|source| AptError::Package {
        package: file.to_owned(),
        source,
    })
}
