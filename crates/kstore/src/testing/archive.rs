//! A distribution's archive in a directory, with a stand-in for apt (`fake-apt`) that serves it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kimage::Compression;
use kimage::testing::TinyKernel;

use super::deb::{deb, file, tar_of, xz};
use crate::Programs;

pub(crate) struct Archive {
    directory: PathBuf,
}

impl Archive {
    /// An empty archive in a new directory.
    pub(crate) fn new(directory: &Path) -> Self {
        let archive = Self {
            directory: directory.to_owned(),
        };
        fs::create_dir_all(archive.path("pool")).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/testing/fake-apt");
        for program in ["apt-get", "apt-cache", "apt-config", "dpkg"] {
            symlink(&script, archive.path(program)).unwrap();
        }
        for text in ["names", "show", "log"] {
            fs::write(archive.path(text), "").unwrap();
        }
        fs::write(
            archive.path("sources.list"),
            "deb http://mirror.example/debian testing main\n",
        )
        .unwrap();
        archive
    }

    /// The archive that [`Archive::new`] made in another process.
    pub(crate) fn existing(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
        }
    }

    pub(crate) fn programs(&self) -> Programs {
        Programs {
            apt_get: self.path("apt-get"),
            apt_cache: self.path("apt-cache"),
            apt_config: self.path("apt-config"),
            dpkg: self.path("dpkg"),
            patience: Duration::from_secs(60),
        }
    }

    /// Adds a kernel in one package, as up to 6.18.
    pub(crate) fn add_whole(&self, kernel: &TinyKernel, version: &str) {
        let release = &kernel.release;
        let image = kernel.bzimage(Compression::Zstd);
        self.add_package(
            "image",
            release,
            version,
            &[
                ("boot/vmlinuz-", "", &image),
                ("boot/config-", "", &config(release)),
            ],
        );
    }

    /// Adds a kernel in several packages, as after 6.18.
    pub(crate) fn add_split(&self, kernel: &TinyKernel, version: &str) {
        let release = &kernel.release;
        let image = kernel.bzimage(Compression::Zstd);
        self.add_package(
            "binary",
            release,
            version,
            &[("usr/lib/modules/", "/vmlinuz", &image)],
        );
        self.add_package(
            "base",
            release,
            version,
            &[("usr/lib/modules/", "/config", &config(release))],
        );
        self.add_package("image", release, version, &[]);
    }

    /// The number of downloads since the log was last read.
    pub(crate) fn downloads(&self) -> usize {
        let log = fs::read_to_string(self.path("log")).unwrap();
        fs::write(self.path("log"), "").unwrap();
        log.lines().filter(|line| line.contains(" download ")).count()
    }

    /// The number of calls of any of apt's programs since the log was last read.
    pub(crate) fn calls(&self) -> usize {
        let log = fs::read_to_string(self.path("log")).unwrap();
        fs::write(self.path("log"), "").unwrap();
        log.lines().count()
    }

    /// Makes every later fetch fail.
    pub(crate) fn go_offline(&self) {
        fs::write(self.path("offline"), "").unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn add_package(&self, part: &str, release: &str, version: &str, members: &[(&str, &str, &[u8])]) {
        let package = format!("linux-{part}-{release}");
        let members: Vec<_> = members
            .iter()
            .map(|(before, after, bytes)| (format!("./{before}{release}{after}"), *bytes))
            .collect();
        let members: Vec<_> = members
            .iter()
            .map(|(path, bytes)| (path.as_str(), *bytes))
            .collect();
        self.add(&package, version, &members);
    }

    /// Adds any package.
    pub(crate) fn add(&self, package: &str, version: &str, members: &[(&str, &[u8])]) {
        let members: Vec<_> = members.iter().map(|(path, bytes)| file(path, bytes)).collect();
        let bytes = deb("data.tar.xz", &xz(&tar_of(&members)));
        fs::write(
            self.path("pool").join(format!("{package}_{version}_amd64.deb")),
            &bytes,
        )
        .unwrap();
        self.append("names", &format!("{package}\n"));
        self.append(
            "show",
            &format!(
                "Package: {package}\nVersion: {version}\nSize: {}\n\n",
                bytes.len()
            ),
        );
    }

    fn append(&self, name: &str, text: &str) {
        let before = fs::read_to_string(self.path(name)).unwrap();
        fs::write(self.path(name), before + text).unwrap();
    }
}

/// The config of a kernel in an [`Archive`].
pub(crate) fn config(release: &str) -> Vec<u8> {
    format!("# {release}\nCONFIG_SCHED_CLASS_EXT=y\n").into_bytes()
}

/// A kernel of that release; the build id follows from it.
pub(crate) fn kernel(release: &str) -> TinyKernel {
    let build_id = disk::files::sha256(release.as_bytes()).into_bytes()[..20].to_vec();
    TinyKernel {
        release: release.to_owned(),
        build_id,
        ..TinyKernel::default()
    }
}
