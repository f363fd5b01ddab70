//! The second cargo: its arguments, its environment, and the files it reports.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::BuildError;
use crate::build::{Build, Kind};

/// The machines that execute the programs are x86-64, whatever the host is. Naming the target also keeps the
/// flags below away from build scripts and procedural macros.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The profile: small, fast, and the same for every outer profile. In neither program can a panic unwind.
const PROFILE: [&str; 6] = [
    "profile.release.opt-level=2",
    "profile.release.debug=false",
    "profile.release.strip=\"symbols\"",
    "profile.release.panic=\"abort\"",
    "profile.release.lto=\"thin\"",
    "profile.release.codegen-units=1",
];

/// The `CARGO_*` variables that the second cargo inherits: paths, network settings, and the shared job server.
const KEPT: [&str; 6] = [
    "CARGO_HOME",
    "CARGO_MAKEFLAGS",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_SOURCE_",
];

/// Variables of the outer build that are not cargo's own by name.
const DROPPED: [&str; 12] = [
    "RUSTFLAGS",
    "RUSTDOCFLAGS",
    "RUSTC_WRAPPER",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_LINKER",
    "TARGET",
    "HOST",
    "PROFILE",
    "OPT_LEVEL",
    "DEBUG",
    "NUM_JOBS",
    "OUT_DIR",
];

/// The separator of flags in `CARGO_ENCODED_RUSTFLAGS`.
const FLAG_SEPARATOR: &str = "\u{1f}";

/// Builds `build` as seen from the directory `here`, into `target_dir`; returns the built file.
pub(crate) fn run(build: &Build, here: &Path, target_dir: &Path) -> Result<PathBuf, BuildError> {
    let cargo = PathBuf::from(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let mut command = Command::new(&cargo);
    command
        .args(arguments(build))
        .arg("--target-dir")
        .arg(target_dir)
        .current_dir(here)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    for (name, _) in env::vars_os().filter(|(name, _)| is_outer(name)) {
        command.env_remove(name);
    }
    // Set even when empty: it overrides configuration files.
    let flags = [rustflags(build.kind), anonymous_paths(here)].concat();
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join(FLAG_SEPARATOR));

    let output = command
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .map_err(|source| BuildError::Start { cargo, source })?;
    if !output.status.success() {
        return Err(BuildError::Failed {
            package: build.package.clone(),
            status: output.status.to_string(),
            command: format!("cargo {}", arguments(build).join(" ")),
        });
    }
    let kind = kind_name(build.kind);
    let messages = String::from_utf8_lossy(&output.stdout);
    artifact_of(&messages, kind).ok_or_else(|| BuildError::NoArtifact {
        package: build.package.clone(),
        kind,
    })
}

fn arguments(build: &Build) -> Vec<&str> {
    let mut arguments = vec!["build", "--release", "--locked", "--target", TARGET];
    arguments.extend(["--message-format", "json-render-diagnostics"]);
    for setting in PROFILE {
        arguments.extend(["--config", setting]);
    }
    arguments.extend(["--package", &build.package]);
    match build.kind {
        Kind::Cdylib => arguments.push("--lib"),
        Kind::StaticBinary => arguments.extend(["--bin", &build.package]),
    }
    arguments
}

fn rustflags(kind: Kind) -> Vec<String> {
    match kind {
        Kind::Cdylib => Vec::new(),
        Kind::StaticBinary => vec!["-Ctarget-feature=+crt-static".to_owned()],
    }
}

/// Keeps the paths of this machine out of the program: messages of panics name source files, and a guest that
/// begins with other bytes is another execution. The same sources and compiler make the same program anywhere.
fn anonymous_paths(here: &Path) -> Vec<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let root = here
        .ancestors()
        .find(|directory| directory.join("Cargo.lock").is_file());
    [(home.as_deref(), "/cargo"), (root, "/source")]
        .into_iter()
        .filter_map(|(from, to)| Some(format!("--remap-path-prefix={}={to}", from?.display())))
        .collect()
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Cdylib => "cdylib",
        Kind::StaticBinary => "bin",
    }
}

/// Whether this variable describes the outer build. `CARGO` and `RUSTC` do not: they name the tools.
fn is_outer(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let of_cargo = name.starts_with("CARGO_") && !KEPT.iter().any(|kept| name.starts_with(kept));
    of_cargo || name.starts_with("DEP_") || DROPPED.contains(&&*name)
}

/// The first file of the first target of that kind, from cargo's messages (one JSON object a line). Of the
/// packages in the build only the wanted one has such a target.
fn artifact_of(messages: &str, kind: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact")
        .filter(|message| {
            let kinds = message["target"]["kind"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|one| one == kind))
        })
        .find_map(|message| Some(PathBuf::from(message["filenames"][0].as_str()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_builds_variables_stay_outside() {
        let check = |name: &str, outer: bool| assert_eq!(is_outer(OsStr::new(name)), outer, "{name}");
        check("CARGO_ENCODED_RUSTFLAGS", true);
        check("CARGO_BUILD_TARGET", true);
        check("CARGO_PKG_NAME", true);
        check("CARGO_TARGET_DIR", true);
        check("RUSTC_WORKSPACE_WRAPPER", true);
        check("RUSTFLAGS", true);
        check("OUT_DIR", true);
        check("DEP_Z_ROOT", true);
        check("CARGO", false);
        check("CARGO_HOME", false);
        check("CARGO_NET_OFFLINE", false);
        check("CARGO_MAKEFLAGS", false);
        check("RUSTC", false);
        check("PATH", false);
        check("RUSTUP_TOOLCHAIN", false);
    }

    #[test]
    fn the_artifact_is_the_file_of_the_wanted_kind() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"kind":["lib"]},"filenames":["/t/libdep.rlib"]}"#,
            "\nnot json\n",
            r#"{"reason":"compiler-artifact","target":{"kind":["cdylib"]},"filenames":["/t/libp.so"]}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(artifact_of(messages, "cdylib"), Some("/t/libp.so".into()));
        assert_eq!(artifact_of(messages, "bin"), None);
    }

    #[test]
    fn the_checkouts_own_path_is_kept_out() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("Cargo.lock"), "").unwrap();
        let package = dir.path().join("crates/agent");
        let expected = format!("--remap-path-prefix={}=/source", dir.path().display());
        assert!(anonymous_paths(&package).contains(&expected));
    }

    #[test]
    fn a_binary_is_static_and_named_like_its_package() {
        let build = Build::static_binary("agent");
        assert!(arguments(&build).ends_with(&["--package", "agent", "--bin", "agent"]));
        assert_eq!(rustflags(build.kind), ["-Ctarget-feature=+crt-static"]);
    }
}
