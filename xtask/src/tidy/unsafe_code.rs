//! `unsafe` only where ARCHITECTURE.md allows it.
//!
//! In every other crate the roots of libraries and programs forbid it, so that the compiler does the checking. Their other files (tests,
//! examples, build scripts, each a root of its own) are searched for the word instead.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, TargetKind};

use super::Finding;

/// The sources of a crate that the rule checks.
#[derive(Debug, Clone)]
pub(crate) struct Crate {
    /// The crate's directory name.
    pub(crate) name: String,
    /// The roots of the crate's libraries and programs, with their texts.
    pub(crate) roots: Vec<(PathBuf, String)>,
    /// Rust files outside the roots' directories, with their texts.
    pub(crate) others: Vec<(PathBuf, String)>,
}

/// Reads the workspace's crates; `files` are the tracked ones, relative to `root`.
pub(crate) fn crates(metadata: &Metadata, files: &[PathBuf], root: &Path) -> Result<Vec<Crate>> {
    let read = |file: PathBuf| -> Result<(PathBuf, String)> {
        let text =
            fs::read_to_string(root.join(&file)).with_context(|| format!("read {}", file.display()))?;
        Ok((file, text))
    };
    let mut crates = Vec::new();
    for package in metadata.workspace_packages() {
        let Some(directory) = package.manifest_path.parent() else {
            continue;
        };
        let inside = directory
            .as_std_path()
            .strip_prefix(root)
            .unwrap_or(directory.as_std_path());
        let roots: Vec<PathBuf> = package
            .targets
            .iter()
            .filter(|target| target.kind.iter().any(compiled_into_the_product))
            .map(|target| {
                target
                    .src_path
                    .as_std_path()
                    .strip_prefix(root)
                    .unwrap_or(target.src_path.as_std_path())
                    .to_owned()
            })
            .collect();
        let covered = |file: &Path| {
            roots
                .iter()
                .filter_map(|path| path.parent())
                .any(|under| file.starts_with(under))
        };
        let rust = |file: &&PathBuf| {
            file.starts_with(inside) && file.extension().is_some_and(|extension| extension == "rs")
        };
        let others: Vec<PathBuf> = files
            .iter()
            .filter(rust)
            .filter(|file| !covered(file))
            .cloned()
            .collect();
        crates.push(Crate {
            name: directory.file_name().unwrap_or_default().to_owned(),
            roots: roots.into_iter().map(read).collect::<Result<_>>()?,
            others: others.into_iter().map(read).collect::<Result<_>>()?,
        });
    }
    Ok(crates)
}

fn compiled_into_the_product(kind: &TargetKind) -> bool {
    !matches!(
        kind,
        TargetKind::Test | TargetKind::Example | TargetKind::Bench | TargetKind::CustomBuild
    )
}

/// The violations of the rule.
pub(crate) fn check(crates: &[Crate], allowed: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for one in crates.iter().filter(|one| !allowed.contains(&one.name)) {
        for (path, text) in &one.roots {
            if !text.lines().any(|line| line.trim() == "#![forbid(unsafe_code)]") {
                let what = format!(
                    "the crate `{}` may not use unsafe code; add `#![forbid(unsafe_code)]`",
                    one.name
                );
                findings.push(Finding::error(path.display().to_string(), what));
            }
        }
        for (path, text) in &one.others {
            if let Some(line) = text.lines().position(is_unsafe) {
                let what = format!(
                    "unsafe code in the crate `{}`, which ARCHITECTURE.md does not allow",
                    one.name
                );
                findings.push(Finding::error(format!("{}:{}", path.display(), line + 1), what));
            }
        }
    }
    findings
}

/// Whether this line of Rust begins unsafe code; comments do not.
fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    code.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .any(|word| word == "unsafe")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, root: &str, other: &str) -> Crate {
        Crate {
            name: name.to_owned(),
            roots: vec![("src/lib.rs".into(), root.to_owned())],
            others: vec![("tests/a.rs".into(), other.to_owned())],
        }
    }

    #[test]
    fn a_crate_forbids_unsafe_code_or_is_allowed_it() {
        let check = |name: &str, root: &str, other: &str, expect: &[&str]| {
            let found = check(&[one(name, root, other)], &["mem".to_owned()]);
            assert_eq!(
                found
                    .iter()
                    .map(|finding| finding.at.as_str())
                    .collect::<Vec<_>>(),
                expect,
                "{name} {root} {other}"
            );
        };
        check("spec", "//! Doc.\n#![forbid(unsafe_code)]\n", "", &[]);
        check("spec", "//! Doc.\n", "", &["src/lib.rs"]);
        check("spec", "// #![forbid(unsafe_code)]\n", "", &["src/lib.rs"]);
        check(
            "spec",
            "#![forbid(unsafe_code)]\n",
            "fn f() {}\nunsafe { g() }\n",
            &["tests/a.rs:2"],
        );
        check("mem", "//! Doc.\n", "unsafe { g() }", &[]);
    }

    #[test]
    fn unsafe_code_is_told_from_talk_about_it() {
        for line in [
            "unsafe { f() }",
            "let a = unsafe{f()};",
            "pub unsafe fn f() {}",
            "unsafe impl Send for A {}",
            "#[unsafe(no_mangle)]",
        ] {
            assert!(is_unsafe(line), "{line}");
        }
        for line in [
            "// unsafe { f() }",
            "#![forbid(unsafe_code)]",
            "let not_unsafe = 1;",
            "f(); // not unsafe",
            "",
        ] {
            assert!(!is_unsafe(line), "{line}");
        }
    }
}
