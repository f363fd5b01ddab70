//! `cargo schedrig doctor`: checks what this host can do, each with the fix.

use std::path::Path;
use std::process::{Command, Stdio};

use clap::Args;
use saves::Store;
use schedrig::{Backend, SelfTest};
use serde::Serialize;

use crate::exit::Exit;
use crate::page::outln;

/// Check what this host can do, and print the fix for what it cannot.
///
/// Exit code 69 if something required is missing.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Print the findings as JSON.
    #[arg(long)]
    json: bool,
}

/// One thing that was checked.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    ok: bool,
    /// Without it no test runs.
    needed: bool,
    found: String,
    /// What to do about it; `None` where nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

pub(crate) fn execute(doctor: &Doctor) -> anyhow::Result<Exit> {
    let backends = schedrig::backends();
    let mut findings: Vec<Finding> = backends
        .iter()
        .map(|backend| executor(backend.as_ref()))
        .collect();
    findings.extend([warm_forks(), clang(), kernels(), apt(), kvm()]);
    if doctor.json {
        outln!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        for finding in &findings {
            let mark = if finding.ok {
                "ok "
            } else if finding.needed {
                "NO "
            } else {
                "-  "
            };
            outln!("{mark} {:10} {}", finding.what, finding.found);
            if let Some(fix) = &finding.fix {
                outln!("    {:10} → {fix}", "");
            }
        }
    }
    let fatal = findings.iter().any(|finding| finding.needed && !finding.ok);
    Ok(if fatal { Exit::Unavailable } else { Exit::Pass })
}

/// What executes a backend's machines.
fn executor(backend: &dyn Backend) -> Finding {
    let probed = backend.probe();
    Finding {
        what: backend.caps().backend.to_string(),
        ok: probed.is_ok(),
        needed: true,
        // The error says what to install.
        found: probed.map_or_else(
            |error| error.to_string(),
            |executor| format!("{} {}", executor.path.display(), executor.version),
        ),
        fix: None,
    }
}

/// Whether runs are forked from a warm machine here, as the first run has found out.
fn warm_forks() -> Finding {
    let tested = Store::open_default().map(|store| SelfTest::load(store.directory()));
    let (ok, found) = match tested {
        Err(error) => (false, error.to_string()),
        Ok(None) => (
            true,
            "not tried yet: the first run finds out whether machines can be duplicated".to_owned(),
        ),
        Ok(Some(SelfTest { fault: None, .. })) => (
            true,
            "runs are duplicates of a warm machine; in the self-test one executed what a cold one does"
                .to_owned(),
        ),
        Ok(Some(SelfTest {
            fault: Some(fault), ..
        })) => (false, format!("runs are cold, which is slower: {fault}")),
    };
    Finding {
        what: "warm forks".to_owned(),
        ok,
        needed: false,
        found,
        fix: None,
    }
}

fn clang() -> Finding {
    let names = [
        "clang", "clang-22", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17",
    ];
    let found = names.iter().find_map(|name| {
        let output = Command::new(name)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let first = String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned();
        Some(format!("{name}: {first}"))
    });
    let ok = found.is_some();
    let fix = (!ok).then(|| {
        "cargo xtask setup, or install clang 17 or later (only for building BPF schedulers)".to_owned()
    });
    let found = found.unwrap_or_else(|| "none".to_owned());
    Finding {
        what: "clang".to_owned(),
        ok,
        needed: false,
        found,
        fix,
    }
}

fn kernels() -> Finding {
    let what = "kernels".to_owned();
    let fetch = format!("cargo schedrig kernel fetch {}", schedrig::DEFAULT_KERNEL);
    match kstore::Store::open_default().and_then(|store| store.list()) {
        Ok(entries) if entries.is_empty() => {
            let found = "none stored yet; a run fetches what it needs".to_owned();
            Finding {
                what,
                ok: false,
                needed: false,
                found,
                fix: Some(fetch),
            }
        }
        Ok(entries) => {
            let releases: Vec<&str> = entries.iter().map(|entry| entry.release.as_str()).collect();
            Finding {
                what,
                ok: true,
                needed: false,
                found: releases.join(", "),
                fix: None,
            }
        }
        Err(error) => Finding {
            what,
            ok: false,
            needed: true,
            found: format!("{error:#}"),
            fix: Some(fetch),
        },
    }
}

fn apt() -> Finding {
    let ok = Path::new("/usr/bin/apt-get").exists();
    let found = if ok {
        "present: can fetch `apt:` kernels"
    } else {
        "missing: cannot fetch `apt:` kernels"
    };
    let fix = (!ok).then(|| "use `path:<vmlinuz or directory>` or `host`".to_owned());
    Finding {
        what: "apt".to_owned(),
        ok,
        needed: false,
        found: found.to_owned(),
        fix,
    }
}

fn kvm() -> Finding {
    let finding = |ok, found: &str| Finding {
        what: "kvm".to_owned(),
        ok,
        needed: false,
        found: found.to_owned(),
        fix: None,
    };
    if !Path::new("/dev/kvm").exists() {
        finding(false, "missing; the deterministic backend does not need it")
    } else if Path::new("/sys/module/kvm_pvm").exists() {
        finding(
            false,
            "emulated (kvm_pvm): cannot run a stock kernel; the deterministic backend does not need it",
        )
    } else {
        finding(
            true,
            "/dev/kvm present; the deterministic backend does not use it",
        )
    }
}
