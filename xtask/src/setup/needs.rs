//! The programs and libraries that the project needs, each with a probe that runs or links it.

use std::process::Command;
use std::time::Duration;

use crate::process;

use super::version::Version;

/// A required program or library.
#[derive(Debug)]
pub(crate) struct Need {
    /// The program's or library's name.
    pub(crate) name: &'static str,
    /// The part of the project that uses it.
    pub(crate) purpose: &'static str,
    /// Probes this machine for it.
    pub(crate) probe: fn() -> Found,
    /// Debian's packages that provide it.
    pub(crate) packages: Packages,
}

/// A probe's result, with a description for the user.
#[derive(Debug)]
pub(crate) enum Found {
    /// The need is met.
    Yes(String),
    /// The program or library is missing, or too old.
    No(String),
}

/// The packages that provide a need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packages {
    /// All of these packages.
    Fixed(&'static [&'static str]),
    /// This package, if it has at least this version; otherwise its backport.
    AtLeast(&'static str, Version),
    /// The first of these packages that apt knows.
    FirstOf(&'static [&'static str]),
}

/// The oldest QEMU whose plugins can read registers, and whose single-threaded TCG switches vCPUs in time.
pub(crate) const QEMU: Version = Version(10, 0);

/// The oldest clang that compiles today's BPF schedulers.
pub(crate) const CLANG: Version = Version(17, 0);

/// The names of clang, in the order tried: the unversioned one, then Debian's, newest first.
const CLANGS: [&str; 7] = [
    "clang", "clang-22", "clang-21", "clang-20", "clang-19", "clang-18", "clang-17",
];

/// All needs.
pub(crate) const NEEDS: &[Need] = &[
    Need {
        name: "qemu",
        purpose: "the machines of the tcg backend",
        probe: qemu,
        packages: Packages::AtLeast("qemu-system-x86", QEMU),
    },
    Need {
        name: "qemu-arm",
        purpose: "aarch64 guests in tests",
        probe: || at_least("qemu-system-aarch64", QEMU),
        packages: Packages::AtLeast("qemu-system-arm", QEMU),
    },
    Need {
        name: "clang",
        purpose: "BPF programs",
        probe: || match clang() {
            Some((program, version)) => Found::Yes(format!("{program} {version}")),
            None => Found::No(format!(
                "no clang {CLANG} or later that compiles for BPF (or `BPF_CLANG` names another)"
            )),
        },
        packages: Packages::FirstOf(&[
            "clang-19", "clang-22", "clang-21", "clang-20", "clang-18", "clang-17",
        ]),
    },
    Need {
        name: "cc",
        purpose: "linking, and libbpf",
        probe: || runs("cc", &["--version"]),
        packages: Packages::Fixed(&["gcc", "libc6-dev"]),
    },
    Need {
        name: "c++",
        purpose: "libFuzzer",
        probe: || runs("c++", &["--version"]),
        packages: Packages::Fixed(&["g++"]),
    },
    Need {
        name: "make",
        purpose: "libbpf",
        probe: || runs("make", &["--version"]),
        packages: Packages::Fixed(&["make"]),
    },
    Need {
        name: "pkg-config",
        purpose: "finding the libraries below",
        probe: || runs("pkg-config", &["--version"]),
        packages: Packages::Fixed(&["pkg-config"]),
    },
    Need {
        name: "libelf",
        purpose: "libbpf",
        probe: || library("libelf"),
        packages: Packages::Fixed(&["libelf-dev"]),
    },
    Need {
        name: "zlib",
        purpose: "libbpf",
        probe: || library("zlib"),
        packages: Packages::Fixed(&["zlib1g-dev"]),
    },
    Need {
        name: "bpftool",
        purpose: "a guest's listing of its BPF programs and maps, in tests",
        probe: bpftool,
        packages: Packages::Fixed(&["bpftool"]),
    },
    Need {
        name: "stress-ng",
        purpose: "a program whose code is chosen by the CPU's model, in tests",
        probe: || runs("stress-ng", &["--version"]),
        packages: Packages::Fixed(&["stress-ng"]),
    },
    Need {
        name: "libseccomp",
        purpose: "published sched_ext schedulers",
        probe: || library("libseccomp"),
        packages: Packages::Fixed(&["libseccomp-dev"]),
    },
    Need {
        name: "protoc",
        purpose: "published sched_ext schedulers",
        probe: || runs("protoc", &["--version"]),
        packages: Packages::Fixed(&["protobuf-compiler"]),
    },
];

