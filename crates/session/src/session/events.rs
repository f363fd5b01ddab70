//! What the guest does between two commands: the owner loop handles it.

use std::time::Instant;

use machine::Event as MachineEvent;
use observe::RawHit;
use record::{End, EventKind};
use spec::{GuestTime, Nanos, OpOutcome};
use wire::{Answer, Command, Hello, Notice, PROTOCOL_VERSION, Request};

use super::describe::{ended, machine_died, show};
use super::{SchedulerLife, Session, SessionError};
use crate::chain::chain;
use crate::exchange::{self, ExchangeError};

/// The longest file that is read from a guest, in bytes: /proc/kallsyms takes about 12 MiB.
const MAX_FILE: usize = 128 << 20;

impl Session {
    pub(super) fn hello(&mut self) -> Result<Hello, SessionError> {
        let boot = self.limits.boot;
        self.status.begin("the kernel boots", self.now, None);
        match self.wait("the kernel boots", boot)? {
            Request::Hello(hello) if hello.protocol == PROTOCOL_VERSION => {
                self.agent = self
                    .pending
                    .as_ref()
                    .map(|call| call.registers.address_space_id());
                self.advance_clock(hello.at);
                let (release, cpus) = (hello.release.clone(), hello.cpus);
                self.happened(EventKind::Booted { release, cpus });
                Ok(hello)
            }
            Request::Hello(hello) => Err(self.over(End::MachineDied {
                reason: format!(
                    "the agent speaks protocol {}, and this rig speaks {PROTOCOL_VERSION}",
                    hello.protocol
                ),
            })),
            other => Err(SessionError::mismatch("boot", &other)),
        }
    }

    /// Waits until a fork stands in the call that its original was saved in. What was said there is known.
    pub(super) fn stand_again(&mut self) -> Result<(), SessionError> {
        const DOING: &str = "a saved machine comes up";
        self.status.begin(DOING, self.now, None);
        loop {
            match self.machine.next(self.host_deadline) {
                Ok(MachineEvent::Console(bytes)) => show(&bytes),
                Ok(MachineEvent::Call(call)) => {
                    self.agent = Some(call.registers.address_space_id());
                    self.pending = Some(call);
                    return Ok(());
                }
                Ok(MachineEvent::Exit(reason)) => return Err(self.over(ended(reason, DOING))),
                Ok(MachineEvent::Deadline) => return Err(self.too_late(DOING)),
                // Nothing is executed before the call.
                Ok(MachineEvent::Hook(_) | MachineEvent::Watch(_)) => self.resume()?,
                Err(error) => return Err(self.over(machine_died(&error))),
            }
        }
    }

    /// Answers the pending call with the command, and waits for its outcome; `takes` is the guest time that the
    /// command itself is meant to take.
    pub(super) fn command(&mut self, command: Command, takes: Nanos) -> Result<OpOutcome, SessionError> {
        let doing = command.describe();
        let known = command.takes_exactly();
        self.status.begin(&doing, self.now, Some(takes).filter(|_| known));
        self.answer(&Answer::Command(command))?;
        let patience = Nanos(takes.0.saturating_add(self.limits.silence.0));
        match self.wait(&doing, patience)? {
            Request::Reply { at, reply } => {
                self.advance_clock(at);
                Ok(reply?)
            }
            other => Err(SessionError::mismatch(&doing, &other)),
        }
    }

