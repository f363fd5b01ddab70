//! One run.
//!
//! `commands` asks the guest for things, `events` hears what it does meanwhile, `observing` looks at its kernel.

mod commands;
pub(crate) mod describe;
mod events;
mod observing;
mod requests;

use std::path::Path;
use std::time::{Duration, Instant};

use guestmem::{GuestVirt, PhysMem};
use machine::{Call, HookSpec, Instrument, Machine, MachineError};
use observe::dispatch::Dispatcher;
use record::{Event, EventKind, Evidence, GuestLimits, Step};
use spec::{GuestTime, Nanos};
use wire::{AgentError, Answer, Command, Hello};

use requests::ProgramQuota;

use crate::observer::{HitAction, HitFilter, Observed, Observer, Owner};
use crate::watchdog::{Clock, GuestClock};

/// How long a run may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Guest time that the kernel may take from its first instruction to the agent's first call.
    pub boot: Nanos,
    /// Guest time that a command may take beyond what it is told to take.
    pub silence: Nanos,
    /// Host time for the whole run: the last resort.
    pub host: Duration,
    /// Guest time within which a scheduler must attach, and end when it is asked to.
    pub scheduler: Nanos,
}

impl Limits {
    /// Those that the guest can notice, for the record.
    pub fn of_guest(&self) -> GuestLimits {
        GuestLimits {
            boot: self.boot,
            silence: self.silence,
            scheduler: self.scheduler,
        }
    }

    /// Those of a record; the host has its own.
    pub fn from_guest(guest: &GuestLimits) -> Limits {
        Limits {
            boot: guest.boot,
            silence: guest.silence,
            scheduler: guest.scheduler,
            ..Limits::default()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            boot: Nanos::from_secs(120),
            silence: Nanos::from_secs(30),
            host: Duration::from_secs(1_200),
            scheduler: Nanos::from_secs(30),
        }
    }
}

/// A command could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The agent tried and failed.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The run is over, by this command or an earlier one.
    #[error("the run is over: {reason}")]
    Over {
        /// How it ended.
        reason: String,
    },
    /// The agent replied with something that does not belong to the command.
    #[error("the agent answered {command} with {reply}; this is a defect of schedrig")]
    Mismatch {
        /// The command.
        command: String,
        /// The reply.
        reply: String,
    },
}

/// One run in progress. Between two commands the guest stands still.
pub struct Session {
    machine: Box<dyn Machine>,
    evidence: Evidence,
    /// The call in which the machine is frozen; `None` once the run is over.
    pending: Option<Call>,
    clock: Option<Clock>,
    limits: Limits,
    host_deadline: Instant,
    /// The last guest time that was seen.
    now: GuestTime,
    scheduler: SchedulerLife,
    scheduler_log: Vec<u8>,
    /// Chunks of the file that is being read.
    file: Vec<u8>,
    calls: u64,
    /// The agent's address space: nobody else speaks for it.
    agent: Option<u64>,
    /// Sorts what programs of the guest ask for; made when the first one does.
    dispatcher: Option<Dispatcher>,
    /// What programs have done that is bounded.
    quota: ProgramQuota,
    /// What was asked of this session since somebody wanted it noted.
    script: Option<Vec<Step>>,
    observer: Observer,
}

/// Where the scheduler's program is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SchedulerLife {
    None,
    Attached,
    Gone,
}

impl Session {
    /// Lets a new machine boot until its agent says hello. With a clock, a silent guest is found in guest time.
    pub fn start(
        machine: Box<dyn Machine>,
        clock: Option<GuestClock>,
        limits: Limits,
    ) -> Result<(Session, Hello), Box<Failed>> {
        Session::start_with(machine, clock, limits, Vec::new())
    }

