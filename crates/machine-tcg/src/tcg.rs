//! [`TcgMachine`]: the `Machine` on top of a launched QEMU.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use guestmem::{AddressSpace, GuestVirt, PhysMem};
use machine::{
    Backend, Call, Caps, Event, ExitReason, ExitReport, HookHit, HookId, HookSpec, Instrument, Machine,
    MachineError, Registers, WatchHit, WatchId, WatchSpec,
};
use rustix::event::{PollFd, PollFlags};
use tcg_channel::{Cause, Command, Condition, FUNCTION_ENTRIES, REGISTERS, Report};

use crate::exit::Remains;
use crate::fork::{self, ForkCost, ForkError};
use crate::launch::{LaunchError, Parts, launch};
use crate::link::{Received, wait};
use crate::saved::{self, SaveError, Saved};
use crate::{TcgConfig, memfd};

/// How long the plugin may take to answer a question: it waits for nothing else.
const ANSWER: Duration = Duration::from_secs(30);
/// How long QEMU may take to exit once it has closed its end of the channel.
const EXIT_GRACE: Duration = Duration::from_secs(5);

/// A machine that QEMU's translator executes: deterministic, with any number of hooks and watches.
#[derive(Debug)]
pub struct TcgMachine {
    parts: Parts,
    state: State,
    /// Hooks and watches so far, the removed ones too.
    instruments: Vec<Kind>,
    /// Bytes of the console that were told as events, of those that this machine wrote itself.
    told: u64,
    /// What has happened and was not told yet.
    held: VecDeque<Event>,
    /// The report that the machine is frozen in, or was last.
    last: Option<Report>,
    /// The last registers with page tables in them, by which the kernel's code is found.
    walker: Registers,
    /// What a fork is the fork of, and what it took.
    origin: Option<(Saved, ForkCost)>,
}

/// What an index names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Hook,
    Watch,
}

/// The states of the `machine` crate's picture.
#[derive(Debug)]
enum State {
    /// Before the first instruction, or a fork whose past was not told yet.
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
    ///
    /// # Errors
    /// [`LaunchError`].
    pub fn launch(config: &TcgConfig) -> Result<TcgMachine, LaunchError> {
        Ok(TcgMachine::new(launch(config)?, None))
    }

    /// A new machine where `saved` left off: frozen, with hooks to be set. Like the original it is resumed once to
    /// its call: that brings the original's console and the call as events, and executes nothing. `config` is the
    /// original's but for the seed, which feeds what the fork draws from now on.
    ///
    /// # Errors
    /// [`ForkError`].
    pub fn fork(config: &TcgConfig, saved: &Saved) -> Result<TcgMachine, ForkError> {
        let (parts, cost) = fork::fork(config, saved)?;
        Ok(TcgMachine::new(parts, Some((saved.clone(), cost))))
    }

    fn new(parts: Parts, origin: Option<(Saved, ForkCost)>) -> TcgMachine {
        TcgMachine {
            parts,
            state: State::New,
            instruments: Vec::new(),
            told: 0,
            held: VecDeque::new(),
            last: None,
            walker: Registers::default(),
            origin,
        }
    }

    /// What this fork took, in host time; `None` for a machine that was booted.
    pub fn fork_cost(&self) -> Option<ForkCost> {
        self.origin.as_ref().map(|(_, cost)| *cost)
    }

