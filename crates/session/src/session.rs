//! One run.
//!
//! `apply` has the guest do things, `events` handles what it does meanwhile, `observing` looks at its kernel.

mod apply;
pub(crate) mod describe;
mod events;
mod observing;
mod programs;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guestmem::{GuestVirt, PhysMem};
use machine::{AddressSpaceId, Call, Machine, MachineError};
use observe::{HitAction, LookError, Observed, Observer};
use record::{End, Event, EventKind, Evidence, GuestLimits};
use serde::{Deserialize, Serialize};
use spec::{GuestTime, Nanos, Op, OpError};
use wire::Hello;

use crate::closure::Program;
use crate::programs::Programs;
use crate::replay::ReplayError;
use crate::standing::{Standing, StandingError};
use crate::status::Status;
use crate::watchdog::{Clock, GuestClock};

/// How long a run may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Guest time that the kernel may take from its first instruction to the agent's first call.
    pub boot: Nanos,
    /// Guest time that an op may take beyond what it is meant to take.
    pub silence: Nanos,
    /// Host time for the whole run: the last resort.
    pub host: Duration,
    /// Guest time within which a scheduler must attach or load one more BPF program, and end when it is asked to.
    pub scheduler: Nanos,
}

impl Limits {
    /// The limits that the guest can notice, for the record.
    pub fn of_guest(&self) -> GuestLimits {
        GuestLimits {
            boot: self.boot,
            silence: self.silence,
            scheduler: self.scheduler,
        }
    }

    /// The limits of a record; the host's own limit is the default.
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
            scheduler: Nanos::from_secs(300),
        }
    }
}

