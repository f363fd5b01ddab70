//! A program with everything that it needs to start: its interpreter and the closure of its shared libraries.
//!
//! The closure follows `DT_NEEDED` with `DT_RPATH`, `DT_RUNPATH` and the directories that `ldconfig` knows, as
//! ld.so(8) does. What a program opens by itself at run time (`dlopen`, NSS) is not seen: put such files into the
//! guest by name. Libraries keep their host paths in the guest, so that run paths stay true.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use disk::files::sha256;
use spec::op::{FileSum, HostProgram};

/// A file for the guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestFile {
    /// Absolute path in the guest.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Contents.
    pub bytes: Vec<u8>,
    /// Their SHA-256 in hex.
    pub sha256: String,
}

/// A program from the host, ready to be put into a guest.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its path on the host.
    pub host_path: PathBuf,
    /// Its path in the guest.
    pub guest_path: String,
    /// Itself and its closure.
    pub files: Vec<GuestFile>,
}

/// A program cannot be brought into a guest.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError {
    /// The file, or one of its libraries, cannot be read.
    #[error("read {path}; does the program exist, is it built?", path = .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The failed call.
        #[source]
        source: io::Error,
    },
    /// The file has no execute permission.
    #[error("{path} is not executable (mode {mode:o}); run `chmod +x` on it", path = .path.display())]
    NotExecutable {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The path is not a file.
    #[error("{path} is not a regular file", path = .path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// The file is not an ELF program for this machine.
    #[error("{path} is not an ELF program: {reason}", path = .path.display())]
    NotElf {
        /// Which.
        path: PathBuf,
        /// What the parser said.
        reason: String,
    },
    /// Libraries are missing on this host.
    #[error("{path} needs {missing}, which this host does not have; install the packages that hold them or set LD_LIBRARY_PATH's directories in the program's run path", path = .path.display())]
    Missing {
        /// The program.
        path: PathBuf,
        /// The libraries' names.
        missing: String,
    },
}

/// Where programs live in the guest.
const GUEST_DIR: &str = "/opt/schedrig/bin";

impl Program {
    /// Reads the program at `path` with its closure.
    pub fn read(path: &Path) -> Result<Program, ClosureError> {
        let metadata = fs::metadata(path).map_err(|source| ClosureError::Read {
            path: path.to_owned(),
            source,
        })?;
        if !metadata.is_file() {
            return Err(ClosureError::NotAFile {
                path: path.to_owned(),
            });
        }
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o111 == 0 {
            return Err(ClosureError::NotExecutable {
                path: path.to_owned(),
                mode,
            });
        }
        let name = path
            .file_name()
            .map_or_else(|| "program".into(), |name| name.to_string_lossy());
        let guest_path = format!("{GUEST_DIR}/{name}");
        let bytes = read(path)?;
        let script = bytes.starts_with(b"#!");
        let mut files = vec![GuestFile {
            path: guest_path.clone(),
            mode: 0o755,
            sha256: sha256(&bytes),
            bytes,
        }];
        if !script {
            files.extend(libraries(path)?);
        }
        Ok(Program {
            host_path: path.to_owned(),
            guest_path,
            files,
        })
    }
}

impl Program {
    /// The program as a record names it.
    pub fn sums(&self) -> HostProgram {
        let sum = |file: &GuestFile| FileSum {
            path: file.path.clone(),
            sha256: file.sha256.clone(),
        };
        HostProgram {
            path: self.host_path.display().to_string(),
            files: self.files.iter().map(sum).collect(),
        }
    }
}

/// The interpreter and the shared libraries of the program at `path`.
fn libraries(path: &Path) -> Result<Vec<GuestFile>, ClosureError> {
    let not_elf = |error: lddtree::Error| ClosureError::NotElf {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let tree = lddtree::DependencyAnalyzer::default()
        .analyze(path)
        .map_err(not_elf)?;
    let mut missing: Vec<&str> = tree
        .libraries
        .values()
        .filter(|library| library.realpath.is_none())
        .map(|library| library.name.as_str())
        .collect();
    if !missing.is_empty() {
        missing.sort_unstable();
        return Err(ClosureError::Missing {
            path: path.to_owned(),
            missing: missing.join(", "),
        });
    }
    let mut paths: Vec<PathBuf> = tree
        .libraries
        .values()
        .map(|library| library.path.clone())
        .collect();
    paths.extend(tree.interpreter.map(PathBuf::from));
    // The order in which the parser found them is not part of the run.
    paths.sort_unstable();
    paths.dedup();
    paths
        .into_iter()
        .map(|path| {
            let bytes = read(&path)?;
            Ok(GuestFile {
                path: path.to_string_lossy().into_owned(),
                mode: 0o755,
                sha256: sha256(&bytes),
                bytes,
            })
        })
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>, ClosureError> {
    fs::read(path).map_err(|source| ClosureError::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_brings_its_interpreter_and_libraries() {
        let program = Program::read(Path::new("/bin/ls")).unwrap();
        assert_eq!(program.guest_path, "/opt/schedrig/bin/ls");
        let has = |part: &str| program.files.iter().any(|file| file.path.contains(part));
        assert!(has("ld-linux-x86-64.so.2"));
        assert!(has("libc.so.6"));
        assert!(
            has("libselinux.so.1") && has("libpcre2-8.so.0"),
            "the closure is transitive"
        );
    }

    #[test]
    fn what_cannot_run_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        let check = |expect: &str| {
            let error = Program::read(&path).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("does the program exist");
        fs::write(&path, b"\x7fELF but not really").unwrap();
        check("chmod +x");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        check("is not an ELF program");
        assert!(matches!(
            Program::read(dir.path()),
            Err(ClosureError::NotAFile { .. })
        ));
    }

    #[test]
    fn a_script_comes_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("script");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(Program::read(&path).unwrap().files.len(), 1);
    }
}
