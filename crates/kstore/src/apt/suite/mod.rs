//! One suite: from a request to the newest package that answers it, and the files in that package.
//!
//! ```text
//! settings ─► index ─► choose ─► download
//! apt's       up to    which     the package files,
//! directory   date     version   unpacked
//! ```
//!
//! [`Suite`] is what all steps share; each step is a file of this folder. Only [`choose`] decides anything, and it
//! runs no program: it reads the suite through [`choose::PackageIndex`].

mod choose;
mod download;
mod index;
mod settings;
mod status;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::Path;

use super::program::{Programs, Run};
use super::{AptError, Newest};
use crate::progress::Progress;
use crate::request::AptRequest;

/// Gets the newest kernel that `request` admits, from the archive as it is now. Nothing is downloaded if `known`
/// returns a kernel for the package with that image (`name=version`).
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
    match suite.fetch(known, progress) {
        Err(source) if is_full(&source) => {
            // Otherwise half an index would keep its space.
            let _ = fs::remove_dir_all(state);
            Err(AptError::Full {
                state: state.to_owned(),
                source: Box::new(source),
            })
        }
        other => other,
    }
}

/// Gets a file out of the newest version of any package of the suite that `request` names. The request's flavour
/// selects the architecture; no kernel is looked for.
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
    let package = choose::newest_package(&suite, &request.suite, package)?;
    suite.member(&package, member, progress)
}

/// The inputs of every step.
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
        let newest = choose::newest_kernel(self, self.request)?;
        let newest = match known(&newest.leading.to_string()) {
            Some(known) => Newest::Known(known),
            None => Newest::Fetched(self.kernel_files(&newest, progress)?),
        };
        self.drop_cache();
        Ok(newest)
    }

    /// An invocation of one of apt's programs under this suite's settings.
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
}

/// Whether a program of apt failed because the disk is full.
fn is_full(error: &AptError) -> bool {
    match error {
        AptError::Failed { stderr, .. } => stderr.contains("No space left on device"),
        AptError::NoIndex { source, .. } => is_full(source),
        AptError::File { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
        _ => false,
    }
}

/// Words for a message, separated by commas.
fn listed<S: AsRef<str>>(words: &[S]) -> String {
    if words.is_empty() {
        return "none".to_owned();
    }
    words.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ")
}
