//! Kernels that are on this machine already: `path:` and `host`.
//!
//! A directory is searched by the names that kernels have in these places, first match first:
//!
//! ```text
//! vmlinuz · bzImage · arch/x86/boot/bzImage (a build tree) · vmlinuz-<release> · boot/vmlinuz-<release> · vmlinux
//! ```
//!
//! The config is searched beside the image: `config-<release>`, `config`, `.config` at the top of a build tree. A kernel
//! without a config is accepted; its features are then read from its own symbols.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The files of a local kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalFiles {
    pub(crate) image: PathBuf,
    pub(crate) config: Option<PathBuf>,
}

/// Why a `path:` or `host` request found no kernel.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The path does not exist, or cannot be followed.
    #[error("no kernel at {}; check the path after `path:`", path.display())]
    Absent {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The directory has no kernel image.
    #[error(
        "no kernel image in {} (looked for vmlinuz, bzImage, arch/x86/boot/bzImage, vmlinuz-*, boot/vmlinuz-*, vmlinux); name the file itself",
        directory.display()
    )]
    NoImage {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory has several kernels, none of them the plain `vmlinuz`.
    #[error("several kernels in {}: {}; name one of them with `path:`", directory.display(), names.join(", "))]
    Several {
        /// The directory.
        directory: PathBuf,
        /// The images' file names.
        names: Vec<String>,
    },
    /// The running kernel's image was not found.
    #[error("the running kernel {release} has no image on this machine (looked for {}); use `apt:<suite>` or `path:<vmlinuz>`", looked_for.join(", "))]
    NoHostImage {
        /// The running kernel's release.
        release: String,
        /// The paths that were tried.
        looked_for: Vec<String>,
    },
    /// This user may not read the file; some distributions protect `/boot` in this way.
    #[error("{} may not be read by this user; copy it with `sudo install -m 644 {} .` and give the copy with `path:`", path.display(), path.display())]
    Forbidden {
        /// The file.
        path: PathBuf,
    },
    /// The file is larger than any kernel.
    #[error("{} has {bytes} bytes, more than the {limit} that a kernel may have; is it a kernel?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The file's size, in bytes.
        bytes: u64,
        /// The largest size accepted, in bytes.
        limit: u64,
    },
    /// The path is neither a file nor a directory.
    #[error("{} is neither a file nor a directory", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// The file could not be read.
    #[error("reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The largest kernel file read, in bytes: an ELF with all debug information.
const MAX_IMAGE_BYTES: u64 = 2 << 30;

/// Finds the kernel at a path: the file itself, or the one in a directory.
pub(crate) fn at_path(path: &Path) -> Result<LocalFiles, LocalError> {
    let path = fs::canonicalize(path).map_err(|source| LocalError::Absent {
        path: path.to_owned(),
        source,
    })?;
    let image = if path.is_dir() { image_in(&path)? } else { path };
    let config = config_beside(&image);
    Ok(LocalFiles { image, config })
}

/// Finds the running kernel. `root` is `/`, or a stand-in for it.
pub(crate) fn of_host(root: &Path, release: &str) -> Result<LocalFiles, LocalError> {
    let places = [
        format!("boot/vmlinuz-{release}"),
        format!("lib/modules/{release}/vmlinuz"),
        format!("usr/lib/modules/{release}/vmlinuz"),
    ];
    let Some(image) = places
        .iter()
        .map(|place| root.join(place))
        .find(|image| image.exists())
    else {
        let looked_for = places
            .iter()
            .map(|place| root.join(place).display().to_string())
            .collect();
        return Err(LocalError::NoHostImage {
            release: release.to_owned(),
            looked_for,
        });
    };
    let configs = [
        format!("boot/config-{release}"),
        format!("lib/modules/{release}/config"),
        format!("usr/lib/modules/{release}/config"),
        "proc/config.gz".to_owned(),
    ];
    let config = configs
        .iter()
        .map(|place| root.join(place))
        .find(|config| readable(config));
    Ok(LocalFiles { image, config })
}

/// Reads a kernel image.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, LocalError> {
    let broken = |source: io::Error| match source.kind() {
        io::ErrorKind::PermissionDenied => LocalError::Forbidden {
            path: path.to_owned(),
        },
        _ => LocalError::Read {
            path: path.to_owned(),
            source,
        },
    };
    let metadata = fs::metadata(path).map_err(broken)?;
    if !metadata.is_file() {
        return Err(LocalError::NoFile {
            path: path.to_owned(),
        });
    }
    if metadata.len() > MAX_IMAGE_BYTES {
        return Err(LocalError::TooLarge {
            path: path.to_owned(),
            bytes: metadata.len(),
            limit: MAX_IMAGE_BYTES,
        });
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_IMAGE_BYTES).read_to_end(&mut bytes))
        .map_err(broken)?;
    Ok(bytes)
}

/// The largest config read, in bytes; real ones have some 300 kB.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// Reads a config; unpacks it if it is the running kernel's `config.gz`.
pub(crate) fn read_config(path: &Path) -> Result<Vec<u8>, LocalError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| {
        let mut reader: Box<dyn Read> = if path.extension().is_some_and(|extension| extension == "gz") {
            Box::new(flate2::read::GzDecoder::new(file))
        } else {
            Box::new(file)
        };
        reader.as_mut().take(MAX_CONFIG_BYTES).read_to_end(&mut bytes)
    });
    read.map_err(|source| LocalError::Read {
        path: path.to_owned(),
        source,
    })?;
    Ok(bytes)
}