    /// The owner loop: handles events until the guest waits for the next command.
    fn wait(&mut self, doing: &str, patience: Nanos) -> Result<Request, SessionError> {
        let mut limit = later(self.now, patience);
        loop {
            let event = match self.machine.next(self.host_deadline) {
                Ok(event) => event,
                Err(error) => return Err(self.over(machine_died(&error))),
            };
            match event {
                MachineEvent::Console(bytes) => show(&bytes),
                MachineEvent::Call(call) => {
                    self.calls += 1;
                    if !self.is_agents(&call) {
                        self.program_asks(&call)?;
                        // One that calls without end leaves the machine no time to notice.
                        if Instant::now() < self.host_deadline {
                            continue;
                        }
                        return Err(self.too_late(doing));
                    }
                    let request = exchange::request(self.machine.as_ref(), &call);
                    self.pending = Some(call);
                    match request {
                        Ok(Request::Notice(notice)) => {
                            // The agent lives: it has its silence from now on, and one that waits for a loader waits anew.
                            let more = match notice {
                                Notice::SchedulerLoads { .. } => patience,
                                _ => self.limits.silence,
                            };
                            let answer = self.notice(notice);
                            self.answer(&answer)?;
                            limit = limit.max(later(self.now, more));
                        }
                        Ok(request) => return Ok(request),
                        Err(error) => self.refuse(&error)?,
                    }
                }
                MachineEvent::Hook(hit) if self.is_tick(&hit) => {
                    let now = self.time_of(&hit);
                    if let Some(now) = now {
                        self.status.advance(now);
                        self.ticked(now);
                    }
                    if now.is_some_and(|now| now > limit) {
                        let during = format!("no call for {patience} of guest time while {doing}");
                        return Err(self.over(End::GuestSilent { during }));
                    }
                    self.resume()?;
                }
                MachineEvent::Hook(hit) => self.hit(RawHit::Hook(hit), doing)?,
                MachineEvent::Watch(hit) => self.hit(RawHit::Watch(hit), doing)?,
                MachineEvent::Exit(reason) => return Err(self.over(ended(reason, doing))),
                MachineEvent::Deadline => return Err(self.too_late(doing)),
            }
        }
    }

    fn too_late(&mut self, doing: &str) -> SessionError {
        let during = format!(
            "after {} s of host time while {doing}",
            self.limits.host.as_secs()
        );
        self.over(End::HostDeadline { during })
    }

    fn notice(&mut self, notice: Notice) -> Answer {
        match notice {
            Notice::SchedulerLog { at, bytes, .. } => {
                self.advance_clock(at);
                self.scheduler_log.extend_from_slice(&bytes);
            }
            Notice::SchedulerExited { at, status, asked } => {
                self.advance_clock(at);
                self.scheduler = SchedulerLife::Gone;
                self.happened(EventKind::SchedulerExited { status, asked });
            }
            Notice::SchedulerLoads { at, programs } => {
                self.advance_clock(at);
                let of = match self.bpf_programs {
                    0 => String::new(),
                    all => format!(" of {all}"),
                };
                self.status.detail(format!("{programs}{of} BPF programs loaded"));
            }
            Notice::FileChunk { bytes } => {
                if self.file.len() + bytes.len() > MAX_FILE {
                    return Answer::Refused {
                        reason: format!("a file of more than {MAX_FILE} bytes"),
                    };
                }
                self.file.extend_from_slice(&bytes);
            }
        }
        Answer::Ack
    }

    fn refuse(&mut self, error: &ExchangeError) -> Result<(), SessionError> {
        let reason = chain(error);
        self.happened(EventKind::Refused {
            reason: reason.clone(),
        });
        self.answer(&Answer::Refused { reason })
    }

    pub(super) fn answer(&mut self, answer: &Answer) -> Result<(), SessionError> {
        let Some(call) = self.pending.take() else {
            return Err(SessionError::Over {
                reason: self.evidence.end.to_string(),
            });
        };
        if let Err(error) = exchange::answer(self.machine.as_ref(), &call, answer) {
            return Err(self.over(End::MachineDied {
                reason: chain(&error),
            }));
        }
        self.resume()
    }

    pub(super) fn resume(&mut self) -> Result<(), SessionError> {
        self.machine
            .resume()
            .map_err(|error| self.over(machine_died(&error)))
    }

    pub(super) fn over(&mut self, end: End) -> SessionError {
        self.pending = None;
        let reason = end.to_string();
        self.evidence.end = end;
        SessionError::Over { reason }
    }
}

/// That much later.
fn later(than: GuestTime, by: Nanos) -> GuestTime {
    GuestTime(Nanos(than.0.0.saturating_add(by.0)))
}
