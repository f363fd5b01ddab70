//! Playing a record's script: the steps that a test's body took once, taken again without it.

use std::path::{Path, PathBuf};

use record::{HostProgram, Step};

use crate::closure::{ClosureError, Program};
use crate::session::Session;

/// A script with all that it needs from the host, read before a machine starts.
#[derive(Debug)]
pub struct ScriptPlayer {
    script: Vec<(Step, StepInput)>,
}

/// What a step brings from the host.
#[derive(Debug)]
enum StepInput {
    None,
    File(Vec<u8>),
    Program(Box<Program>),
}

/// A script cannot be played on this host.
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
    /// The record's content of a file is not readable.
    #[error("the record's content of {path} is not hex")]
    Content {
        /// Path in the guest.
        path: String,
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
    /// A program or one of its libraries is another than it was.
    #[error("{file}, which {} needs, is not the one of the record (SHA-256 {now} now, {recorded} then)", program.display())]
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
    /// Reads what the script needs; where `strict`, programs must be the recorded ones to the byte.
    ///
    /// # Errors
    /// [`ReplayError`], for the first step that cannot be played.
    pub fn prepare(script: &[Step], strict: bool) -> Result<ScriptPlayer, ReplayError> {
        let prepare = |step: &Step| {
            let input = match step {
                Step::PutFile { path, content, .. } => StepInput::File(match content {
                    record::Content::Omitted { bytes } => {
                        return Err(ReplayError::Omitted {
                            path: path.clone(),
                            bytes: *bytes,
                        });
                    }
                    content => content
                        .bytes()
                        .ok_or_else(|| ReplayError::Content { path: path.clone() })?,
                }),
                Step::PutProgram { program } => {
                    StepInput::Program(Box::new(read_program(program, None, strict)?))
                }
                _ => StepInput::None,
            };
            Ok((step.clone(), input))
        };
        Ok(ScriptPlayer {
            script: script.iter().map(prepare).collect::<Result<_, _>>()?,
        })
    }

    /// Takes the steps. What a step answers was the body's business, which has already decided what comes next: so a
    /// step that fails is no error here, it shows in the evidence.
    pub fn play(&self, session: &mut Session) {
        for (step, input) in &self.script {
            if let Err(error) = take(session, step, input) {
                tracing::debug!(?step, %error, "a replayed step failed");
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

/// The first file that is not as recorded. The program itself may have another name in the guest.
fn changed(recorded: &HostProgram, program: &Program) -> Option<ReplayError> {
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

fn take(session: &mut Session, step: &Step, input: &StepInput) -> Result<(), crate::SessionError> {
    match (step.clone(), input) {
        (Step::PutFile { path, mode, .. }, StepInput::File(bytes)) => session.put_file(&path, mode, bytes),
        (Step::PutProgram { .. }, StepInput::Program(program)) => session.put_program(program),
        (Step::PutFile { .. } | Step::PutProgram { .. }, _) => Ok(()),
        (Step::ReadFile { path }, _) => session.read_file(&path).map(|_| ()),
        (Step::MakeCgroup { group }, _) => session.make_cgroup(group),
        (
            Step::Spawn {
                group,
                work,
                count,
                nice,
            },
            _,
        ) => session.spawn(&group, &work, count, nice).map(|_| ()),
        (Step::StartScheduler { argv }, _) => session.start_scheduler(argv),
        (Step::StopScheduler, _) => session.stop_scheduler().map(|_| ()),
        (Step::RunFor { span }, _) => session.run_for(span).map(|_| ()),
        (Step::Exec { argv, within }, _) => session.exec(argv, within).map(|_| ()),
        (Step::WriteKernel { op }, _) => {
            if let Err(error) = session.kernel_op(&op) {
                tracing::debug!(%error, "a replayed kernel op failed");
            }
            Ok(())
        }
        (Step::Note { key, value }, _) => {
            session.note(key, value);
            Ok(())
        }
        (Step::GaveUp { reason }, _) => {
            session.gave_up(reason);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use record::{Content, FileSum};
    use spec::Nanos;

    use super::*;

    #[test]
    fn a_file_that_the_record_has_not_kept_cannot_be_put_again() {
        let step = Step::PutFile {
            path: "/data".into(),
            mode: 0o644,
            content: Content::Omitted { bytes: 9 },
        };
        let error = ScriptPlayer::prepare(&[step], true).unwrap_err().to_string();
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
            error.contains("libc.so.6") && error.contains("00 then"),
            "{error}"
        );
        assert!(
            read_program(&recorded, None, false).is_ok(),
            "unless it is wanted anyway"
        );
        recorded.files.retain(|file| !file.path.contains("libc.so"));
        let error = read_program(&recorded, None, true).unwrap_err().to_string();
        assert!(error.contains("missing then"), "{error}");
        recorded.files.push(FileSum {
            path: "/gone".into(),
            sha256: "11".into(),
        });
        let elsewhere = read_program(&recorded, Some(Path::new("/no/such")), true);
        assert!(matches!(elsewhere, Err(ReplayError::Program { .. })));
    }

    #[test]
    fn a_script_that_needs_nothing_is_ready() {
        let step = Step::RunFor {
            span: Nanos::from_secs(1),
        };
        assert!(ScriptPlayer::prepare(&[step], true).is_ok());
    }
}
