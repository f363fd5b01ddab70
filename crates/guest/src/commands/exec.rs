//! `Exec`: a program, to its end.

use std::os::fd::BorrowedFd;

use spec::Nanos;
use wire::{AgentError, Reply, Stream, call};

use crate::agent::Agent;
use crate::error::Failure;
use crate::launch::{Heard, Launched};
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

/// Runs `argv` to its end; kills it after `within`.
pub(crate) fn exec(agent: &mut Agent, argv: &[String], within: Nanos) -> Result<Reply, Failure> {
    let until = ostime::after(ostime::now(), within);
    let mut process = agent.desk.launch(argv, within)?;
    let mut captured = Captured::default();
    loop {
        let ended = process.try_reap();
        captured.hear(&mut process);
        if let Some(status) = ended {
            let Captured { stdout, stderr } = captured;
            return Ok(Reply::Exited {
                status,
                stdout,
                stderr,
            });
        }
        if ostime::now() >= until {
            process.kill();
            let (program, what) = (process.program, "end".to_owned());
            return Err(AgentError::TimedOut {
                program,
                what,
                within,
            }
            .into());
        }
        let fds: Vec<BorrowedFd<'_>> = process.fds().collect();
        agent.desk.wait(&fds, until)?;
    }
}

impl Captured {
    /// Takes what there is; what is beyond [`MAX_OUTPUT`] is read and forgotten.
    fn hear(&mut self, process: &mut Launched) {
        let mut buffer = vec![0; READ_LEN];
        process.outputs.retain_mut(|output| {
            for _ in 0..READS_IN_A_ROW {
                match output.hear(&mut buffer) {
                    Heard::Bytes(len) => {
                        let kept = match output.stream {
                            Stream::Stdout => &mut self.stdout,
                            Stream::Stderr => &mut self.stderr,
                        };
                        let room = MAX_OUTPUT - kept.len();
                        kept.extend_from_slice(&buffer[..len.min(room)]);
                    }
                    Heard::Silence => break,
                    Heard::End => return false,
                }
            }
            true
        });
    }
}