/// Deadline of a probe, which is a `--version` or a compilation of an empty file.
const PROBE_DEADLINE: Duration = Duration::from_secs(20);

/// The clang to compile BPF programs with, and its version: `BPF_CLANG` if that is set, as build
/// scripts do.
pub(crate) fn clang() -> Option<(String, Version)> {
    let chosen = std::env::var("BPF_CLANG").ok();
    let names = chosen.map_or_else(|| CLANGS.map(str::to_owned).to_vec(), |chosen| vec![chosen]);
    names.into_iter().find_map(|program| {
        let version = version_of(&program, &["--version"]).ok().flatten()?;
        (version >= CLANG && compiles_for_bpf(&program)).then_some((program, version))
    })
}

/// Distributions may leave out a back end.
fn compiles_for_bpf(clang: &str) -> bool {
    let mut command = Command::new(clang);
    command.args(["-target", "bpf", "-c", "-x", "c", "-o", "/dev/null", "/dev/null"]);
    process::output(&mut command, PROBE_DEADLINE).is_ok()
}

fn qemu() -> Found {
    let program = "qemu-system-x86_64";
    let found = at_least(program, QEMU);
    // A QEMU built without plugins does not know the option.
    match process::output(Command::new(program).args(["-plugin", "help"]), PROBE_DEADLINE) {
        Err(_) if matches!(found, Found::Yes(_)) => {
            Found::No(format!("{program} was built without TCG plugins"))
        }
        _ => found,
    }
}

fn at_least(program: &str, least: Version) -> Found {
    match version_of(program, &["--version"]) {
        Ok(Some(version)) if version >= least => Found::Yes(format!("{program} {version}")),
        Ok(Some(version)) => Found::No(format!("{program} {version} is older than {least}")),
        Ok(None) => Found::No(format!("{program} --version prints no version")),
        Err(why) => Found::No(why),
    }
}

/// Debian installs it in /usr/sbin, which is not in every user's `PATH`.
fn bpftool() -> Found {
    match runs("bpftool", &["version"]) {
        Found::No(_) => runs("/usr/sbin/bpftool", &["version"]),
        found => found,
    }
}

fn library(name: &str) -> Found {
    match version_of("pkg-config", &["--modversion", name]) {
        Ok(Some(version)) => Found::Yes(version.to_string()),
        Ok(None) | Err(_) => Found::No(format!("pkg-config does not know {name}")),
    }
}

fn runs(program: &str, args: &[&str]) -> Found {
    match version_of(program, args) {
        Ok(Some(version)) => Found::Yes(format!("{program} {version}")),
        Ok(None) => Found::Yes(program.to_owned()),
        Err(why) => Found::No(why),
    }
}

fn version_of(program: &str, args: &[&str]) -> Result<Option<Version>, String> {
    process::output(Command::new(program).args(args), PROBE_DEADLINE)
        .map(|text| Version::printed(&text))
        .map_err(|_| format!("`{program} {}` does not run", args.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_is_missing() {
        assert!(
            matches!(runs("/no/such/program", &["--version"]), Found::No(why) if why.contains("/no/such/program"))
        );
        assert!(matches!(library("no-such-library"), Found::No(_)));
    }

    #[test]
    fn names_of_needs_are_unique() {
        let mut names: Vec<_> = NEEDS.iter().map(|need| need.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NEEDS.len());
    }
}
