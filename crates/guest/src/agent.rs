//! The agent's loop: a command, its outcome, the next command.

use std::io;
use std::path::PathBuf;

use wire::{AgentError, Answer, Command, Hello, PROTOCOL_VERSION, Reply, Request};

use crate::commands;
use crate::door::{Door, DoorError};
use crate::entropy;
use crate::error::Failure;
use crate::event_loop::EventLoop;
use crate::fork;
use crate::ostime;
use crate::workers::Workers;

/// Where the kernel's directories are.
#[derive(Debug)]
pub(crate) struct Places {
    /// The cgroup hierarchy's root.
    pub(crate) cgroup: PathBuf,
    /// What the kernel says about sched_ext.
    pub(crate) sched_ext: PathBuf,
    /// The kernel's random generator; `None` leaves it alone.
    pub(crate) random: Option<PathBuf>,
}

impl Default for Places {
    fn default() -> Places {
        Places {
            cgroup: "/sys/fs/cgroup".into(),
            sched_ext: "/sys/kernel/sched_ext".into(),
            random: Some("/dev/urandom".into()),
        }
    }
}

/// The most ended children that are reaped in a row.
const MAX_ORPHANS_IN_A_ROW: u32 = 10_000;

/// Everything the agent has.
pub(crate) struct Agent {
    pub(crate) event_loop: EventLoop,
    pub(crate) workers: Workers,
    pub(crate) places: Places,
}

impl Agent {
    /// An agent at `door`.
    pub(crate) fn new(door: impl Door + 'static, places: Places) -> io::Result<Agent> {
        Ok(Agent {
            event_loop: EventLoop::new(door),
            workers: Workers::new()?,
            places,
        })
    }

    /// Says hello and carries out commands until the host wants the guest switched off, or is gone.
    pub(crate) fn serve(&mut self) -> Result<(), DoorError> {
        let mut request = Request::Hello(hello());
        loop {
            let answer = match self.event_loop.say(&request) {
                // Each of these is one exchange with the host, which ends it if it has had enough.
                Err(DoorError::NotUnderstood(error)) => {
                    request = Request::Reply(Err(AgentError::NotUnderstood(error.to_string())));
                    continue;
                }
                Err(error @ DoorError::TooLong { .. }) => {
                    request = Request::Reply(Err(AgentError::State(format!("reply: {error}"))));
                    continue;
                }
                answer => answer?,
            };
            request = match answer {
                Answer::Command(Command::PowerOff) => return Ok(()),
                Answer::Command(command) => Request::Reply(self.outcome(command)?),
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
    fn outcome(&mut self, command: Command) -> Result<Result<Reply, AgentError>, DoorError> {
        let outcome = match self.carry_out(command) {
            Ok(reply) => Ok(reply),
            Err(Failure::Agent(error)) => Err(error),
            Err(Failure::Door(error @ (DoorError::Refused(_) | DoorError::TooLong { .. }))) => {
                Err(AgentError::State(format!("notice: {error}")))
            }
            Err(Failure::Door(error)) => return Err(error),
        };
        self.event_loop.poll_scheduler()?;
        self.reap();
        Ok(outcome)
    }

    fn carry_out(&mut self, command: Command) -> Result<Reply, Failure> {
        match command {
            Command::Seed { seed } => {
                self.workers.seed(seed);
                if let Some(random) = &self.places.random {
                    entropy::seed(random, seed)?;
                }
                Ok(Reply::Done)
            }
            Command::WriteFile {
                path,
                mode,
                offset,
                bytes,
            } => commands::files::write(&path, mode, offset, &bytes),
            Command::ReadFile { path } => commands::files::read(self, &path),
            Command::MakeCgroup(group) => commands::cgroup::make(self, &group),
            Command::Spawn {
                group,
                work,
                count,
                nice,
            } => commands::spawn::spawn(self, &group, &work, count, nice),
            Command::StartScheduler { argv, attach_within } => {
                commands::scheduler::start(self, &argv, attach_within)
            }
            Command::StopScheduler { within } => commands::scheduler::stop(self, within),
            Command::RunFor { span } => commands::run::run_for(self, span),
            Command::Exec { argv, within } => commands::exec::exec(self, &argv, within),
            Command::PowerOff => Ok(Reply::Done),
        }
    }

    /// Reaps workers, and, as PID 1, everybody's orphans.
    fn reap(&mut self) {
        self.workers.reap();
        if !rustix::process::getpid().is_init() {
            return;
        }
        for _ in 0..MAX_ORPHANS_IN_A_ROW {
            let Some((pid, status)) = fork::reap_any() else {
                break;
            };
            self.workers.ended(pid, status);
        }
    }
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