fn image_in(directory: &Path) -> Result<PathBuf, LocalError> {
    let plain = ["vmlinuz", "bzImage", "arch/x86/boot/bzImage"].map(|name| directory.join(name));
    if let Some(image) = plain.into_iter().find(|image| image.is_file()) {
        return Ok(image);
    }
    for place in [directory.to_owned(), directory.join("boot")] {
        let mut named: Vec<_> = fs::read_dir(&place)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| release_in_name(path).is_some() && path.is_file())
            .collect();
        named.sort();
        match (named.len(), named.pop()) {
            (1, Some(image)) => return Ok(image),
            (_, Some(last)) => {
                named.push(last);
                let names = named
                    .iter()
                    .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
                    .collect();
                return Err(LocalError::Several {
                    directory: place,
                    names,
                });
            }
            _ => {}
        }
    }
    let elf = directory.join("vmlinux");
    if elf.is_file() {
        Ok(elf)
    } else {
        Err(LocalError::NoImage {
            directory: directory.to_owned(),
        })
    }
}

/// The readable config beside an image, if there is one.
fn config_beside(image: &Path) -> Option<PathBuf> {
    let directory = image.parent()?;
    let mut places = Vec::new();
    if let Some(release) = release_in_name(image) {
        places.push(directory.join(format!("config-{release}")));
    }
    places.push(directory.join("config"));
    places.push(directory.join(".config"));
    if let Some(tree) = directory
        .to_str()
        .and_then(|directory| directory.strip_suffix("/arch/x86/boot"))
    {
        places.push(Path::new(tree).join(".config"));
    }
    places
        .into_iter()
        .find(|config| config.is_file() && readable(config))
}

/// `6.12.95-amd64` in `vmlinuz-6.12.95-amd64`; not the image of a rescue entry.
fn release_in_name(image: &Path) -> Option<&str> {
    let release = image.file_name()?.to_str()?.strip_prefix("vmlinuz-")?;
    release
        .starts_with(|c: char| c.is_ascii_digit())
        .then_some(release)
}

fn readable(path: &Path) -> bool {
    File::open(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with these files, all empty.
    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        dir
    }

    #[test]
    fn kernels_are_found_where_they_are_kept() {
        let check = |files: &[&str], at: &str, image: &str, config: Option<&str>| {
            let dir = tree(files);
            let root = fs::canonicalize(dir.path()).unwrap();
            let expect = LocalFiles {
                image: root.join(image),
                config: config.map(|config| root.join(config)),
            };
            assert_eq!(at_path(&root.join(at)).unwrap(), expect, "{files:?} at `{at}`");
        };
        check(&["k"], "k", "k", None);
        check(&["vmlinuz", "config", "vmlinux"], "", "vmlinuz", Some("config"));
        check(
            &["vmlinuz-6.1", "config-6.1", "config-6.2"],
            "vmlinuz-6.1",
            "vmlinuz-6.1",
            Some("config-6.1"),
        );
        check(&["vmlinuz-6.1", "vmlinuz-rescue"], "", "vmlinuz-6.1", None);
        check(
            &["boot/vmlinuz-6.1", "boot/config-6.1"],
            "",
            "boot/vmlinuz-6.1",
            Some("boot/config-6.1"),
        );
        check(
            &["arch/x86/boot/bzImage", ".config", "vmlinux"],
            "",
            "arch/x86/boot/bzImage",
            Some(".config"),
        );
        check(&["vmlinux", ".config"], "", "vmlinux", Some(".config"));
    }

    #[test]
    fn a_missing_or_ambiguous_kernel_is_reported() {
        let check = |files: &[&str], at: &str, part: &str| {
            let dir = tree(files);
            let message = at_path(&dir.path().join(at)).unwrap_err().to_string();
            assert!(message.contains(part), "{files:?} at `{at}`: {message}");
        };
        check(&[], "gone", "no kernel at");
        check(&[], "", "no kernel image in");
        check(&["vmlinuz-6.1", "vmlinuz-6.2"], "", "vmlinuz-6.1, vmlinuz-6.2");
    }

    #[test]
    fn the_running_kernel_is_found_with_its_config() {
        let dir = tree(&[
            "boot/vmlinuz-6.1",
            "lib/modules/6.1/config",
            "usr/lib/modules/6.2/vmlinuz",
            "proc/config.gz",
        ]);
        let at = |path: &str| dir.path().join(path);
        let found = of_host(dir.path(), "6.1").unwrap();
        assert_eq!(
            found,
            LocalFiles {
                image: at("boot/vmlinuz-6.1"),
                config: Some(at("lib/modules/6.1/config"))
            }
        );
        let found = of_host(dir.path(), "6.2").unwrap();
        assert_eq!(
            found,
            LocalFiles {
                image: at("usr/lib/modules/6.2/vmlinuz"),
                config: Some(at("proc/config.gz"))
            }
        );
        let message = of_host(dir.path(), "6.3").unwrap_err().to_string();
        assert!(
            message.contains("boot/vmlinuz-6.3") && message.contains("apt:"),
            "{message}"
        );
    }

    #[test]
    fn a_packed_config_is_unpacked() {
        use std::io::Write;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.gz");
        let mut writer =
            flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        writer.write_all(b"CONFIG_X=y\n").unwrap();
        writer.finish().unwrap();
        assert_eq!(read_config(&path).unwrap(), b"CONFIG_X=y\n");
    }

    #[test]
    fn devices_and_sparse_giants_are_not_read() {
        assert!(matches!(
            read(Path::new("/dev/zero")),
            Err(LocalError::NoFile { .. })
        ));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("giant");
        File::create(&path).unwrap().set_len(MAX_IMAGE_BYTES + 1).unwrap();
        assert!(matches!(read(&path), Err(LocalError::TooLarge { .. })));
    }
}
