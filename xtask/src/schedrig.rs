//! The product's command line, as built from this workspace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// Fetching a kernel, on a slow mirror.
const FETCH: Duration = Duration::from_secs(600);

/// `cargo schedrig` without cargo in between, built by `cargo build`.
pub(crate) fn command(target: &Path) -> Command {
    let mut command = Command::new(target.join("debug/cargo-schedrig"));
    command.arg("schedrig").current_dir(workspace::root());
    command
}

/// Makes sure of a kernel, and gives the path of its uncompressed image.
pub(crate) fn fetch_kernel(target: &Path, request: &str) -> Result<PathBuf> {
    let answer = process::output(command(target).args(["kernel", "fetch", request]), FETCH)?;
    vmlinux_in(&answer)
        .with_context(|| format!("`cargo schedrig kernel fetch {request}` names no vmlinux: {answer}"))
}

/// The first word that is an absolute path of a file named `vmlinux`.
fn vmlinux_in(answer: &str) -> Option<PathBuf> {
    answer
        .split_whitespace()
        .map(PathBuf::from)
        .find(|path| path.is_absolute() && path.ends_with("vmlinux"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_path_is_found_in_the_answer() {
        let check = |answer: &str, expect: Option<&str>| {
            assert_eq!(vmlinux_in(answer), expect.map(PathBuf::from), "{answer}");
        };
        check(
            "7.2.13  sched_ext\n  /cache/7.2.13-ab/vmlinux\n",
            Some("/cache/7.2.13-ab/vmlinux"),
        );
        check("vmlinux: /cache/7.2.13-ab/vmlinuz", None);
        check("", None);
    }
}
