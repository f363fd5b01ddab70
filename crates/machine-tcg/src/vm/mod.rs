//! [`TcgMachine`]: the `Machine` on top of a launched QEMU.
//!
//! `state` has its life, `events` what it reports, `instruments` its hooks and watches, `registers` their values' names.

mod events;
mod instruments;
mod registers;
mod state;

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use guestmem::{GuestVirt, PageTables, PhysMem, RamLayout};
use machine::{
    BackendKind, Caps, Event, ExitReason, ExitReport, HookId, HookSpec, Instrument, Machine, MachineError,
    VcpuId, WatchId, WatchSpec,
};
use tcg_channel::{Cause, Command, Report};

use crate::fork::{self, ForkCost, TcgForkError};
use crate::launch::{LaunchError, Parts, launch};
use crate::ram::GuestRam;
use crate::saved::{self, SaveError, Saved};
use crate::{TcgConfig, duplicate, memfd};
use instruments::Kind;
use state::State;

/// A machine that QEMU's translator executes: deterministic, with any number of hooks and watches.
#[derive(Debug)]
pub struct TcgMachine {
    parts: Parts,
    state: State,
    /// The vCPU of every report; `None` where there are several, since QEMU 10.0 does not report which one it is.
    only_vcpu: Option<VcpuId>,
    /// It has given up watches and late hooks.
    unobserved: bool,
    /// What each index names, removed hooks and watches included.
    instruments: Vec<Kind>,
    /// Bytes of this machine's own console that were reported as events.
    console_reported: u64,
    /// Events that have happened and were not returned yet.
    pending: VecDeque<Event>,
    /// The report that froze the machine last.
    last_report: Option<Report>,
    /// The last page tables that were reported: the kernel's code is read by them.
    page_tables: Option<PageTables>,
    origin: Origin,
    /// What the guest wrote to its console before this process executed it.
    console_before: Arc<[u8]>,
    layout: RamLayout,
}

/// Where a machine comes from.
#[derive(Debug)]
enum Origin {
    Boot,
    /// A save, and what the fork of it took.
    Save(Saved, ForkCost),
    /// Another machine.
    Duplicate,
}

/// The abilities of every machine of this backend.
pub(crate) const CAPS: Caps = Caps {
    backend: BackendKind::Tcg,
    deterministic: true,
    max_hooks: None,
    late_hooks: true,
    max_watches: None,
    saves: true,
    duplicates: true,
};

impl TcgMachine {
    /// Starts QEMU and returns when the machine is built and frozen before its first instruction (the firmware's).
    ///
    /// # Errors
    /// [`LaunchError`].
    pub fn launch(config: &TcgConfig) -> Result<TcgMachine, LaunchError> {
        Ok(TcgMachine::new(config, launch(config)?, Origin::Boot))
    }

    /// A new machine at the instant at which `saved` was saved: frozen, and hooks can be set. Its first `resume` queues the
    /// original's console and call as events, and executes nothing. `config` is the original's but for the seed, which
    /// decides what the fork draws at random.
    ///
    /// # Errors
    /// [`TcgForkError`].
    pub fn fork(config: &TcgConfig, saved: &Saved) -> Result<TcgMachine, TcgForkError> {
        let (parts, cost) = fork::fork(config, saved)?;
        Ok(TcgMachine::new(config, parts, Origin::Save(saved.clone(), cost)))
    }

    fn new(config: &TcgConfig, parts: Parts, origin: Origin) -> TcgMachine {
        let console_before = match &origin {
            Origin::Save(saved, _) => saved.console().into(),
            Origin::Boot | Origin::Duplicate => Arc::default(),
        };
        TcgMachine {
            parts,
            state: State::New,
            only_vcpu: (config.machine.topology.cpus() == 1).then_some(VcpuId(0)),
            unobserved: false,
            instruments: Vec::new(),
            console_reported: 0,
            pending: VecDeque::new(),
            last_report: None,
            page_tables: None,
            origin,
            console_before,
            layout: config.ram_layout(),
        }
    }

    /// [`Machine::duplicate`].
    ///
    /// # Errors
    /// [`MachineError::State`], and [`MachineError::Duplicate`] with a [`DuplicateError`](crate::DuplicateError).
    pub fn twin(&mut self) -> Result<TcgMachine, MachineError> {
        if !matches!(self.state, State::Frozen) || !self.pending.is_empty() {
            return Err(self
                .state
                .refuse("duplicate", "frozen, with all its events taken,"));
        }
        let console = self.console()?;
        let parts = duplicate::duplicate(&mut self.parts, &self.layout)
            .map_err(|error| MachineError::Duplicate(error.into()))?;
        tracing::debug!(pid = parts.process.id(), of = self.pid(), "duplicated");
        Ok(TcgMachine {
            parts,
            state: State::Frozen,
            only_vcpu: self.only_vcpu,
            unobserved: self.unobserved,
            instruments: self.instruments.clone(),
            console_reported: 0,
            pending: VecDeque::new(),
            last_report: self.last_report,
            page_tables: self.page_tables,
            origin: Origin::Duplicate,
            console_before: console.into(),
            layout: self.layout.clone(),
        })
    }

