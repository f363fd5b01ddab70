//! The machine's apt: queried for facts, and run according to a plan.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process;

use super::needs::{Need, Packages};
use super::plan::{Facts, Install, Plan, SOURCE_FILE, suite_of};
use super::source::{self, Archive, Target};

/// Deadline of queries, which read local files only.
const QUESTION: Duration = Duration::from_secs(60);
/// Deadline of fetching the indexes, on a slow mirror.
const UPDATE: Duration = Duration::from_secs(300);
/// Deadline of fetching and unpacking some hundred megabytes.
const INSTALL: Duration = Duration::from_secs(900);

/// A machine with apt.
#[derive(Debug)]
pub(crate) struct Machine {
    /// Whether this process may install packages.
    pub(crate) is_root: bool,
    /// `VERSION_CODENAME`, where `ID` is `debian`.
    debian: Option<String>,
}

impl Machine {
    /// This machine, if it has apt.
    pub(crate) fn detect() -> Result<Option<Machine>> {
        if process::output(Command::new("apt-get").arg("--version"), QUESTION).is_err() {
            return Ok(None);
        }
        let text = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
        Ok(Some(Machine {
            is_root: rustix::process::geteuid().is_root(),
            debian: debian_in(&text),
        }))
    }

    /// The facts for a plan of `missing`.
    pub(crate) fn facts(&self, missing: &[&Need]) -> Result<Facts> {
        let names: Vec<&str> = missing.iter().flat_map(|need| names(&need.packages)).collect();
        let policy = process::output(Command::new("apt-cache").arg("policy").args(names), QUESTION)?;
        let answer = process::output(
            Command::new("apt-get").args(["indextargets", "--no-release-info"]),
            QUESTION,
        )?;
        let targets = source::targets(&answer);
        let suite = self.debian.as_deref().map(suite_of);
        Ok(Facts {
            debian: self.debian.clone(),
            candidates: candidates_in(&policy),
            archive: self
                .debian
                .as_ref()
                .and_then(|codename| source::choose(&targets, codename))
                .map(archive_of),
            has_backports: suite.is_some_and(|suite| source::choose(&targets, &suite).is_some()),
        })
    }

    /// Fetches apt's indexes. Failure is no error here: an unrelated source may be broken, and a
    /// broken one of ours fails at installation.
    pub(crate) fn update(&self) {
        if let Err(error) = process::run(apt_get().arg("update"), UPDATE) {
            println!("warning: {error:#}");
        }
    }

    /// Executes the plan.
    pub(crate) fn execute(&self, plan: &Plan) -> Result<()> {
        if let Some(source) = &plan.source {
            println!("writing {SOURCE_FILE}");
            fs::write(SOURCE_FILE, source).with_context(|| format!("write {SOURCE_FILE}"))?;
            self.update();
        }
        for install in plan.installs() {
            self.install(&install)?;
        }
        Ok(())
    }

    fn install(&self, install: &Install) -> Result<()> {
        let run = |args: &[String]| {
            println!("apt-get {}", args.join(" "));
            process::run(apt_get().args(args), INSTALL)
        };
        let Err(_) = run(&install.args) else { return Ok(()) };
        // An index that is older than the archive names files that are gone.
        self.update();
        match (run(&install.args), &install.otherwise) {
            (Err(_), Some(otherwise)) => run(otherwise),
            (outcome, _) => outcome,
        }
    }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // Another apt may be at work, as on a machine that has just been started.
    command
        .args(["--quiet=2", "-o", "DPkg::Lock::Timeout=120"])
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn names(packages: &Packages) -> Vec<&'static str> {
    match packages {
        Packages::Fixed(names) | Packages::FirstOf(names) => names.to_vec(),
        Packages::AtLeast(name, _) => vec![name],
    }
}

fn archive_of(target: &Target) -> Archive {
    let (file, number) = &target.entry;
    let text = fs::read_to_string(file).unwrap_or_default();
    let deb822 = file.extension().is_some_and(|extension| extension == "sources");
    let read = if deb822 {
        source::signed_by_in_stanzas
    } else {
        source::signed_by_in_lines
    };
    Archive {
        uri: target.uri.clone(),
        signed_by: read(&text, *number),
    }
}

fn debian_in(os_release: &str) -> Option<String> {
    let value = |name: &str| {
        let value = os_release
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim_matches(['"', '\'']))
    };
    (value("ID") == Some("debian"))
        .then(|| value("VERSION_CODENAME").map(str::to_owned))
        .flatten()
}

/// The candidates in the output of `apt-cache policy`.
fn candidates_in(policy: &str) -> BTreeMap<String, String> {
    let mut candidates = BTreeMap::new();
    let mut package = None;
    for line in policy.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            package = Some(name.to_owned());
        } else if let Some(version) = line
            .trim()
            .strip_prefix("Candidate: ")
            .filter(|version| *version != "(none)")
            && let Some(name) = package.take()
        {
            candidates.insert(name, version.to_owned());
        }
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_read_and_packages_without_one_left_out() {
        let policy = "qemu-system-x86:\n  Installed: (none)\n  Candidate: 1:7.2+dfsg-7\n  Version table:\n     1:7.2+dfsg-7 500\n        \
                      500 http://m.example/debian bookworm/main amd64 Packages\nclang-22:\n  Installed: (none)\n  Candidate: (none)\n  Version table:\nmake:\n  Installed: 4.3\n  Candidate: 4.3\n";
        let expect = [("make", "4.3"), ("qemu-system-x86", "1:7.2+dfsg-7")];
        assert_eq!(
            candidates_in(policy),
            expect
                .map(|(name, version)| (name.to_owned(), version.to_owned()))
                .into()
        );
        assert!(candidates_in("").is_empty());
    }

    #[test]
    fn debian_is_told_from_what_derives_from_it() {
        let check =
            |text: &str, expect: Option<&str>| assert_eq!(debian_in(text).as_deref(), expect, "{text}");
        check("ID=debian\nVERSION_CODENAME=bookworm\n", Some("bookworm"));
        check("VERSION_CODENAME=\"trixie\"\nID=\"debian\"\n", Some("trixie"));
        check("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n", None);
        check("ID=debian\n", None);
    }
}
