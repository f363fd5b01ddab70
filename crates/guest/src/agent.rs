//! The agent's loop: a command, its outcome, the next command.

use std::convert::Infallible;

use spec::{OpError, OpOutcome};
use wire::{Answer, Command, Hello, PROTOCOL_VERSION, Reply, Request};

use crate::context::Context;
use crate::door::DoorError;
use crate::entropy;
use crate::error::Failure;
use crate::fork;
use crate::ops;
use crate::ostime;
use crate::warm_up;

/// The most ended children that are reaped in a row.
const MAX_ORPHANS_IN_A_ROW: u32 = 10_000;

/// The agent: carries out what the host asks for, with what is in its context.
pub(crate) struct Agent {
    context: Context,
}

impl Agent {
    /// An agent with that context.
    pub(crate) fn new(context: Context) -> Agent {
        Agent { context }
    }

    /// Says hello and carries out commands until the host is gone; a run ends with its machine.
    pub(crate) fn serve(&mut self) -> Result<Infallible, DoorError> {
        let mut request = Request::Hello(hello());
        loop {
            let answer = match self.context.event_loop.say(&request) {
                // Each of these is one exchange with the host, which ends it if it has had enough.
                Err(DoorError::NotUnderstood(error)) => {
                    request = replying(Err(OpError::NotUnderstood(error.to_string())));
                    continue;
                }
                Err(error @ DoorError::TooLong { .. }) => {
                    request = replying(Err(OpError::State(format!("reply: {error}"))));
                    continue;
                }
                answer => answer?,
            };
            request = match answer {
                Answer::Command(command) => replying(self.outcome(command)?),
                Answer::Ack | Answer::Refused { .. } => {
                    return Err(DoorError::Unexpected {
                        request: "a reply",
                        answer: "no command",
                    });
                }
            };
        }
    }

    /// A command's reply; an error where the host cannot be reached any more.
    fn outcome(&mut self, command: Command) -> Result<Reply, DoorError> {
        let outcome = match self.carry_out(command) {
            Ok(outcome) => Ok(outcome),
            Err(Failure::Op(error)) => Err(error),
            Err(Failure::Door(error @ (DoorError::Refused(_) | DoorError::TooLong { .. }))) => {
                Err(OpError::State(format!("notice: {error}")))
            }
            Err(Failure::Door(error)) => return Err(error),
        };
        self.context.event_loop.poll_scheduler()?;
        self.reap();
        Ok(outcome)
    }

    fn carry_out(&mut self, command: Command) -> Result<OpOutcome, Failure> {
        match command {
            Command::Seed { seed } => {
                self.context.workers.seed(seed);
                if let Some(random) = &self.context.places.random {
                    entropy::seed(random, seed)?;
                }
                Ok(OpOutcome::Done)
            }
            Command::WriteChunk {
                path,
                mode,
                offset,
                bytes,
            } => ops::write_chunk(&path, mode, offset, &bytes),
            Command::Do { op, within } => ops::carry_out(&op, within, &mut self.context),
            Command::WarmUp { span } => warm_up::carry_out(span, &mut self.context),
        }
    }

    /// Reaps workers, and, as PID 1, everybody's orphans.
    fn reap(&mut self) {
        self.context.workers.reap();
        if !rustix::process::getpid().is_init() {
            return;
        }
        for _ in 0..MAX_ORPHANS_IN_A_ROW {
            let Some((pid, status)) = fork::reap_any() else {
                break;
            };
            self.context.workers.ended(pid, status);
        }
    }
}

/// The reply at this instant.
fn replying(reply: Reply) -> Request {
    let at = ostime::now();
    Request::Reply { at, reply }
}

fn hello() -> Hello {
    let cpus = rustix::thread::sched_getaffinity(None).map_or(0, |cpus| cpus.count());
    Hello {
        protocol: PROTOCOL_VERSION,
        release: rustix::system::uname().release().to_string_lossy().into_owned(),
        cpus,
        at: ostime::now(),
    }
}
