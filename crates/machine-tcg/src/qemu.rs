//! The QEMU of this host: its version, and whether it can execute the machines.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::memfd;
use crate::process::Process;

/// The program where none is configured, looked up on the search path.
pub(crate) const DEFAULT_PROGRAM: &str = "qemu-system-x86_64";

/// The oldest version that can. Before it, plugins cannot read registers (9.x: no control registers), and a busy
/// vCPU keeps the others waiting ten times longer.
const OLDEST: (u32, u32) = (10, 0);

/// How long `--help` may take, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(20);

/// A QEMU that can execute the machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    /// The program.
    pub program: PathBuf,
    /// Its version as it prints it, with the packager's addition.
    pub version: String,
}

/// There is no QEMU that can execute the machines.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// The program is not there.
    #[error("there is no {}; install QEMU 10 or later with `cargo xtask setup`", program.display())]
    NotFound {
        /// The program that was looked for.
        program: PathBuf,
    },
    /// The program cannot be run.
    #[error("run {}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// The failed system call.
        #[source]
        source: io::Error,
    },
    /// The program is no QEMU.
    #[error("{} --help prints {answer:?}: it is no QEMU; give the path of one", program.display())]
    NotQemu {
        /// The program.
        program: PathBuf,
        /// The first line of its answer.
        answer: String,
    },
    /// The version is below 10.0.
    #[error(
        "{} is version {version}, and 10.0 is the oldest that runs deterministically with plugins; install a later one with `cargo xtask setup`",
        program.display()
    )]
    TooOld {
        /// The program.
        program: PathBuf,
        /// Its version.
        version: String,
    },
    /// Plugins were left out of the build.
    #[error(
        "{} was built without plugin support; install a QEMU that has it with `cargo xtask setup`",
        program.display()
    )]
    NoPlugins {
        /// The program.
        program: PathBuf,
    },
}

impl Qemu {
    /// Asks `program` (`None`: the one that a machine would use) for its version and abilities. Takes some
    /// 30 ms, and never much longer than 20 s.
    pub fn probe(program: Option<&Path>) -> Result<Qemu, QemuError> {
        let program = program.unwrap_or(Path::new(DEFAULT_PROGRAM)).to_owned();
        match help(&program) {
            Ok(help) => judge(program, &help),
            Err(source) if source.kind() == io::ErrorKind::NotFound => Err(QemuError::NotFound { program }),
            Err(source) => Err(QemuError::Run { program, source }),
        }
    }
}

fn help(program: &Path) -> io::Result<String> {
    let output = memfd::empty("help")?;
    let mut command = Command::new(program);
    command
        .arg("--help")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(Stdio::null());
    Process::start(command, Vec::new())?.kill_after(PATIENCE);
    Ok(String::from_utf8_lossy(&memfd::content(&output)?).into_owned())
}

fn judge(program: PathBuf, help: &str) -> Result<Qemu, QemuError> {
    let first = help.lines().next().unwrap_or_default();
    let version = first.strip_prefix("QEMU emulator version ").and_then(|version| {
        let mut numbers = version.split(['.', ' ']);
        let pair = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
        Some((version.to_owned(), pair))
    });
    let Some((version, numbers)) = version else {
        let answer = first.chars().take(100).collect();
        return Err(QemuError::NotQemu { program, answer });
    };
    if numbers < OLDEST {
        return Err(QemuError::TooOld { program, version });
    }
    if !help.lines().any(|line| line.starts_with("-plugin ")) {
        return Err(QemuError::NoPlugins { program });
    }
    Ok(Qemu { program, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELP: &str =
        "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nusage: …\n-plugin [file=]<file>\n";

    #[test]
    fn a_new_enough_qemu_is_taken() {
        let qemu = judge("q".into(), HELP).unwrap();
        assert_eq!(qemu.version, "10.0.2 (Debian 1:10.0.2+ds-2)");
        assert!(judge("q".into(), &HELP.replace("10.0.2 ", "11.2 ")).is_ok());
    }

    #[test]
    fn others_are_refused_with_the_reason() {
        let check = |help: &str, expect: &str| {
            let error = judge("q".into(), help).unwrap_err().to_string();
            assert!(error.contains(expect), "{expect} in {error}");
        };
        check(&HELP.replace("10.0.2", "7.2.19"), "cargo xtask setup");
        check(&HELP.replace("10.0.2", "9.2.1"), "version 9.2.1");
        check(&HELP.replace("-plugin", "-prom"), "without plugin support");
        check("Usage: cat [FILE]", "it is no QEMU");
        check("QEMU emulator version ", "it is no QEMU");
        check("", "it is no QEMU");
    }

    #[test]
    fn a_missing_program_is_told_apart() {
        let error = Qemu::probe(Some(Path::new("/no/such/qemu"))).unwrap_err();
        assert!(matches!(error, QemuError::NotFound { .. }), "{error}");
        let error = Qemu::probe(Some(Path::new("/etc/passwd"))).unwrap_err();
        assert!(matches!(error, QemuError::Run { .. }), "{error}");
    }
}
