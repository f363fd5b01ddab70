//! The event loop: the door, and the one place where the agent sleeps.
//!
//! Whatever the agent waits for, it watches the scheduler's program too: its output and its end are reported to
//! the host at the instant at which they happen, before the reply to the command that was waiting.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use spec::{ExitStatus, GuestTime, Nanos, OpError};
use wire::{Answer, Notice, Request};

use crate::door::{Door, DoorError};
use crate::error::{Failure, system};
use crate::launch::{self, Launched, ReadOutcome};
use crate::ostime;
use crate::scheduler::{Life, Scheduler};

/// The most bytes of a program's output in one notice; what a pipe holds.
const LOG_CHUNK: usize = 64 * 1024;

/// The most notices about output in a row, so that a program that writes without end cannot keep the agent
/// from its deadline.
const LOG_CHUNKS_IN_A_ROW: u32 = 16;

/// How long a killed program may take to be gone.
const KILL_GRACE: Nanos = Nanos::from_secs(5);

/// The door, and the scheduler's program that is watched beside it.
pub(crate) struct EventLoop {
    door: Box<dyn Door>,
    /// The scheduler that was started last, until it was stopped.
    pub(crate) scheduler: Option<Scheduler>,
    buffer: Vec<u8>,
}

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Woken {
    /// One of the caller's files is readable.
    Ready,
    /// The deadline has passed.
    Deadline,
    /// The scheduler's program has ended.
    SchedulerEnded,
}

impl EventLoop {
    /// An event loop at `door`.
    pub(crate) fn new(door: impl Door + 'static) -> EventLoop {
        EventLoop {
            door: Box::new(door),
            scheduler: None,
            buffer: vec![0; LOG_CHUNK],
        }
    }

    /// Sends a request and returns the answer.
    pub(crate) fn say(&mut self, request: &Request) -> Result<Answer, DoorError> {
        self.door.call(request)
    }

    /// Reports an event.
    pub(crate) fn notice(&mut self, notice: Notice) -> Result<(), DoorError> {
        match self.door.call(&Request::Notice(notice))? {
            Answer::Ack => Ok(()),
            Answer::Command(_) | Answer::Refused { .. } => Err(DoorError::Unexpected {
                request: "a notice",
                answer: "a command",
            }),
        }
    }

    /// Sleeps until one of `fds` is readable, `until`, or the end of the scheduler's program, whichever is
    /// first. Reports the scheduler's events meanwhile.
    pub(crate) fn wait(&mut self, fds: &[BorrowedFd<'_>], until: GuestTime) -> Result<Woken, Failure> {
        loop {
            let (ready, news) = self.poll(fds, until)?;
            if news && self.poll_scheduler()? {
                return Ok(Woken::SchedulerEnded);
            }
            if ready {
                return Ok(Woken::Ready);
            }
            if ostime::now() >= until {
                return Ok(Woken::Deadline);
            }
        }
    }

    /// Sleeps until `until`, or the end of the scheduler's program.
    pub(crate) fn sleep(&mut self, until: GuestTime) -> Result<Woken, Failure> {
        self.wait(&[], until)
    }

    /// Reports what the scheduler's program has written and whether it has ended. True: it has, just now.
    pub(crate) fn poll_scheduler(&mut self) -> Result<bool, DoorError> {
        let Some(scheduler) = self.running_scheduler() else {
            return Ok(false);
        };
        let ended = scheduler.process.try_reap();
        self.forward_log()?;
        let (Some(status), Some(scheduler)) = (ended, &mut self.scheduler) else {
            return Ok(false);
        };
        let at = ostime::now();
        let before = std::mem::replace(&mut scheduler.life, Life::Ended { status, at });
        if before != Life::Attaching {
            let asked = before == Life::Asked;
            self.notice(Notice::SchedulerExited { at, status, asked })?;
        }
        Ok(true)
    }

    /// Kills the scheduler's program and waits until it is gone. `None`: it is not, within [`KILL_GRACE`].
    pub(crate) fn kill_scheduler(&mut self) -> Result<Option<ExitStatus>, Failure> {
        if let Some(scheduler) = self.running_scheduler() {
            scheduler.process.kill();
        }
        self.await_scheduler_end(ostime::after(ostime::now(), KILL_GRACE))
    }

    /// Waits until the scheduler's program has ended. `None`: it has not, by `until`.
    pub(crate) fn await_scheduler_end(&mut self, until: GuestTime) -> Result<Option<ExitStatus>, Failure> {
        loop {
            if let Some(Life::Ended { status, .. }) = self.scheduler.as_ref().map(|scheduler| scheduler.life)
            {
                return Ok(Some(status));
            }
            if self.sleep(until)? == Woken::Deadline {
                return Ok(None);
            }
        }
    }

    /// Launches a program and waits until it is one, or is known not to become one.
    pub(crate) fn launch(&mut self, argv: &[String], within: Nanos) -> Result<Launched, Failure> {
        let until = ostime::after(ostime::now(), within);
        let launched = launch::launch(argv)?;
        loop {
            match launched.executed() {
                Some(Ok(())) => return Ok(launched),
                Some(Err(error)) => return Err(error.into()),
                None => {}
            }
            if self.wait(&[launched.exec.as_fd()], until)? == Woken::Deadline {
                launched.kill();
                let (program, what) = (launched.program, "start".to_owned());
                return Err(OpError::TimedOut {
                    program,
                    what,
                    within,
                }
                .into());
            }
        }
    }

    fn running_scheduler(&self) -> Option<&Scheduler> {
        let running = |scheduler: &&Scheduler| !matches!(scheduler.life, Life::Ended { .. });
        self.scheduler.as_ref().filter(running)
    }

    /// (one of `fds` is readable, something happened to the scheduler's program)
    fn poll(&self, fds: &[BorrowedFd<'_>], until: GuestTime) -> Result<(bool, bool), OpError> {
        let scheduler = self.running_scheduler().into_iter();
        let mut polled: Vec<PollFd<'_>> = fds
            .iter()
            .copied()
            .chain(scheduler.flat_map(|scheduler| scheduler.process.fds()))
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        match poll(&mut polled, Some(&ostime::until(until))) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(system("poll")(error)),
        }
        let happened = |polled: &PollFd<'_>| !polled.revents().is_empty();
        let (callers, schedulers) = polled.split_at(fds.len());
        Ok((callers.iter().any(happened), schedulers.iter().any(happened)))
    }

    fn forward_log(&mut self) -> Result<(), DoorError> {
        for _ in 0..LOG_CHUNKS_IN_A_ROW {
            let Some((stream, bytes)) = self.next_log() else {
                return Ok(());
            };
            let at = ostime::now();
            self.notice(Notice::SchedulerLog { at, stream, bytes })?;
        }
        Ok(())
    }

    fn next_log(&mut self) -> Option<(wire::Stream, Vec<u8>)> {
        let outputs = &mut self.scheduler.as_mut()?.process.outputs;
        let mut index = 0;
        while let Some(output) = outputs.get_mut(index) {
            match output.read_some(&mut self.buffer) {
                ReadOutcome::Bytes(len) => return Some((output.stream, self.buffer[..len].to_vec())),
                ReadOutcome::WouldBlock => index += 1,
                ReadOutcome::EndOfFile => drop(outputs.remove(index)),
            }
        }
        None
    }
}