    fn save_into(&mut self, directory: &Path) -> Result<(), SaveError> {
        match (&self.state, self.last) {
            (State::Frozen, Some(call))
                if call.cause == Cause::Call && self.held.is_empty() && self.origin.is_none() =>
            {
                saved::save(&mut self.parts, &call, directory)
            }
            (State::Frozen, _) if self.origin.is_some() => Err(SaveError::State { found: "a fork" }),
            _ => Err(SaveError::State {
                found: self.state.name(),
            }),
        }
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

    fn kind(&self, index: u32) -> Option<Kind> {
        self.instruments.get(index as usize).copied()
    }

    /// The plugin reads commands only while the guest stands still.
    fn stands_still(&self, operation: &'static str) -> Result<(), MachineError> {
        match self.state {
            State::New | State::Frozen => Ok(()),
            State::Running | State::Ended(_) => Err(self.needs(operation, "frozen")),
        }
    }

    /// Does a function of the kernel begin there that the plugin sees to?
    fn is_entry(&self, at: GuestVirt) -> bool {
        let registers = &self.walker;
        let space = AddressSpace::new(self.memory(), registers.cr3, registers.paging_levels());
        let begins_with = |entry: &&[u8]| {
            let mut bytes = vec![0; entry.len()];
            space.read(at, &mut bytes).is_ok() && bytes == **entry
        };
        at.0 >> 63 == 1 && FUNCTION_ENTRIES.iter().any(begins_with)
    }

    fn instrument(&mut self, kind: Kind, command: Command) -> Result<u32, MachineError> {
        self.send(command)?;
        let index = self.instruments.len() as u32;
        self.instruments.push(kind);
        Ok(index)
    }

    /// The plugin's answer to a question.
    fn answer(&mut self) -> Result<Report, MachineError> {
        let deadline = Instant::now() + ANSWER;
        loop {
            match self
                .parts
                .link
                .receive()
                .map_err(channel_error("read an answer"))?
            {
                Received::Report(report) => return Ok(*report),
                Received::Nothing if Instant::now() < deadline => {}
                other => {
                    return Err(MachineError::Protocol {
                        what: format!("{other:?} in place of an answer"),
                    });
                }
            }
            let mut fds = [PollFd::from_borrowed_fd(self.parts.link.as_fd(), PollFlags::IN)];
            wait(&mut fds, deadline).map_err(channel_error("wait for an answer"))?;
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
        match report.cause {
            Cause::Call => Ok(Event::Call(Call {
                registers,
                buffer: GuestVirt(registers.rdi),
                len: registers.rsi,
                capacity: registers.rdx,
            })),
            Cause::Hook { index, hits } if self.kind(index) == Some(Kind::Hook) => Ok(Event::Hook(HookHit {
                hook: HookId(index),
                hits,
                registers,
            })),
            Cause::Watch {
                index,
                hits,
                old,
                new,
            } if self.kind(index) == Some(Kind::Watch) => Ok(Event::Watch(WatchHit {
                watch: WatchId(index),
                hits,
                ip: GuestVirt(registers.rip),
                per_cpu_base: registers.per_cpu_base(),
                old,
                new,
            })),
            Cause::Hook { .. } | Cause::Watch { .. } | Cause::Count { .. } | Cause::Ready => {
                Err(MachineError::Protocol {
                    what: format!(
                        "{:?} of {} hooks and watches",
                        report.cause,
                        self.instruments.len()
                    ),
                })
            }
        }
    }

    fn stopped_at(&mut self, report: Report) {
        self.last = Some(report);
        let registers = registers_of(&report);
        // A store's report has no page tables.
        if registers.cr3 != 0 {
            self.walker = registers;
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
                    self.stopped_at(*report);
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

    /// A fork's first resume: it stands in the original's call, so what brought the original there is told.
    fn recall(&mut self) -> Result<(), MachineError> {
        let Some((saved, _)) = &self.origin else {
            return Ok(());
        };
        let call = saved.call();
        if !saved.console().is_empty() {
            self.held.push_back(Event::Console(saved.console().to_vec()));
        }
        let event = self.event(&call)?;
        self.held.push_back(event);
        self.stopped_at(call);
        self.state = State::Frozen;
        Ok(())
    }

    fn inherited_console(&self) -> &[u8] {
        self.origin.as_ref().map_or(&[], |(saved, _)| saved.console())
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
            late_hooks: true,
            max_watches: None,
            saves: true,
        }
    }

    fn memory(&self) -> &dyn PhysMem {
        &self.parts.ram
    }

    fn hook(&mut self, at: GuestVirt, spec: HookSpec) -> Result<HookId, MachineError> {
        self.stands_still("hook")?;
        if !matches!(self.state, State::New) && !self.is_entry(at) {
            return Err(MachineError::Hook {
                at,
                reason: "after the first `resume`, only the first instruction of a kernel function that ftrace could \
                         trace, or of a BPF program, can be hooked; set this hook before"
                    .to_owned(),
            });
        }
        let command = Command::Hook {
            address: at.0,
            every: spec.every,
        };
        Ok(HookId(self.instrument(Kind::Hook, command)?))
    }

    fn watch(&mut self, at: GuestVirt, spec: WatchSpec) -> Result<WatchId, MachineError> {
        self.stands_still("watch")?;
        if at.0 >> 63 == 0 || at.0.checked_add(spec.width.bytes()).is_none() {
            return Err(MachineError::Watch {
                at,
                reason: "only the kernel's addresses can be watched; name one in its half".to_owned(),
            });
        }
        let command = Command::Watch {
            address: at.0,
            width: spec.width as u16,
            condition: condition(spec.when),
            every: spec.every,
            current: spec.now,
        };
        Ok(WatchId(self.instrument(Kind::Watch, command)?))
    }

    fn remove(&mut self, which: Instrument) -> Result<(), MachineError> {
        self.stands_still("remove")?;
        self.send(Command::Remove {
            index: index_of(which),
        })
    }

    fn hits(&mut self, which: Instrument) -> Result<u64, MachineError> {
        self.stands_still("hits")?;
        let index = index_of(which);
        self.send(Command::Count { index })?;
        match self.answer()?.cause {
            Cause::Count { index: of, hits } if of == index => Ok(hits),
            cause => Err(MachineError::Protocol {
                what: format!("{cause:?} in place of a count"),
            }),
        }
    }

    fn next(&mut self, deadline: Instant) -> Result<Event, MachineError> {
        if let Some(event) = self.held.pop_front() {
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
        self.held.push_back(event);
        Ok(Event::Console(text))
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        if !matches!(self.state, State::New | State::Frozen) || !self.held.is_empty() {
            return Err(self.needs("resume", "frozen"));
        }
        if matches!(self.state, State::New) && self.origin.is_some() {
            return self.recall();
        }
        self.send(Command::Resume)?;
        self.state = State::Running;
        Ok(())
    }

    fn console(&self) -> Result<Vec<u8>, MachineError> {
        let own = memfd::content(&self.parts.console).map_err(MachineError::Console)?;
        Ok([self.inherited_console(), &own].concat())
    }

    fn save(mut self: Box<Self>, into: &Path) -> Result<(), MachineError> {
        let saved = self.save_into(into);
        self.parts.process.end();
        saved.map_err(|error| MachineError::Save(Box::new(error)))
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
        let console = self.console().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read the console of a machine that has ended");
            Vec::new()
        });
        ExitReport { reason, console }
    }
}

fn index_of(which: Instrument) -> u32 {
    match which {
        Instrument::Hook(HookId(index)) | Instrument::Watch(WatchId(index)) => index,
    }
}

/// The condition as the channel has it.
fn condition(when: machine::When) -> Condition {
    match when {
        machine::When::Stored => Condition::Stored,
        machine::When::Changed => Condition::Changed,
        machine::When::Equal(value) => Condition::Equal(value),
        machine::When::AtLeast(value) => Condition::AtLeast(value),
        machine::When::AtMost(value) => Condition::AtMost(value),
        machine::When::BitsSet(mask) => Condition::BitsSet(mask),
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
