//! `cargo xtask tidy`: the project's rules that the compiler does not check.
//!
//! | rule | file |
//! |---|---|
//! | crates depend down the rows of ARCHITECTURE.md, and to the right within a row | `graph` |
//! | ARCHITECTURE.md names exactly the crates of the workspace | `graph` |
//! | one file chooses the backend of a run, and no other names one | `backends` |
//! | `unsafe` only in the crates that ARCHITECTURE.md allows it | `unsafe_code` |
//! | no host name of a package mirror or registry in any file | `hosts` |
//! | every relative link in a Markdown file resolves to a file | `links` |
//! | every contract that a comment cites is in docs/contracts.md, and each line there is cited | `contracts` |
//! | Rust files are not longer than [`LONG`] lines (a warning) | here |
//!
//! Each rule is a pure function from texts to [`Finding`]s.

mod architecture;
mod backends;
mod contracts;
mod graph;
mod hosts;
mod links;
mod unsafe_code;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Checks the project as a whole: crate graph, unsafe code, texts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

/// A file longer than this has more than one reason to change, or is a table.
const LONG: usize = 900;

/// A violation of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The place: a file (with a line), or a crate.
    pub(crate) at: String,
    /// The problem and how to fix it.
    pub(crate) what: String,
    /// Whether the finding is only a warning.
    pub(crate) warning: bool,
}

impl Finding {
    fn error(at: impl Into<String>, what: impl Into<String>) -> Finding {
        Finding {
            at: at.into(),
            what: what.into(),
            warning: false,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.warning { "warning" } else { "error" };
        write!(f, "{level}: {}: {}", self.at, self.what)
    }
}

/// Runs `cargo xtask tidy`.
pub(crate) fn exec(_args: &Args) -> Result<()> {
    let findings = findings()?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.iter().filter(|finding| !finding.warning).count() {
        0 => Ok(()),
        errors => bail!("tidy found {errors} errors"),
    }
}

fn findings() -> Result<Vec<Finding>> {
    let root = workspace::root();
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).context("read ARCHITECTURE.md")?;
    let architecture = architecture::parse(&text)?;
    let metadata = workspace::metadata()?;
    let files = workspace::tracked_files()?;

    let crates = graph::crates(&metadata);
    let backends = backends::names(crates.iter().map(|one| one.name.as_str()));
    let mut findings = graph::check(&crates, &architecture);
    findings.extend(unsafe_code::check(
        &unsafe_code::crates(&metadata, &files, root)?,
        &architecture.unsafe_crates,
    ));
    let mut cited = contracts::Citations::default();
    for file in &files {
        // Binary files hold no text to check.
        let Ok(text) = fs::read_to_string(root.join(file)) else {
            continue;
        };
        findings.extend(hosts::check(file, &text));
        findings.extend(backends::check(file, &text, &backends));
        findings.extend(links::check(file, &text, &|path: &Path| root.join(path).exists()));
        findings.extend(length(file, &text));
        cited.add(file, &text);
    }
    let contracts = fs::read_to_string(root.join(contracts::FILE)).context("read the contracts")?;
    findings.extend(cited.check(&contracts));
    Ok(findings)
}

fn length(file: &Path, text: &str) -> Option<Finding> {
    let lines = text.lines().count();
    let long = lines > LONG && file.extension().is_some_and(|extension| extension == "rs");
    long.then(|| Finding {
        at: file.display().to_string(),
        what: format!("{lines} lines; split it where it has a second reason to change"),
        warning: true,
    })
}

/// A path relative to the root, without `.` and `..`; `None` when it leads outside.
fn normal(path: &Path) -> Option<PathBuf> {
    use std::path::Component;
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::CurDir => {}
            Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_rust_files_are_warned_about() {
        let check = |file: &str, lines: usize, expect: bool| {
            let found = length(Path::new(file), &"x\n".repeat(lines));
            assert_eq!(
                found.map(|finding| finding.warning),
                expect.then_some(true),
                "{file} {lines}"
            );
        };
        check("a.rs", LONG, false);
        check("a.rs", LONG + 1, true);
        check("Cargo.lock", LONG + 1, false);
    }
}
