//! [`TcgMachine`]: the `Machine` on top of a launched QEMU.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use guestmem::{GuestVirt, PhysMem};
use machine::{
    Backend, Call, Caps, Event, ExitReason, ExitReport, HookHit, HookId, HookSpec, Machine, MachineError,
    Registers, VcpuId,
};
use rustix::event::{PollFd, PollFlags};

use crate::channel::{Command, REGISTERS, Report, What};
use crate::exit::Remains;
use crate::fork::{self, ForkError};
use crate::launch::{LaunchError, Parts, launch};
use crate::link::{Received, wait};
use crate::save::{self, SaveError, Saved};
use crate::{TcgConfig, memfd};

/// How long QEMU may take to exit once it has closed its end of the channel.
const EXIT_GRACE: Duration = Duration::from_secs(5);

/// A machine that QEMU's translator executes: deterministic, with any number of hooks.
#[derive(Debug)]
pub struct TcgMachine {
    parts: Parts,
    state: State,
    hooks: u32,
    /// Bytes of the console that were told as events.
    told: u64,
    /// What happened after the piece of console that was told last.
    held: Option<Event>,
}

/// The states of the `machine` crate's picture.
#[derive(Debug)]
enum State {
    /// Before the first instruction: hooks can be set.
    New,
    Frozen,
    Running,
    Ended(ExitReason),
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::New => "frozen before its first instruction",
            State::Frozen => "frozen",
            State::Running => "running",
            State::Ended(_) => "ended",
        }
    }
}

impl TcgMachine {
    /// Starts QEMU and returns when the machine is built and frozen before its first instruction (the firmware's).
    pub fn launch(config: &TcgConfig) -> Result<TcgMachine, LaunchError> {
        Ok(TcgMachine {
            parts: launch(config)?,
            state: State::New,
            hooks: 0,
            told: 0,
            held: None,
        })
    }

    /// Saves a machine that is frozen in a call into an existing directory, and ends it. Saves of the same boot have
    /// the same RAM, byte for byte.
    ///
    /// # Errors
    /// [`SaveError`]; the directory may then hold half a save.
    pub fn save(mut self, directory: &Path) -> Result<Saved, SaveError> {
        if !matches!(self.state, State::Frozen) || self.held.is_some() {
            return Err(SaveError::State {
                found: self.state.name(),
            });
        }
        let saved = save::save(&mut self.parts, directory);
        self.parts.process.end();
        saved
    }

    /// A new machine where `saved` left off: frozen, with hooks to be set. The first `resume` returns from the
    /// original's call, so its answer is written before that. `config` is the original's but for the seed, which feeds
    /// what the fork draws from now on.
    ///
    /// # Errors
    /// [`ForkError`].
    pub fn fork(config: &TcgConfig, saved: &Saved) -> Result<TcgMachine, ForkError> {
        Ok(TcgMachine {
            parts: fork::fork(config, saved)?,
            state: State::New,
            hooks: 0,
            told: 0,
            held: None,
        })
    }

    /// QEMU's process id, for people who want to look at it.
    pub fn pid(&self) -> u32 {
        self.parts.process.id()
    }

    fn needs(&self, operation: &'static str, needed: &'static str) -> MachineError {
        MachineError::State {
            operation,
            needed,
            found: self.state.name(),
        }
    }

    fn send(&self, command: Command) -> Result<(), MachineError> {
        self.parts
            .link
            .send(command)
            .map_err(channel_error("send a command"))
    }

    /// The event of a report, which the machine is now frozen in.
    fn event(&self, report: &Report) -> Result<Event, MachineError> {
        let registers = registers_of(report);
        let vcpu = VcpuId(report.vcpu);
        match report.what {
            What::Call => Ok(Event::Call(Call {
                vcpu,
                registers,
                buffer: GuestVirt(registers.rdi),
                len: registers.rsi,
                capacity: registers.rdx,
            })),
            What::Hook { index, hits } if index < self.hooks => Ok(Event::Hook(HookHit {
                hook: HookId(index),
                vcpu,
                hits,
                registers,
            })),
            What::Hook { .. } | What::Ready => Err(MachineError::Protocol {
                what: format!("{:?} of {} hooks", report.what, self.hooks),
            }),
        }
    }