    /// The same, with hooks at these addresses from the first instruction on: at any instruction, be it no function's first.
    pub fn start_with(
        machine: Box<dyn Machine>,
        clock: Option<GuestClock>,
        limits: Limits,
        hooks: Vec<(GuestVirt, HitAction)>,
    ) -> Result<(Session, Hello), Box<Failed>> {
        let mut session = Session {
            machine,
            evidence: Evidence::default(),
            pending: None,
            clock: None,
            limits,
            host_deadline: Instant::now() + limits.host,
            now: GuestTime::default(),
            scheduler: SchedulerLife::None,
            scheduler_log: Vec::new(),
            file: Vec::new(),
            calls: 0,
            agent: None,
            dispatcher: None,
            quota: ProgramQuota::default(),
            script: None,
            observer: Observer::default(),
        };
        let begun = match session.set_hooks(clock, hooks) {
            Ok(()) => session.resume(),
            Err(error) => Err(session.over(describe::machine_died(&error))),
        };
        let hello = begun.and_then(|()| session.hello());
        match hello {
            Ok(hello) => Ok((session, hello)),
            Err(error) => Err(Box::new(Failed {
                error,
                evidence: session.finish(),
            })),
        }
    }

    /// Those that are there from the first instruction on.
    fn set_hooks(
        &mut self,
        clock: Option<GuestClock>,
        hooks: Vec<(GuestVirt, HitAction)>,
    ) -> Result<(), MachineError> {
        self.clock = clock
            .map(|clock| Clock::set(clock, self.machine.as_mut()))
            .transpose()?;
        for (at, act) in hooks {
            let hook = self.machine.hook(at, HookSpec::ALWAYS)?;
            let owner = Owner::User {
                name: at.to_string(),
                function: None,
                only: HitFilter::Always,
                act,
            };
            self.observer.instruments.add(Instrument::Hook(hook), owner);
        }
        Ok(())
    }

    /// Guest RAM; the guest stands still whenever this can be called.
    pub fn memory(&self) -> &dyn PhysMem {
        self.machine.memory()
    }

    /// The last guest time that the guest has told.
    pub fn now(&self) -> GuestTime {
        self.now
    }

    /// The evidence so far.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// The evidence so far with both logs as they stand, to judge the run by before its machine ends.
    pub fn evidence_so_far(&self) -> Evidence {
        let console = self.machine.console().unwrap_or_default();
        Evidence {
            console: describe::text(&console),
            scheduler_log: describe::text(&self.scheduler_log),
            ..self.evidence.clone()
        }
    }

    /// Calls that the guest made so far.
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Saves the machine in the call that it stands in, for its backend to fork, and ends it.
    ///
    /// # Errors
    /// The backend's; the directory may then hold half a save.
    pub fn save(self, into: &Path) -> Result<(), MachineError> {
        self.machine.save(into)
    }

    /// From now on, notes what is asked of the guest.
    pub fn begin_script(&mut self) {
        self.script = Some(Vec::new());
    }

    /// What was noted so far; nothing is noted any more.
    pub fn take_script(&mut self) -> Vec<Step> {
        self.script.take().unwrap_or_default()
    }

    /// Notes a step, however it comes out.
    fn step(&mut self, step: impl FnOnce() -> Step) {
        if let Some(script) = &mut self.script {
            script.push(step());
        }
    }

    /// Adds a happening at the present guest time.
    pub fn happened(&mut self, what: EventKind) {
        self.evidence.events.push(Event { at: self.now, what });
    }

    /// Switches the guest off, ends the machine, and hands over the evidence.
    pub fn finish(self) -> Evidence {
        self.finish_observed().0
    }

    /// The same, with all that was seen beside it.
    pub fn finish_observed(mut self) -> (Evidence, Observed) {
        if self.pending.is_some() {
            match self.answer(&Answer::Command(Command::PowerOff)) {
                Ok(()) => self.await_power_off(),
                Err(error) => {
                    tracing::debug!(%error, "power off");
                }
            }
        }
        self.note_requests();
        let exit = self.machine.kill();
        self.evidence.console = describe::text(&exit.console);
        self.evidence.scheduler_log = describe::text(&self.scheduler_log);
        let mut observed = self.observer.take(self.now, &self.evidence.console);
        for dump in &mut observed.dumps {
            dump.take_timeline(&self.evidence.events);
        }
        (self.evidence, observed)
    }
}

/// A machine that did not come up, with the evidence of it.
#[derive(Debug)]
pub struct Failed {
    /// Why.
    pub error: SessionError,
    /// Console and end.
    pub evidence: Evidence,
}

#[cfg(test)]
mod tests;
