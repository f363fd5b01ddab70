//! One suite's kernels: index, choice, download. See the module above for the layout of the state directory.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::slice;

use super::packages::{self, Package, Part};
use super::program::{Programs, Run};
use super::{AptError, Fetched, Newest, machine};
use crate::deb;
use crate::progress::Progress;
use crate::request::AptRequest;

/// Gets the newest kernel that `request` admits, from the archive as it is now, unless `known` knows what the
/// package with the image (`name=version`) has in it.
///
/// `state` is this suite's state directory, and `lock` the held lock on it.
///
/// # Errors
/// [`AptError`] for the step that failed.
pub(crate) fn fetch<K>(
    programs: &Programs,
    state: &Path,
    lock: &File,
    request: &AptRequest,
    known: &dyn Fn(&str) -> Option<K>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Newest<K>, AptError> {
    let suite = Suite {
        programs,
        state,
        lock,
        request,
    };
    let fetched = suite.fetch(known, progress);
    match fetched {
        Err(source) if is_full(&source) => {
            // Without this the room would stay taken by half an index.
            let _ = fs::remove_dir_all(state);
            Err(AptError::Full {
                state: state.to_owned(),
                source: Box::new(source),
            })
        }
        other => other,
    }
}

/// Gets a file out of the newest version of any package of the suite that `request` names; its flavour tells the
/// architecture, no kernel is looked for.
///
/// # Errors
/// [`AptError`] for the step that failed.
pub(crate) fn fetch_member(
    programs: &Programs,
    state: &Path,
    lock: &File,
    request: &AptRequest,
    (package, member): (&str, &str),
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<u8>, AptError> {
    let suite = Suite {
        programs,
        state,
        lock,
        request,
    };
    suite.prepare()?;
    suite.update(progress)?;
    let package = suite.newest_package(package)?;
    let found = suite.download(slice::from_ref(&package), progress)?;
    let no_member = || AptError::NoMember {
        package: package.to_string(),
        member: member.to_owned(),
    };
    let (_, file) = found.first().ok_or_else(no_member)?;
    let mut members = read_package(file, &[member])?;
    suite.clear_downloads()?;
    members.remove(member).ok_or_else(no_member)
}

/// A kernel of the suite.
struct Candidate {
    release: String,
    parts: BTreeSet<Part>,
    /// The package with the image.
    leading: Package,
}

struct Suite<'a> {
    programs: &'a Programs,
    state: &'a Path,
    lock: &'a File,
    request: &'a AptRequest,
}

impl Suite<'_> {
    fn fetch<K>(
        &self,
        known: &dyn Fn(&str) -> Option<K>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Newest<K>, AptError> {
        self.prepare()?;
        self.update(progress)?;
        let newest = self.newest()?;
        let newest = match known(&newest.leading.to_string()) {
            Some(known) => Newest::Known(known),
            None => Newest::Fetched(self.files(&newest, progress)?),
        };
        // Three quarters of what apt keeps, and made again in half a second.
        let _ = fs::remove_file(self.state.join("cache/pkgcache.bin"));
        Ok(newest)
    }

    /// Makes the directories and writes settings and source.
    fn prepare(&self) -> Result<(), AptError> {
        for directory in ["sources", "lists/partial", "cache/archives/partial"] {
            make_dir(&self.state.join(directory))?;
        }
        let source = machine::source_for(self.programs, &self.request.suite)?;
        write(
            &self.state.join("sources/suite.sources"),
            &source.stanza_for(&self.request.suite, self.request.architecture()),
        )?;
        write(&self.state.join("apt.conf"), &self.settings())
    }

    /// Our settings. They come after the machine's, and undo those that would act on the machine.
    fn settings(&self) -> String {
        let state = self.state.display();
        let mut settings = format!(
            "Dir::State \"{state}\";\n\
             Dir::State::lists \"lists/\";\n\
             Dir::State::status \"/dev/null\";\n\
             Dir::Cache \"{state}/cache\";\n\
             Dir::Cache::pkgcache \"pkgcache.bin\";\n\
             Dir::Etc::sourcelist \"/dev/null\";\n\
             Dir::Etc::sourceparts \"{state}/sources\";\n\
             Dir::Etc::preferences \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\n\
             #clear APT::Update;\n\
             #clear Acquire::IndexTargets::deb::DEP-11;\n\
             #clear Acquire::IndexTargets::deb::Translations;\n\
             #clear Acquire::IndexTargets::deb::CNF;\n\
             APT::Update::Error-Mode \"any\";\n\
             APT::Sandbox::User \"root\";\n\
             APT::Status-Fd \"1\";\n\
             Acquire::Retries \"3\";\n\
             Acquire::http::Timeout \"30\";\n\
             Acquire::https::Timeout \"30\";\n"
        );
        if let Some(architecture) = self.request.architecture() {
            settings.push_str(&format!(
                "#clear APT::Architectures;\nAPT::Architecture \"{architecture}\";\n"
            ));
        }
        settings
    }

    /// Brings the suite's package index up to date; cheap when nothing has changed.
    fn update(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), AptError> {
        let report = |percent| Progress::Indexing {
            suite: self.request.suite.clone(),
            percent,
        };
        progress(report(0.0));
        let run = self.run(
            &self.programs.apt_get,
            ["-qq", "update"].map(Into::into).to_vec(),
            self.state,
        );
        match run.lines(&mut on_percent(|percent| progress(report(percent)))) {
            Err(failed @ AptError::Failed { .. }) => Err(AptError::NoIndex {
                suite: self.request.suite.clone(),
                mirror: self.mirror(),
                source: Box::new(failed),
            }),
            other => other,
        }
    }

    /// The newest admitted kernel.
    fn newest(&self) -> Result<Candidate, AptError> {
        let names = self.cache(&["pkgnames", "linux-"])?;
        let releases = packages::releases(&names, &self.request.flavour);
        if releases.is_empty() {
            let flavours: Vec<_> = packages::flavours(&names).into_iter().collect();
            return Err(self.no_kernel(
                &self.request.flavour,
                &format!("the flavours {}", listed(&flavours)),
            ));
        }
        let candidates = self.candidates(releases)?;
        let there: BTreeSet<_> = candidates
            .iter()
            .map(|candidate| candidate.leading.version.clone())
            .collect();
        let mut newest: Option<Candidate> = None;
        for candidate in candidates {
            if !self.request.admits(&candidate.leading.version) {
                continue;
            }
            newest = match newest {
                Some(best) if !self.is_newer(&candidate.leading.version, &best.leading.version)? => {
                    Some(best)
                }
                _ => Some(candidate),
            };
        }
        newest.ok_or_else(|| {
            let wanted = self.request.version.as_deref().unwrap_or_default();
            let there: Vec<_> = there.into_iter().collect();
            self.no_kernel(
                &format!("{wanted}-{}", self.request.flavour),
                &format!("the versions {}", listed(&there)),
            )
        })
    }

    /// The kernels of these releases, with the versions of their packages.
    fn candidates(&self, releases: BTreeMap<String, BTreeSet<Part>>) -> Result<Vec<Candidate>, AptError> {
        let leading = |parts: &BTreeSet<Part>| {
            if parts.contains(&Part::Binary) {
                Part::Binary
            } else {
                Part::Image
            }
        };
        let by_name: BTreeMap<String, (String, BTreeSet<Part>)> = releases
            .into_iter()
            .map(|(release, parts)| (leading(&parts).package(&release), (release, parts)))
            .collect();
        let candidate = |leading: Package| {
            let (release, parts) = by_name.get(&leading.name)?.clone();
            Some(Candidate {
                release,
                parts,
                leading,
            })
        };
        Ok(self
            .show(by_name.keys())?
            .into_iter()
            .filter_map(candidate)
            .collect())
    }

    /// Downloads packages until image and config are found.
    fn files(&self, kernel: &Candidate, progress: &mut dyn FnMut(Progress)) -> Result<Fetched, AptError> {
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
            for (package, file) in self.download(&self.packages(kernel, &batch)?, progress)? {
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

    /// The newest version of a package, by dpkg's ordering.
    fn newest_package(&self, name: &str) -> Result<Package, AptError> {
        let missing = || AptError::NoPackage {
            suite: self.request.suite.clone(),
            package: name.to_owned(),
        };
        let versions = match self.show([name.to_owned()].iter()) {
            Ok(versions) => versions,
            Err(AptError::Failed { .. }) => return Err(missing()),
            Err(error) => return Err(error),
        };
        let mut newest: Option<Package> = None;
        for package in versions.into_iter().filter(|package| package.name == name) {
            newest = match newest {
                Some(best) if !self.is_newer(&package.version, &best.version)? => Some(best),
                _ => Some(package),
            };
        }
        newest.ok_or_else(missing)
    }

    /// Some packages of a kernel, in its version.
    fn packages(&self, kernel: &Candidate, parts: &[Part]) -> Result<Vec<Package>, AptError> {
        let names: Vec<_> = parts.iter().map(|part| part.package(&kernel.release)).collect();
        let there = self.show(names.iter())?;
        let its = |name: &String| {
            let mut versions = there.iter().filter(|package| package.name == *name);
            let first = versions.clone().next();
            versions
                .find(|package| package.version == kernel.leading.version)
                .or(first)
                .cloned()
        };
        Ok(names.iter().filter_map(its).collect())
    }

    /// The package files, in the order asked for.
    fn download(
        &self,
        wanted: &[Package],
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<(Package, PathBuf)>, AptError> {
        self.clear_downloads()?;
        let directory = self.downloads();
        make_dir(&directory)?;
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
            .map_err(|source| AptError::File {
                action: "listing",
                path: directory.clone(),
                source,
            })?
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
        match fs::remove_dir_all(self.downloads()) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(AptError::File {
                action: "removing",
                path: self.downloads(),
                source,
            }),
            _ => Ok(()),
        }
    }

    /// What apt's index says about some packages.
    fn show<'n>(&self, names: impl Iterator<Item = &'n String>) -> Result<Vec<Package>, AptError> {
        let args: Vec<&str> = ["show"].into_iter().chain(names.map(String::as_str)).collect();
        Ok(packages::parse_show(&self.cache(&args)?))
    }

    fn cache(&self, args: &[&str]) -> Result<String, AptError> {
        self.run(
            &self.programs.apt_cache,
            args.iter().map(Into::into).collect(),
            self.state,
        )
        .output()
    }

    /// Whether the package version `a` is later than `b`, in the distribution's own ordering.
    fn is_newer(&self, a: &str, b: &str) -> Result<bool, AptError> {
        let run = Run {
            program: &self.programs.dpkg,
            args: ["--compare-versions", a, "gt", b].map(Into::into).to_vec(),
            cwd: self.state,
            lock: Some(self.lock),
            patience: self.programs.patience,
        };
        match run.output() {
            Ok(_) => Ok(true),
            Err(AptError::Failed { status, .. }) if status.code() == Some(1) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A program of apt under our settings.
    fn run<'r>(&'r self, program: &'r Path, args: Vec<OsString>, cwd: &'r Path) -> Run<'r> {
        let settings: [OsString; 2] = ["--config-file".into(), self.state.join("apt.conf").into()];
        let args = settings.into_iter().chain(args).collect();
        Run {
            program,
            args,
            cwd,
            lock: Some(self.lock),
            patience: self.programs.patience,
        }
    }

    fn no_kernel(&self, wanted: &str, available: &str) -> AptError {
        AptError::NoKernel {
            suite: self.request.suite.clone(),
            wanted: wanted.to_owned(),
            available: available.to_owned(),
        }
    }

    /// The address in the source that was written, for messages.
    fn mirror(&self) -> String {
        let written = fs::read_to_string(self.state.join("sources/suite.sources")).unwrap_or_default();
        let uri = written.lines().find_map(|line| line.strip_prefix("URIs: "));
        uri.unwrap_or("the machine's mirror").to_owned()
    }
}

/// The wanted members of a downloaded package.
fn read_package(file: &Path, wanted: &[&str]) -> Result<BTreeMap<String, Vec<u8>>, AptError> {
    let bytes = fs::read(file).map_err(|source| AptError::File {
        action: "reading",
        path: file.to_owned(),
        source,
    })?;
    deb::read_members(&bytes, wanted).map_err(|source| AptError::Package {
        package: file.to_owned(),
        source,
    })
}

/// Hands over each new percentage; apt repeats itself many times a second.
fn on_percent(mut report: impl FnMut(f32)) -> impl FnMut(&str) {
    let mut last = None;
    move |line| {
        let percent = status_percent(line);
        if let Some(percent) = percent.filter(|_| percent != last) {
            last = Some(percent);
            report(percent);
        }
    }
}

/// The percentage in a line of apt's status stream: `dlstatus:<item>:<percent>:<text>`.
fn status_percent(line: &str) -> Option<f32> {
    let (_, rest) = line.strip_prefix("dlstatus:")?.split_once(':')?;
    let percent: f32 = rest.split(':').next()?.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent)
}

/// Whether a program of apt failed for want of room on the disk.
fn is_full(error: &AptError) -> bool {
    match error {
        AptError::Failed { stderr, .. } => stderr.contains("No space left on device"),
        AptError::NoIndex { source, .. } => is_full(source),
        AptError::File { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
        _ => false,
    }
}

fn listed<S: AsRef<str>>(words: &[S]) -> String {
    if words.is_empty() {
        return "none".to_owned();
    }
    words.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}

fn make_dir(path: &Path) -> Result<(), AptError> {
    fs::create_dir_all(path).map_err(|source| AptError::File {
        action: "creating",
        path: path.to_owned(),
        source,
    })
}

fn write(path: &Path, text: &str) -> Result<(), AptError> {
    fs::write(path, text).map_err(|source| AptError::File {
        action: "writing",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_percentages_are_told_once() {
        let mut told = Vec::new();
        let mut on_line = on_percent(|percent| told.push(percent));
        for line in [
            "dlstatus:1:10:x",
            "noise",
            "dlstatus:1:10:x",
            "dlstatus:2:20:x",
            "dlstatus:2:20:y",
        ] {
            on_line(line);
        }
        drop(on_line);
        assert_eq!(told, [10.0, 20.0]);
    }

    #[test]
    fn percentages_are_taken_from_download_status_only() {
        let check = |line: &str, expect: Option<f32>| assert_eq!(status_percent(line), expect, "{line}");
        check("dlstatus:2:15.7327:Retrieving file 2 of 2", Some(15.7327));
        check("dlstatus:2:100.0000:x", Some(100.0));
        check("dlstatus:2:150:x", None);
        check("dlstatus:2", None);
        check("pmstatus:dpkg:10:x", None);
        check("Get:1 sid InRelease", None);
    }
}