    /// Waits for what happens next in the guest, its console aside.
    fn happening(&mut self, deadline: Instant) -> Result<Event, MachineError> {
        if !matches!(self.state, State::Running) {
            return Err(self.needs("next", "running"));
        }
        loop {
            // The process first, the channel second: what was sent before the end is still told.
            let ended = self
                .parts
                .process
                .ended()
                .map_err(channel_error("look after QEMU"))?;
            match self
                .parts
                .link
                .receive()
                .map_err(channel_error("read a report"))?
            {
                Received::Report(report) => {
                    self.state = State::Frozen;
                    return self.event(&report);
                }
                Received::Nonsense(len) => {
                    return Err(MachineError::Protocol {
                        what: format!("a packet of {len} bytes"),
                    });
                }
                Received::HungUp => {
                    let status = self.parts.process.kill_after(EXIT_GRACE);
                    return Ok(Event::Exit(self.ended(status)));
                }
                Received::Nothing if ended.is_some() => return Ok(Event::Exit(self.ended(ended))),
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

    /// QEMU is gone, with this status: judges why.
    fn ended(&mut self, status: Option<ExitStatus>) -> ExitReason {
        let reason = self.parts.qmp.shutdown_reason();
        let remains = Remains {
            status,
            reason: reason.as_deref(),
            console: &memfd::content(&self.parts.console).unwrap_or_default(),
            stderr: &memfd::content(&self.parts.stderr).unwrap_or_default(),
        };
        let verdict = remains.verdict();
        self.state = State::Ended(verdict.clone());
        verdict
    }
}

impl Machine for TcgMachine {
    fn caps(&self) -> Caps {
        Caps {
            backend: Backend::Tcg,
            deterministic: true,
            max_hooks: None,
            late_hooks: false,
        }
    }

    fn memory(&self) -> &dyn PhysMem {
        &self.parts.ram
    }

    fn hook(&mut self, at: GuestVirt, spec: HookSpec) -> Result<HookId, MachineError> {
        if !matches!(self.state, State::New) {
            return Err(MachineError::Hook {
                at,
                reason: format!(
                    "this backend takes hooks before the first `resume` only, and the machine is {}",
                    self.state.name()
                ),
            });
        }
        self.send(Command::Hook {
            address: at.0,
            every: spec.every,
        })?;
        let id = HookId(self.hooks);
        self.hooks += 1;
        Ok(id)
    }

    fn next(&mut self, deadline: Instant) -> Result<Event, MachineError> {
        if let Some(event) = self.held.take() {
            return Ok(event);
        }
        let event = self.happening(deadline)?;
        if event == Event::Deadline {
            // A host time is no place to part the console: it would be another one each time.
            return Ok(event);
        }
        let text = memfd::content_from(&self.parts.console, self.told).map_err(MachineError::Console)?;
        if text.is_empty() {
            return Ok(event);
        }
        self.told += text.len() as u64;
        self.held = Some(event);
        Ok(Event::Console(text))
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        if !matches!(self.state, State::New | State::Frozen) || self.held.is_some() {
            return Err(self.needs("resume", "frozen"));
        }
        self.send(Command::Go)?;
        self.state = State::Running;
        Ok(())
    }

    fn console(&self) -> Result<Vec<u8>, MachineError> {
        memfd::content(&self.parts.console).map_err(MachineError::Console)
    }

    fn kill(mut self: Box<Self>) -> ExitReport {
        let reason = match &self.state {
            State::Ended(reason) => reason.clone(),
            _ => match self.parts.process.ended() {
                Ok(Some(status)) => self.ended(Some(status)),
                _ => {
                    self.parts.process.end();
                    ExitReason::Killed
                }
            },
        };
        let console = memfd::content(&self.parts.console).unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read the console of a machine that has ended");
            Vec::new()
        });
        ExitReport { reason, console }
    }
}

fn channel_error(doing: &'static str) -> impl Fn(io::Error) -> MachineError {
    move |source| MachineError::Channel { doing, source }
}

/// The registers of a report by name.
fn registers_of(report: &Report) -> Registers {
    let mut registers = Registers::default();
    for (name, value) in REGISTERS.into_iter().zip(report.registers) {
        if let Some(slot) = slot(&mut registers, name) {
            *slot = value;
        }
    }
    registers
}

/// The place of the register that QEMU calls `name`.
fn slot<'r>(registers: &'r mut Registers, name: &str) -> Option<&'r mut u64> {
    Some(match name {
        "rax" => &mut registers.rax,
        "rbx" => &mut registers.rbx,
        "rcx" => &mut registers.rcx,
        "rdx" => &mut registers.rdx,
        "rsi" => &mut registers.rsi,
        "rdi" => &mut registers.rdi,
        "rbp" => &mut registers.rbp,
        "rsp" => &mut registers.rsp,
        "r8" => &mut registers.r8,
        "r9" => &mut registers.r9,
        "r10" => &mut registers.r10,
        "r11" => &mut registers.r11,
        "r12" => &mut registers.r12,
        "r13" => &mut registers.r13,
        "r14" => &mut registers.r14,
        "r15" => &mut registers.r15,
        "rip" => &mut registers.rip,
        "eflags" => &mut registers.rflags,
        "cr3" => &mut registers.cr3,
        "cr4" => &mut registers.cr4,
        "gs_base" => &mut registers.gs_base,
        "k_gs_base" => &mut registers.k_gs_base,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reported_register_has_its_own_place() {
        let mut registers = Registers::default();
        for (value, name) in (1..).zip(REGISTERS) {
            let slot = slot(&mut registers, name).unwrap_or_else(|| panic!("{name} has no place"));
            assert_eq!(*slot, 0, "{name} shares a place");
            *slot = value;
        }
        assert_eq!(registers.rax, 1);
        assert_eq!(registers.rip, 17);
        assert_eq!(registers.k_gs_base, 22);
    }
}
