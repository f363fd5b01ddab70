//! [`Exec`]: a program, run to its end.

use std::os::fd::BorrowedFd;

use spec::op::Exec;
use spec::{OpError, OpOutcome};
use wire::{Stream, call};

use crate::context::Context;
use crate::error::Failure;
use crate::launch::{Launched, ReadOutcome};
use crate::ostime;

/// What is kept of each output; both fit one message.
const MAX_OUTPUT: usize = call::MAX_CHUNK / 2;

/// Reads of one output in a row, so that a program that writes without end cannot keep the agent from its deadline.
const READS_IN_A_ROW: u32 = 64;

const READ_LEN: usize = 64 * 1024;

/// Both outputs so far.
#[derive(Default)]
struct Captured {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Runs the program to its end; kills it where it takes too long.
pub(super) fn carry_out(op: &Exec, context: &mut Context) -> Result<OpOutcome, Failure> {
    let within = op.within;
    let until = ostime::after(ostime::now(), within);
    let mut process = context.event_loop.launch(&op.argv, within)?;
    let mut captured = Captured::default();
    loop {
        let ended = process.try_reap();
        captured.read_some(&mut process);
        if let Some(status) = ended {
            let Captured { stdout, stderr } = captured;
            return Ok(OpOutcome::Exited {
                status,
                stdout,
                stderr,
            });
        }
        if ostime::now() >= until {
            process.kill();
            let (program, what) = (process.program, "end".to_owned());
            return Err(OpError::TimedOut {
                program,
                what,
                within,
            }
            .into());
        }
        let fds: Vec<BorrowedFd<'_>> = process.fds().collect();
        context.event_loop.wait(&fds, until)?;
    }
}

impl Captured {
    /// Takes what there is; what is beyond [`MAX_OUTPUT`] is read and forgotten.
    fn read_some(&mut self, process: &mut Launched) {
        let mut buffer = vec![0; READ_LEN];
        process.outputs.retain_mut(|output| {
            for _ in 0..READS_IN_A_ROW {
                match output.read_some(&mut buffer) {
                    ReadOutcome::Bytes(len) => {
                        let kept = match output.stream {
                            Stream::Stdout => &mut self.stdout,
                            Stream::Stderr => &mut self.stderr,
                        };
                        let room = MAX_OUTPUT - kept.len();
                        kept.extend_from_slice(&buffer[..len.min(room)]);
                    }
                    ReadOutcome::WouldBlock => break,
                    ReadOutcome::EndOfFile => return false,
                }
            }
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use spec::{ExitStatus, Nanos};
    use wire::Reply;

    use super::*;
    use crate::testing::{PATIENCE, Stage, does, shell};

    fn run(script: &str, within: Nanos) -> Reply {
        let argv = shell(script);
        Stage::new().reply(does(Exec { argv, within }))
    }

    #[test]
    fn status_and_both_outputs_come_back() {
        let reply = run("echo out; echo err >&2; exit 5", PATIENCE);
        let expect = OpOutcome::Exited {
            status: ExitStatus::Code(5),
            stdout: b"out\n".to_vec(),
            stderr: b"err\n".to_vec(),
        };
        assert_eq!(reply, Ok(expect));
        let killed = run("kill -9 $$", PATIENCE);
        assert!(
            matches!(
                killed,
                Ok(OpOutcome::Exited {
                    status: ExitStatus::Signal(9),
                    ..
                })
            ),
            "{killed:?}"
        );
    }

    #[test]
    fn output_without_end_is_cut_not_waited_for() {
        let Ok(OpOutcome::Exited { status, stdout, .. }) = run("head -c 3000000 /dev/zero", PATIENCE) else {
            panic!("no exit")
        };
        assert_eq!((status, stdout.len()), (ExitStatus::Code(0), MAX_OUTPUT));
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let within = Nanos::from_millis(100);
        let started = ostime::now();
        let error = run("sleep 1000", within).unwrap_err();
        assert_eq!(error.to_string(), "/bin/sh did not end within 100ms");
        assert!(ostime::now().since(started) < PATIENCE);
    }

    #[test]
    fn a_daemon_that_keeps_the_outputs_open_does_not_hold_the_command() {
        let stage = Stage::new();
        let script = format!(
            "while [ -d {} ]; do sleep 0.1; done & echo started",
            stage.path("")
        );
        let reply = stage.reply(does(Exec {
            argv: shell(&script),
            within: PATIENCE,
        }));
        assert!(
            matches!(&reply, Ok(OpOutcome::Exited { stdout, .. }) if stdout == b"started\n"),
            "{reply:?}"
        );
    }

    #[test]
    fn what_cannot_be_executed_is_reported_with_its_reason() {
        let stage = Stage::new();
        stage.write("not-executable", "");
        let check = |program: String, errno: i32| {
            let argv = vec![program.clone()];
            let error = stage
                .reply(does(Exec {
                    argv,
                    within: PATIENCE,
                }))
                .unwrap_err();
            assert!(error.to_string().contains(&program), "{error}");
            assert!(
                matches!(error, OpError::System { errno: found, .. } if found == errno),
                "{error}"
            );
        };
        check("/no/such/program".to_owned(), libc::ENOENT);
        check(stage.path("not-executable"), libc::EACCES);
        check(stage.path(""), libc::EACCES);
        let nothing = stage.reply(does(Exec {
            argv: vec![],
            within: PATIENCE,
        }));
        assert!(matches!(nothing, Err(OpError::State(_))));
    }

    #[test]
    fn a_program_finds_a_clean_environment() {
        let Ok(OpOutcome::Exited { stdout, .. }) =
            run("env | cut -d= -f1 | sort | tr '\\n' ' '; pwd", PATIENCE)
        else {
            panic!("no exit")
        };
        let text = String::from_utf8(stdout).unwrap();
        assert!(!text.contains("CARGO"), "{text}");
        assert!(text.contains("PATH") && text.ends_with("/\n"), "{text}");
    }
}
