//! One program, built and copied to the outer crate's `OUT_DIR` for inclusion.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fmt, fs, io};

use crate::{command, inputs};

/// The build of a workspace program for embedding.
#[derive(Debug, Clone)]
pub struct Build {
    pub(crate) package: String,
    pub(crate) kind: Kind,
}

/// The kind of linked file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A shared object for a C program to load.
    Cdylib,
    /// A statically linked program: it runs without an interpreter or libraries.
    StaticBinary,
}

/// Why a program could not be built or embedded.
#[derive(thiserror::Error)]
pub enum BuildError {
    /// The code does not run in a build script.
    #[error("read {0} from the environment; this crate works in build scripts only")]
    NotABuildScript(&'static str),
    /// The second cargo did not start.
    #[error("start {}", cargo.display())]
    Start {
        /// The program that cargo names in `CARGO`.
        cargo: PathBuf,
        /// The failed system call.
        #[source]
        source: io::Error,
    },
    /// The second cargo failed; its reason is on standard error.
    #[error(
        "build {package} for embedding ({status}); the compiler's messages are above, and `{command}` repeats it"
    )]
    Failed {
        /// The package.
        package: String,
        /// Cargo's exit status.
        status: String,
        /// The command as a shell would take it.
        command: String,
    },
    /// Cargo succeeded but named no file of the wanted kind.
    #[error("cargo built {package} but named no {kind} file; does its manifest have such a target?")]
    NoArtifact {
        /// The package.
        package: String,
        /// `cdylib` or `bin`.
        kind: &'static str,
    },
    /// A file could not be read or copied.
    #[error("{doing} {}", path.display())]
    File {
        /// The failed action.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The failed system call.
        #[source]
        source: io::Error,
    },
}

/// The readable message with its causes, since a build script's `main` prints its error with `Debug`.
impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Build {
    /// The shared object of `package`, whose manifest has `crate-type = ["cdylib"]`.
    pub fn cdylib(package: &str) -> Build {
        Build {
            package: package.to_owned(),
            kind: Kind::Cdylib,
        }
    }

    /// The program of `package` (the binary has the package's name), linked statically.
    pub fn static_binary(package: &str) -> Build {
        Build {
            package: package.to_owned(),
            kind: Kind::StaticBinary,
        }
    }

    /// Builds the program, sets the environment variable `variable` to its path for the outer crate, and makes cargo
    /// run this script again when one of the program's sources changes.
    pub fn embed(&self, variable: &str) -> Result<(), BuildError> {
        let here = PathBuf::from(variable_of_cargo("CARGO_MANIFEST_DIR")?);
        let out = PathBuf::from(variable_of_cargo("OUT_DIR")?);
        let built = command::run(self, &here, &target_dir(&out, &self.package))?;
        for path in inputs::of(&built, &here)? {
            println!("cargo::rerun-if-changed={}", path.display());
        }
        let copy = out.join(built.file_name().unwrap_or(built.as_os_str()));
        fs::copy(&built, &copy).map_err(|source| BuildError::File {
            doing: "copy",
            path: built,
            source,
        })?;
        println!("cargo::rustc-env={variable}={}", copy.display());
        Ok(())
    }
}

fn variable_of_cargo(name: &'static str) -> Result<OsString, BuildError> {
    env::var_os(name).ok_or(BuildError::NotABuildScript(name))
}

/// Below the outer target directory (the one with cargo's cache tag), so that profiles share it and `cargo clean`
/// removes it; never the outer directory itself, which the outer cargo has locked.
fn target_dir(out: &Path, package: &str) -> PathBuf {
    out.ancestors()
        .find(|dir| dir.join("CACHEDIR.TAG").is_file())
        .unwrap_or(out)
        .join("embedded")
        .join(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_its_cause() {
        let error = BuildError::Start {
            cargo: "/no/cargo".into(),
            source: io::Error::other("gone"),
        };
        assert_eq!(format!("{error:?}"), "start /no/cargo: gone");
    }

    #[test]
    fn without_a_tagged_ancestor_the_out_directory_serves() {
        let dir = target_dir(Path::new("/nowhere/out"), "p");
        assert_eq!(dir, Path::new("/nowhere/out/embedded/p"));
    }
}
