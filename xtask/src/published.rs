//! Schedulers as their authors publish them: built from crates.io, each version once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::{process, setup, workspace};

/// A scheduler and all that it depends on, on a slow machine.
const BUILD: Duration = Duration::from_secs(40 * 60);

/// A published scheduler, with its version pinned, since the project does not control its behaviour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    /// The crate, and its program.
    pub(crate) name: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
}

impl Published {
    /// Its program, once it is installed below `root`.
    pub(crate) fn program(self, root: &Path) -> PathBuf {
        self.directory(root).join("bin").join(self.name)
    }

    /// Its program below `root`, built if it is not there.
    pub(crate) fn ensure(self, root: &Path) -> Result<PathBuf> {
        let program = self.program(root);
        if !program.is_file() {
            eprintln!("building {} {}", self.name, self.version);
            process::run(&mut self.install(root), BUILD)?;
        }
        Ok(program)
    }

    /// The command that builds and installs it below `root`, unless that version is there. What all of them depend on is built
    /// once.
    pub(crate) fn install(self, root: &Path) -> Command {
        let Published { name, version } = self;
        let mut command = workspace::cargo(&format!("install {name} --version {version} --locked --root"));
        command
            .arg(self.directory(root))
            .env("CARGO_TARGET_DIR", root.join("build"));
        if let Some((clang, _)) = setup::clang() {
            command.env("BPF_CLANG", clang);
        }
        command
    }

    fn directory(self, root: &Path) -> PathBuf {
        root.join(format!("{}-{}", self.name, self.version))
    }
}
