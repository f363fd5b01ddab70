//! From the plugin's reports and the end of QEMU's process to the machine's events.

use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use guestmem::GuestVirt;
use machine::{Call, Event, ExitReason, HookHit, HookId, MachineError, Registers, VcpuId, WatchHit, WatchId};
use rustix::event::{PollFd, PollFlags};
use tcg_channel::{Cause, Report};

use super::instruments::Kind;
use super::state::State;
use super::{TcgMachine, channel_error, registers};
use crate::exit::ExitEvidence;
use crate::link::{Received, wait};
use crate::memfd;
use crate::saved::Saved;

/// How long QEMU may take to exit once it has closed its end of the channel.
const EXIT_GRACE: Duration = Duration::from_secs(5);

impl TcgMachine {
    /// The next event, with the console before it as an event of its own.
    pub(super) fn next_event(&mut self, deadline: Instant) -> Result<Event, MachineError> {
        if let Some(event) = self.pending.pop_front() {
            return Ok(event);
        }
        let event = self.wait_for_event(deadline)?;
        if event == Event::Deadline {
            // A host time is no place to divide the console: it would be another one in each execution.
            return Ok(event);
        }
        let console =
            memfd::content_from(&self.parts.console, self.console_reported).map_err(MachineError::Console)?;
        if console.is_empty() {
            return Ok(event);
        }
        self.console_reported += console.len() as u64;
        self.pending.push_back(event);
        Ok(Event::Console(console))
    }

    /// Waits for the next event but [`Event::Console`].
    fn wait_for_event(&mut self, deadline: Instant) -> Result<Event, MachineError> {
        self.state.require_running("next")?;
        loop {
            // The process first, the channel second: a report that was sent before the end is still received.
            let ended = self
                .parts
                .process
                .ended()
                .map_err(channel_error("read QEMU's status"))?;
            match self
                .parts
                .link
                .receive()
                .map_err(channel_error("read a report"))?
            {
                Received::Report(report) => {
                    self.state = State::Frozen;
                    self.frozen_in(*report);
                    return self.event_of(&report);
                }
                Received::Nonsense(len) => {
                    return Err(MachineError::Protocol {
                        what: format!("a packet of {len} bytes without meaning"),
                    });
                }
                Received::HungUp => {
                    let status = self.parts.process.kill_after(EXIT_GRACE);
                    return Ok(Event::Exit(self.end(status)));
                }
                Received::Nothing if ended.is_some() => return Ok(Event::Exit(self.end(ended))),
                Received::Nothing if Instant::now() >= deadline => return Ok(Event::Deadline),
                Received::Nothing => {}
            }
            let mut fds = [
                PollFd::from_borrowed_fd(self.parts.link.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.parts.process.as_fd(), PollFlags::IN),
            ];
            wait(&mut fds, deadline).map_err(channel_error("wait for a report"))?;
        }
    }

    /// The first resume of a fork executes nothing: it queues the events that brought the original to its call.
    pub(super) fn replay_origin(&mut self, saved: &Saved) -> Result<(), MachineError> {
        let call = saved.call();
        if !saved.console().is_empty() {
            self.pending.push_back(Event::Console(saved.console().to_vec()));
        }
        let event = self.event_of(&call)?;
        self.pending.push_back(event);
        self.frozen_in(call);
        self.state = State::Frozen;
        Ok(())
    }

    fn frozen_in(&mut self, report: Report) {
        self.last_report = Some(report);
        let registers = registers::of(&report);
        // A store's report has no page tables.
        if registers.has_page_tables() {
            self.page_tables = Some(registers.page_tables());
        }
    }

    /// The event of a report.
    fn event_of(&self, report: &Report) -> Result<Event, MachineError> {
        let kind = |index: u32| self.instruments.get(index as usize).copied();
        match report.cause {
            Cause::Call => Ok(Event::Call(call(self.only_vcpu, registers::of(report)))),
            Cause::Hook { index, hits } if kind(index) == Some(Kind::Hook) => Ok(Event::Hook(HookHit {
                vcpu: self.only_vcpu,
                hook: HookId(index),
                hits,
                registers: registers::of(report),
            })),
            Cause::Watch {
                index,
                hits,
                old,
                new,
            } if kind(index) == Some(Kind::Watch) => {
                let registers = registers::of(report);
                Ok(Event::Watch(WatchHit {
                    vcpu: self.only_vcpu,
                    watch: WatchId(index),
                    hits,
                    ip: registers.instruction(),
                    per_cpu_base: registers.per_cpu_base(),
                    old,
                    new,
                }))
            }
            Cause::Hook { .. }
            | Cause::Watch { .. }
            | Cause::Count { .. }
            | Cause::Duplicated { .. }
            | Cause::IsDuplicate { .. }
            | Cause::NotDuplicated { .. }
            | Cause::Ready => Err(MachineError::Protocol {
                what: format!(
                    "{:?} of {} hooks and watches",
                    report.cause,
                    self.instruments.len()
                ),
            }),
        }
    }

    /// Records the end of QEMU, with this status; returns the reason.
    pub(super) fn end(&mut self, status: Option<ExitStatus>) -> ExitReason {
        let shutdown = self.parts.qmp.shutdown_reason();
        let evidence = ExitEvidence {
            status,
            shutdown: shutdown.as_deref(),
            console: &memfd::content(&self.parts.console).unwrap_or_default(),
            stderr: &memfd::content(&self.parts.stderr).unwrap_or_default(),
        };
        let reason = evidence.reason();
        self.parts.ram.end();
        self.state = State::Ended(reason.clone());
        reason
    }
}

/// The call convention of the crate's doc: the buffer and its lengths are the first three arguments.
fn call(vcpu: Option<VcpuId>, registers: Registers) -> Call {
    let argument = |n| registers.argument(n).unwrap_or(0);
    Call {
        vcpu,
        registers,
        buffer: GuestVirt(argument(0)),
        len: argument(1),
        capacity: argument(2),
    }
}
