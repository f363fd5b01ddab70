//! The product's command line, as built from this workspace.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// Deadline of fetching a kernel, on a slow mirror.
const FETCH: Duration = Duration::from_secs(600);

/// `cargo schedrig` without cargo in between, built by `cargo build`.
pub(crate) fn command(target: &Path) -> Command {
    let mut command = Command::new(target.join("debug/cargo-schedrig"));
    command.arg("schedrig").current_dir(workspace::root());
    command
}

/// Fetches a kernel unless it is cached, and returns the path of its uncompressed image. Progress goes to standard error.
pub(crate) fn fetch_kernel(target: &Path, request: &str) -> Result<PathBuf> {
    let mut fetch = command(target);
    fetch.args(["kernel", "fetch", "--if-missing", "--json", request]);
    let answer = process::answer(&mut fetch, FETCH)?;
    let files: serde_json::Value =
        serde_json::from_str(&answer).with_context(|| format!("read `{answer}`"))?;
    let path = files.get("vmlinux").and_then(serde_json::Value::as_str);
    Ok(path
        .with_context(|| format!("`{}` names no vmlinux", process::shown(&fetch)))?
        .into())
}
