//! Replaying a record's script: the ops that a test's body applied, applied again without it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use spec::Op;
use spec::op::{Content, HostProgram, PutFile, PutProgram};

use crate::closure::{ClosureError, Program};
use crate::session::Session;

/// A script with the programs that it puts into the guest, read before a machine starts.
#[derive(Debug)]
pub struct ScriptPlayer {
    ops: Vec<Op>,
    programs: Vec<Arc<Program>>,
}

/// A script cannot be replayed on this host.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The record has not kept a file that the test put into its guest.
    #[error(
        "the record does not hold the {bytes} bytes that the test put into {path} of its guest; run the test itself again"
    )]
    Omitted {
        /// Path in the guest.
        path: String,
        /// Size.
        bytes: u64,
    },
    /// A program cannot be read.
    #[error("the program {}", path.display())]
    Program {
        /// Path on the host.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ClosureError,
    },
    /// A program or one of its libraries differs from the recorded one.
    #[error("{file}, which {} needs, differs from the recorded one (SHA-256 {now}, recorded {recorded})", program.display())]
    Changed {
        /// The program's path on the host.
        program: PathBuf,
        /// The file's path in the guest.
        file: String,
        /// Its checksum now, or `missing`.
        now: String,
        /// Its checksum in the record, or `missing`.
        recorded: String,
    },
}

impl ScriptPlayer {
    /// Reads the programs that the script needs; where `strict`, they must be the recorded ones to the byte.
    ///
    /// # Errors
    /// [`ReplayError`], for the first op that cannot be applied.
    pub fn prepare(script: &[Op], strict: bool) -> Result<ScriptPlayer, ReplayError> {
        let mut player = ScriptPlayer {
            ops: Vec::new(),
            programs: Vec::new(),
        };
        for op in script {
            let op = match op {
                Op::PutFile(PutFile {
                    path,
                    content: Content::Omitted { bytes },
                    ..
                }) => {
                    return Err(ReplayError::Omitted {
                        path: path.clone(),
                        bytes: *bytes,
                    });
                }
                Op::PutProgram(put) => {
                    let program = read_program(&put.program, None, strict)?;
                    let put = PutProgram {
                        program: program.sums(),
                    };
                    player.programs.push(Arc::new(program));
                    put.into()
                }
                op => op.clone(),
            };
            player.ops.push(op);
        }
        Ok(player)
    }

    /// Applies the ops. The test's body has seen what came of each, and decided then what comes next: so an op that fails
    /// is no error here, it shows in the evidence.
    pub fn play(&self, session: &mut Session) {
        for program in &self.programs {
            session.supply(Arc::clone(program));
        }
        for op in &self.ops {
            if let Err(error) = session.apply(op) {
                tracing::debug!(?op, %error, "a replayed op failed");
            }
        }
    }
}

/// Reads a recorded program, at its recorded path or at `elsewhere`; where `strict`, it must be the same to the byte.
///
/// # Errors
/// [`ReplayError::Program`] and [`ReplayError::Changed`].
pub fn read_program(
    recorded: &HostProgram,
    elsewhere: Option<&Path>,
    strict: bool,
) -> Result<Program, ReplayError> {
    let path = elsewhere.unwrap_or(Path::new(&recorded.path));
    let mut program = Program::read(path).map_err(|source| ReplayError::Program {
        path: path.to_owned(),
        source,
    })?;
    // In the guest it has the name that it had, whatever it is called here.
    if let (Some(file), Some(recorded)) = (program.files.first_mut(), recorded.files.first()) {
        file.path.clone_from(&recorded.path);
        program.guest_path.clone_from(&recorded.path);
    }
    match changed(recorded, &program) {
        Some(error) if strict => Err(error),
        _ => Ok(program),
    }
}

/// The first file that is not as recorded, where sums were recorded.
fn changed(recorded: &HostProgram, program: &Program) -> Option<ReplayError> {
    if recorded.files.is_empty() {
        return None;
    }
    const MISSING: &str = "missing";
    let error = |file: &str, now: &str, recorded: &str| {
        Some(ReplayError::Changed {
            program: program.host_path.clone(),
            file: file.to_owned(),
            now: now.to_owned(),
            recorded: recorded.to_owned(),
        })
    };
    let now = program.sums().files;
    for file in &recorded.files {
        match now.iter().find(|other| other.path == file.path) {
            None => return error(&file.path, MISSING, &file.sha256),
            Some(other) if other.sha256 != file.sha256 => {
                return error(&file.path, &other.sha256, &file.sha256);
            }
            Some(_) => {}
        }
    }
    let added = now
        .iter()
        .find(|file| !recorded.files.iter().any(|other| other.path == file.path))?;
    error(&added.path, &added.sha256, MISSING)
}

#[cfg(test)]
mod tests {
    use spec::op::FileSum;

    use super::*;

    #[test]
    fn a_file_that_the_record_has_not_kept_cannot_be_put_again() {
        let put = PutFile {
            path: "/data".into(),
            mode: 0o644,
            content: Content::Omitted { bytes: 9 },
        };
        let error = ScriptPlayer::prepare(&[put.into()], true)
            .unwrap_err()
            .to_string();
        assert!(error.contains("9 bytes") && error.contains("/data"), "{error}");
    }

    #[test]
    fn a_program_that_has_changed_is_refused_by_the_name_of_the_file() {
        let mut recorded = Program::read(Path::new("/bin/ls")).unwrap().sums();
        assert!(read_program(&recorded, None, true).is_ok());
        let library = recorded
            .files
            .iter_mut()
            .find(|file| file.path.contains("libc.so"))
            .unwrap();
        library.sha256 = "00".into();
        let error = read_program(&recorded, None, true).unwrap_err().to_string();
        assert!(
            error.contains("libc.so.6") && error.contains("recorded 00"),
            "{error}"
        );
        assert!(
            read_program(&recorded, None, false).is_ok(),
            "unless it is wanted anyway"
        );
        recorded.files.retain(|file| !file.path.contains("libc.so"));
        let error = read_program(&recorded, None, true).unwrap_err().to_string();
        assert!(error.contains("recorded missing"), "{error}");
        recorded.files.push(FileSum {
            path: "/gone".into(),
            sha256: "11".into(),
        });
        let elsewhere = read_program(&recorded, Some(Path::new("/no/such")), true);
        assert!(matches!(elsewhere, Err(ReplayError::Program { .. })));
    }

    #[test]
    fn a_script_that_needs_nothing_is_ready() {
        assert!(ScriptPlayer::prepare(&["run 1s".parse().unwrap()], true).is_ok());
    }
}