/// An op could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It was refused, or it failed in the guest.
    #[error(transparent)]
    Op(#[from] OpError),
    /// The guest's kernel, which it writes to, is not found.
    #[error(transparent)]
    Kernel(#[from] LookError),
    /// The program that it puts into the guest is not here as it should be.
    #[error(transparent)]
    Program(#[from] Box<ReplayError>),
    /// The run is over, by this op or an earlier one.
    #[error("the run is over: {reason}")]
    Over {
        /// How it ended.
        reason: String,
    },
    /// The agent replied with something that does not belong to what it was asked.
    #[error("the agent answered {asked} with {reply}; this is a defect of schedrig")]
    Mismatch {
        /// What it was asked.
        asked: String,
        /// The reply.
        reply: String,
    },
}

impl SessionError {
    /// `reply` does not belong to what was `asked`.
    pub fn mismatch(asked: &str, reply: &dyn std::fmt::Debug) -> SessionError {
        let reply: String = format!("{reply:?}").chars().take(MAX_REPLY_SHOWN).collect();
        SessionError::Mismatch {
            asked: asked.to_owned(),
            reply,
        }
    }
}

/// Characters of a wrong reply that an error shows.
const MAX_REPLY_SHOWN: usize = 120;

/// One run in progress. Between two ops the guest stands still.
pub struct Session {
    machine: Box<dyn Machine>,
    evidence: Evidence,
    /// The call in which the machine is frozen; `None` once the run is over.
    pending: Option<Call>,
    clock: Option<Clock>,
    limits: Limits,
    host_deadline: Instant,
    /// The last guest time that the guest has reported.
    now: GuestTime,
    scheduler: SchedulerLife,
    /// It was started since the machine was forked from the layer that it is of.
    started_scheduler: bool,
    /// How many BPF programs its objects have; 0 where they are not known.
    bpf_programs: usize,
    scheduler_log: Vec<u8>,
    /// Pieces of the file that is being read.
    file: Vec<u8>,
    /// Programs whose contents are at hand for the ops that put them.
    supplies: Vec<Arc<Program>>,
    /// Programs that were put into the guest.
    put: Vec<Arc<Program>>,
    calls: u64,
    /// The agent's address space: a call from another one is a program's.
    agent: Option<AddressSpaceId>,
    /// What programs of the guest have asked for.
    programs: Programs,
    /// The ops since [`Session::begin_script`].
    script: Option<Vec<Op>>,
    observer: Observer,
    status: Arc<Status>,
}

/// What a session has from its machine's first instruction on.
#[derive(Default)]
pub struct Start {
    /// By which a silent guest is found in guest time.
    pub clock: Option<GuestClock>,
    /// How long things may take.
    pub limits: Limits,
    /// Hooks, each at any instruction's address.
    pub hooks: Vec<(GuestVirt, HitAction)>,
    /// Nobody looks at this machine; it only comes to where it is saved.
    pub unobserved: bool,
    /// Where the session says what it is doing.
    pub status: Arc<Status>,
}

/// Where the scheduler's program is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) enum SchedulerLife {
    #[default]
    None,
    Attached,
    Gone,
}

/// A machine could not be saved, or not what its session knows.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// The machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// What its session knows.
    #[error(transparent)]
    Standing(#[from] StandingError),
}

impl Session {
    /// Lets a new machine boot until its agent says hello. With a clock, a silent guest is found in guest time.
    pub fn start(
        machine: Box<dyn Machine>,
        clock: Option<GuestClock>,
        limits: Limits,
    ) -> Result<(Session, Hello), Box<Failed>> {
        let start = Start {
            clock,
            limits,
            ..Start::default()
        };
        Session::start_with(machine, start)
    }

    /// [`Session::start`] with all that a run can have from its first instruction on.
    pub fn start_with(machine: Box<dyn Machine>, start: Start) -> Result<(Session, Hello), Box<Failed>> {
        let Start {
            clock,
            limits,
            hooks,
            unobserved,
            status,
        } = start;
        let mut session = Session::on(machine, Standing::default(), limits, status);
        let begun = match session.set_hooks(clock, hooks, unobserved) {
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

    /// Goes on with a fork of a machine that was saved by [`Session::save`].
    ///
    /// # Errors
    /// [`Failed`] where it does not come up in the call that it was saved in.
    pub fn go_on(
        machine: Box<dyn Machine>,
        standing: Standing,
        start: Start,
    ) -> Result<Session, Box<Failed>> {
        let Start {
            clock,
            limits,
            hooks,
            unobserved,
            status,
        } = start;
        let mut session = Session::on(machine, standing, limits, status);
        let begun = match session.set_hooks(clock, hooks, unobserved) {
            Ok(()) => session.resume(),
            Err(error) => Err(session.over(describe::machine_died(&error))),
        };
        match begun.and_then(|()| session.stand_again()) {
            Ok(()) => Ok(session),
            Err(error) => Err(Box::new(Failed {
                error,
                evidence: session.finish(),
            })),
        }
    }

    /// A second session with a duplicate of the machine. It knows what this one knows, its clock, its script, and what the
    /// monitor has sampled included; what else is observed, and the hooks of whoever observes, begin anew.
    ///
    /// # Errors
    /// The backend's.
    pub fn twin(&mut self) -> Result<Session, MachineError> {
        let machine = self.machine.duplicate()?;
        let mut twin = Session::on(machine, self.standing(), self.limits, Arc::default());
        twin.pending.clone_from(&self.pending);
        twin.agent = self.agent;
        twin.clock.clone_from(&self.clock);
        twin.script.clone_from(&self.script);
        twin.put.clone_from(&self.put);
        twin.started_scheduler = self.started_scheduler;
        twin.programs = self.programs.clone();
        twin.observer = self.observer.anew(twin.machine.as_mut())?;
        Ok(twin)
    }

    /// The ops that were noted so far.
    pub fn script(&self) -> &[Op] {
        self.script.as_deref().unwrap_or_default()
    }

    /// What the correctness of twins depends on.
    pub fn duplicates_depend_on(&self) -> String {
        self.machine.duplicates_depend_on()
    }

    /// The run begins here: what came before was the same for many. Its clock and its limits count from now on.
    ///
    /// # Errors
    /// The backend's.
    pub fn begin(
        &mut self,
        clock: Option<GuestClock>,
        limits: Limits,
        status: Arc<Status>,
    ) -> Result<(), MachineError> {
        let anew = match clock.map(|clock| Clock::set(clock, self.machine.as_mut())) {
            // A kernel whose tick cannot be hooked now keeps the clock that it has had since its first instruction.
            Some(Err(MachineError::Hook { .. })) => None,
            anew => anew.transpose()?,
        };
        if let Some(anew) = anew {
            if let Some(before) = self.clock.replace(anew) {
                before.unset(self.machine.as_mut())?;
            }
            self.advance_clock(self.now);
        }
        self.go_on_within(limits, status);
        Ok(())
    }

    /// From now on the limits count anew, and `status` tells what is done.
    pub fn go_on_within(&mut self, limits: Limits, status: Arc<Status>) {
        self.limits = limits;
        self.status = status;
        self.host_deadline = Instant::now() + limits.host;
    }

    /// The host's time that somebody else took while this machine stood still is no part of its limit.
    pub fn forgive(&mut self, took: Duration) {
        self.host_deadline += took;
    }

    /// What this session knows.
    fn standing(&self) -> Standing {
        Standing {
            evidence: self.evidence.clone(),
            now: self.now,
            scheduler: self.scheduler,
            scheduler_log: self.scheduler_log.clone(),
            calls: self.calls,
        }
    }

    fn on(machine: Box<dyn Machine>, standing: Standing, limits: Limits, status: Arc<Status>) -> Session {
        let Standing {
            evidence,
            now,
            scheduler,
            scheduler_log,
            calls,
        } = standing;
        Session {
            machine,
            evidence,
            pending: None,
            clock: None,
            limits,
            host_deadline: Instant::now() + limits.host,
            now,
            scheduler,
            started_scheduler: false,
            bpf_programs: 0,
            scheduler_log,
            file: Vec::new(),
            supplies: Vec::new(),
            put: Vec::new(),
            calls,
            agent: None,
            programs: Programs::default(),
            script: None,
            observer: Observer::default(),
            status,
        }
    }

    /// Sets the hooks that are there from the first instruction on.
    fn set_hooks(
        &mut self,
        clock: Option<GuestClock>,
        hooks: Vec<(GuestVirt, HitAction)>,
        unobserved: bool,
    ) -> Result<(), MachineError> {
        if unobserved {
            self.machine.unobserved()?;
        }
        self.clock = clock
            .map(|clock| Clock::set(clock, self.machine.as_mut()))
            .transpose()?;
        for (at, act) in hooks {
            let (observer, mut port) = self.observer();
            observer.hook_at(&mut port, at, act)?;
        }
        Ok(())
    }

    /// Guest RAM; the guest stands still whenever this can be called.
    pub fn memory(&self) -> &dyn PhysMem {
        self.machine.memory()
    }

    /// The last guest time that the guest has reported.
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

    /// Saves the machine in the call that it stands in, for its backend to fork, and what this session knows, and ends the
    /// machine. [`Session::go_on`] takes both.
    ///
    /// # Errors
    /// [`SaveError`]; the directory may then hold half a save.
    pub fn save(self, into: &Path) -> Result<(), SaveError> {
        self.standing().save(into)?;
        Ok(self.machine.save(into)?)
    }

    /// Notes the ops from now on.
    pub fn begin_script(&mut self) {
        self.script = Some(Vec::new());
    }

    /// The ops that were noted; no more are.
    pub fn take_script(&mut self) -> Vec<Op> {
        self.script.take().unwrap_or_default()
    }

    /// Notes an op, whatever comes of it.
    fn note_in_script(&mut self, op: Op) {
        if let Some(script) = &mut self.script {
            script.push(op);
        }
    }

    /// Adds an event at the present guest time to the evidence.
    pub fn happened(&mut self, what: EventKind) {
        self.evidence.events.push(Event { at: self.now, what });
    }

    /// Ends the machine where it stands, and hands over the evidence.
    pub fn finish(self) -> Evidence {
        self.finish_observed().0
    }

    /// [`Session::finish`], with everything that was observed beside the evidence.
    pub fn finish_observed(mut self) -> (Evidence, Observed) {
        if self.pending.is_some() {
            self.evidence.end = End::Finished;
        }
        self.note_programs();
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