    /// What this fork took, in host time; `None` for a machine that is none.
    pub fn fork_cost(&self) -> Option<ForkCost> {
        match &self.origin {
            Origin::Save(_, cost) => Some(*cost),
            Origin::Boot | Origin::Duplicate => None,
        }
    }

    /// QEMU's process id, to look at it with other tools.
    pub fn pid(&self) -> u32 {
        self.parts.process.id()
    }

    fn send(&self, command: Command) -> Result<(), MachineError> {
        self.parts
            .link
            .send(command)
            .map_err(channel_error("send a command"))
    }

    fn save_into(&mut self, directory: &Path) -> Result<(), SaveError> {
        let refused = |found| Err(SaveError::State { found });
        if matches!(self.parts.ram, GuestRam::Private(_)) {
            return refused("a duplicate, or has one");
        }
        match (&self.state, self.last_report) {
            (State::Frozen, Some(call)) if call.cause == Cause::Call && self.pending.is_empty() => {
                let console = self.console().map_err(SaveError::Console)?;
                saved::save(&mut self.parts, &call, console, directory)
            }
            _ => refused(self.state.name()),
        }
    }
}

impl Machine for TcgMachine {
    fn caps(&self) -> Caps {
        CAPS
    }

    fn memory(&self) -> &dyn PhysMem {
        self.parts.ram.memory()
    }

    fn unobserved(&mut self) -> Result<(), MachineError> {
        if !matches!(self.state, State::New) {
            return Err(self.state.refuse("unobserved", "new"));
        }
        self.send(Command::Unobserved)?;
        self.unobserved = true;
        Ok(())
    }

    fn hook(&mut self, at: GuestVirt, spec: HookSpec) -> Result<HookId, MachineError> {
        self.set_hook(at, spec)
    }

    fn watch(&mut self, at: GuestVirt, spec: WatchSpec) -> Result<WatchId, MachineError> {
        self.set_watch(at, spec)
    }

    fn remove(&mut self, which: Instrument) -> Result<(), MachineError> {
        self.remove_instrument(which)
    }

    fn hits(&mut self, which: Instrument) -> Result<u64, MachineError> {
        self.count(which)
    }

    fn next(&mut self, deadline: Instant) -> Result<Event, MachineError> {
        self.next_event(deadline)
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        self.state.require_frozen("resume")?;
        if !self.pending.is_empty() {
            return Err(self.state.refuse("resume", "frozen, with all its events taken,"));
        }
        if let (State::New, Origin::Save(saved, _)) = (&self.state, &self.origin) {
            let saved = saved.clone();
            return self.replay_origin(&saved);
        }
        self.parts.ram.forget();
        self.send(Command::Resume)?;
        self.state = State::Running;
        Ok(())
    }

    fn seed(&mut self, seed: u64) -> Result<(), MachineError> {
        self.state.require_frozen("seed")?;
        self.send(Command::Seed { seed })
    }

    fn console(&self) -> Result<Vec<u8>, MachineError> {
        let own = memfd::content(&self.parts.console).map_err(MachineError::Console)?;
        Ok([&self.console_before, &own[..]].concat())
    }

    fn save(mut self: Box<Self>, into: &Path) -> Result<(), MachineError> {
        let saved = self.save_into(into);
        self.parts.process.end();
        saved.map_err(|error| MachineError::Save(Box::new(error)))
    }

    fn duplicate(&mut self) -> Result<Box<dyn Machine>, MachineError> {
        Ok(Box::new(self.twin()?))
    }

    fn duplicates_depend_on(&self) -> String {
        duplicate::depends_on(self.pid())
    }

    fn kill(mut self: Box<Self>) -> ExitReport {
        let reason = match &self.state {
            State::Ended(reason) => reason.clone(),
            _ => match self.parts.process.ended() {
                Ok(Some(status)) => self.end(Some(status)),
                _ => {
                    self.parts.process.end();
                    ExitReason::Killed
                }
            },
        };
        let console = self.console().unwrap_or_else(|error| {
            tracing::warn!(%error, "the console of a machine that has ended cannot be read");
            Vec::new()
        });
        ExitReport { reason, console }
    }
}

fn channel_error(doing: &'static str) -> impl Fn(io::Error) -> MachineError {
    move |source| MachineError::Channel { doing, source }
}
