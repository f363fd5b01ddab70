//! The owner loop of one run.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use guestmem::PhysMem;
use introspect::{DebugInfo, GuestKernel, Question};
use machine::{
    Call, Event as MachineEvent, ExitReason, HookId, HookSpec, Instrument, Machine, MachineError, VcpuId,
    WatchId, WatchSpec, When, Width,
};
use observe::Place;
use record::{
    Content, Dump, End, Event, Evidence, GuestLimits, Happening, Observation, SchedExt, Step, Window,
};
use spec::{CgroupSpec, ExitStatus, GroupName, GuestTime, Nanos, Work, WorkerId};
use wire::{AgentError, Answer, Command, Hello, Notice, PROTOCOL_VERSION, Reply, Request};

use crate::chain::chain;
use crate::closure::Program;
use crate::exchange::{self, ExchangeError};
use crate::guard::Guard;
use crate::instruments::{Act, Hit, HitKind, InstrumentError, Instruments};
use crate::lookout::{LookError, Lookout};
use crate::watchdog::GuestClock;

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
    clock: Option<(GuestClock, HookId)>,
    limits: Limits,
    host_deadline: Instant,
    /// The last guest time that was seen.
    now: GuestTime,
    scheduler: SchedulerLife,
    scheduler_log: Vec<u8>,
    /// Chunks of the file that is being read.
    file: Vec<u8>,
    calls: u64,
    /// What was asked of this session since somebody wanted it noted.
    script: Option<Vec<Step>>,
    lookout: Lookout,
    instruments: Instruments,
    guard: Guard,
}

/// Where the scheduler's program is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SchedulerLife {
    None,
    Attached,
    Gone,
}

/// The longest file that is read from a guest, in bytes: /proc/kallsyms takes about 12 MiB.
const MAX_FILE: usize = 128 << 20;

impl Session {
    /// Lets a new machine boot until its agent says hello. With a clock, a silent guest is found in guest time.
    pub fn start(
        mut machine: Box<dyn Machine>,
        clock: Option<GuestClock>,
        limits: Limits,
    ) -> Result<(Session, Hello), Box<Failed>> {
        let hooked = match &clock {
            Some(found) => found.hook(machine.as_mut()),
            None => Ok(HookId(0)),
        };
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
            script: None,
            lookout: Lookout::default(),
            instruments: Instruments::default(),
            guard: Guard::default(),
        };
        let hello = match hooked {
            Ok(hook) => {
                session.clock = clock.map(|clock| (clock, hook));
                session.resume().and_then(|()| session.hello())
            }
            Err(error) => Err(session.over(machine_died(&error))),
        };
        match hello {
            Ok(hello) => Ok((session, hello)),
            Err(error) => Err(Box::new(Failed {
                error,
                evidence: session.finish(),
            })),
        }
    }

    /// Guest RAM; the guest stands still whenever this can be called.
    pub fn memory(&self) -> &dyn PhysMem {
        self.machine.memory()
    }

    /// Tells names and types of the guest's kernel, without which it cannot be looked at.
    pub fn set_debug_info(&mut self, info: Arc<DebugInfo>) {
        self.lookout.set_debug_info(info);
    }

    /// The guest's kernel as it stands now: between two commands nothing in it moves.
    ///
    /// # Errors
    /// [`LookError`] when it is not found in the guest's memory.
    pub fn kernel(&mut self) -> Result<GuestKernel<'_>, LookError> {
        self.lookout.kernel(self.machine.memory())
    }

    /// Has the question asked when the workers have run for that much guest time, in all windows together; to the tick,
    /// if the clock is a fine one ([`GuestClock::finely`]).
    pub fn look_at(&mut self, when: Nanos, question: Question) {
        self.lookout.look_at(when, question);
    }

    /// Asks now.
    pub fn observe(&mut self, question: &Question) {
        self.lookout.observe(self.machine.memory(), self.now, question);
    }

    /// What was seen so far. A question whose time has not come is answered by that.
    pub fn take_observations(&mut self) -> Vec<Observation> {
        let mut seen = self.lookout.take(self.now);
        seen.extend(self.instruments.take(self.now));
        seen.sort_by_key(|observation| observation.at);
        seen
    }

    /// What failures looked like at their instants, so far.
    pub fn take_dumps(&mut self) -> Vec<Dump> {
        self.guard.take()
    }

    /// Watches a number of the kernel: at each store to it after which the condition holds, does what is to be done. The
    /// guest does not notice.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn watch(&mut self, place: &Place, when: When, act: Act) -> Result<WatchId, InstrumentError> {
        let width = Width::of(place.bytes).ok_or_else(|| InstrumentError::Width {
            name: place.name.clone(),
            bytes: place.bytes,
        })?;
        let spec = WatchSpec {
            width,
            when,
            every: u64::from(!matches!(act, Act::Count)),
            now: place.read(&self.kernel()?)?,
        };
        let watch = self.machine.watch(place.at, spec)?;
        self.instruments.add(Instrument::Watch(watch), &place.name, act);
        Ok(watch)
    }

    /// Hooks a function of the kernel: each time it is entered, does what is to be done. The guest does not notice.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn hook(&mut self, function: &str, act: Act) -> Result<HookId, InstrumentError> {
        let at = self.kernel()?.symbol(function)?;
        let spec = HookSpec {
            every: u64::from(!matches!(act, Act::Count)),
        };
        let hook = self.machine.hook(at, spec)?;
        self.instruments.add(Instrument::Hook(hook), function, act);
        Ok(hook)
    }

    /// How often a hook or a watch was hit.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn hits(&mut self, which: Instrument) -> Result<u64, InstrumentError> {
        Ok(self.machine.hits(which)?)
    }

    /// Takes a hook or a watch away.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn remove(&mut self, which: Instrument) -> Result<(), InstrumentError> {
        self.machine.remove(which)?;
        self.instruments.remove(which);
        Ok(())
    }

    /// The last guest time that the guest has told.
    pub fn now(&self) -> GuestTime {
        self.now
    }

    /// The evidence so far.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
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

    /// Seeds what is random from now on: the agent's choices, and the kernel's generator with all that draws on it.
    pub fn seed(&mut self, seed: u64) -> Result<(), SessionError> {
        self.done(Command::Seed { seed })
    }

    /// Puts a file into the guest.
    pub fn put_file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), SessionError> {
        self.step(|| Step::PutFile {
            path: path.to_owned(),
            mode,
            content: Content::of(bytes),
        });
        self.write_file(path, mode, bytes)
    }

    fn write_file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), SessionError> {
        let mut offset = 0;
        let empty: &[u8] = &[];
        for chunk in if bytes.is_empty() {
            vec![empty]
        } else {
            bytes.chunks(wire::call::MAX_CHUNK).collect()
        } {
            self.done(Command::WriteFile {
                path: path.to_owned(),
                mode,
                offset,
                bytes: chunk.to_vec(),
            })?;
            offset += chunk.len() as u64;
        }
        Ok(())
    }

    /// Puts a program and its shared libraries into the guest.
    pub fn put_program(&mut self, program: &Program) -> Result<(), SessionError> {
        self.step(|| Step::PutProgram {
            program: program.sums(),
        });
        program
            .files
            .iter()
            .try_for_each(|file| self.write_file(&file.path, file.mode, &file.bytes))
    }

    /// Reads a file of the guest, whole.
    pub fn read_file(&mut self, path: &str) -> Result<Vec<u8>, SessionError> {
        self.step(|| Step::ReadFile {
            path: path.to_owned(),
        });
        self.file.clear();
        let command = Command::ReadFile {
            path: path.to_owned(),
        };
        match self.command(command, Nanos::ZERO)? {
            Reply::FileRead { len } if len == self.file.len() as u64 => Ok(std::mem::take(&mut self.file)),
            reply => Err(mismatch("ReadFile", &reply)),
        }
    }

    /// Makes a cgroup.
    pub fn make_cgroup(&mut self, group: CgroupSpec) -> Result<(), SessionError> {
        self.step(|| Step::MakeCgroup { group: group.clone() });
        self.done(Command::MakeCgroup(group.clone()))?;
        self.evidence.groups.push(group);
        Ok(())
    }

    /// Makes workers that run from the next window on.
    pub fn spawn(
        &mut self,
        group: &GroupName,
        work: &Work,
        count: u32,
        nice: i8,
    ) -> Result<Vec<WorkerId>, SessionError> {
        self.step(|| Step::Spawn {
            group: group.clone(),
            work: work.clone(),
            count,
            nice,
        });
        let command = Command::Spawn {
            group: group.clone(),
            work: work.clone(),
            count,
            nice,
        };
        match self.command(command, Nanos::ZERO)? {
            Reply::Spawned { workers } => {
                for (id, pid) in &workers {
                    let work = work.to_string();
                    self.happened(Happening::Spawned {
                        id: id.clone(),
                        pid: *pid,
                        work,
                        nice,
                    });
                }
                Ok(workers.into_iter().map(|(id, _)| id).collect())
            }
            reply => Err(mismatch("Spawn", &reply)),
        }
    }

    /// Starts a scheduler's program that is in the guest, and waits until the kernel says that it is attached.
    /// A failure is evidence too.
    pub fn start_scheduler(&mut self, argv: Vec<String>) -> Result<(), SessionError> {
        self.step(|| Step::StartScheduler { argv: argv.clone() });
        let attach_within = self.limits.scheduler;
        let reply = self.command(Command::StartScheduler { argv, attach_within }, attach_within);
        match reply {
            Ok(Reply::SchedulerAttached { pid, ops, at }) => {
                self.now = at;
                self.scheduler = SchedulerLife::Attached;
                self.happened(Happening::SchedulerAttached { ops, pid });
                self.guard_scheduler();
                Ok(())
            }
            Ok(reply) => Err(mismatch("StartScheduler", &reply)),
            Err(error) => {
                self.scheduler_failed(error.to_string());
                Err(error)
            }
        }
    }

    /// Sees to it that the scheduler's failures are caught in the act, where the kernel can be looked at.
    fn guard_scheduler(&mut self) {
        if !self.lookout.has_debug_info() {
            return;
        }
        self.unguard();
        let found = self.lookout.kernel(self.machine.memory());
        let (place, now, ending) = match &found {
            Ok(kernel) => {
                let place = Guard::exit_kind(kernel);
                let now = place.as_ref().and_then(|place| place.read(kernel).ok());
                let ending = Guard::ending(kernel).and_then(|name| kernel.symbol(name).ok());
                (place, now, ending)
            }
            Err(error) => {
                tracing::debug!(%error, "the scheduler is not guarded");
                return;
            }
        };
        let exit_kind = place.zip(now).and_then(|(place, now)| {
            let spec = WatchSpec {
                width: Width::of(place.bytes)?,
                when: Guard::when(),
                every: 1,
                now,
            };
            self.machine.watch(place.at, spec).ok().map(Instrument::Watch)
        });
        let ending = ending.and_then(|at| self.machine.hook(at, HookSpec::ALWAYS).ok());
        self.guard.armed(exit_kind, ending.map(Instrument::Hook));
    }

    /// The memory in which a scheduler was may be another's when it is gone.
    fn unguard(&mut self) {
        for which in self.guard.disarm() {
            if let Err(error) = self.machine.remove(which) {
                tracing::debug!(%error, "the scheduler is guarded on");
            }
        }
    }

    /// Notes that the scheduler could not be brought up.
    pub fn scheduler_failed(&mut self, reason: String) {
        self.happened(Happening::SchedulerFailed { reason });
    }

    /// Asks the scheduler's program to end and waits for it.
    pub fn stop_scheduler(&mut self) -> Result<ExitStatus, SessionError> {
        self.step(|| Step::StopScheduler);
        let within = self.limits.scheduler;
        self.scheduler = SchedulerLife::Gone;
        self.unguard();
        match self.command(Command::StopScheduler { within }, within)? {
            Reply::SchedulerStopped { status } => Ok(status),
            reply => Err(mismatch("StopScheduler", &reply)),
        }
    }

    /// Is a scheduler's program attached, as far as its exit notices tell?
    pub fn scheduler_runs(&self) -> bool {
        self.scheduler == SchedulerLife::Attached
    }

    /// Lets the guest run for `span` of its time, or until the scheduler's program ends.
    pub fn run_for(&mut self, span: Nanos) -> Result<&Window, SessionError> {
        self.step(|| Step::RunFor { span });
        let under_scheduler = self.scheduler_runs();
        self.lookout.open();
        let reply = self.command(Command::RunFor { span }, span);
        match reply? {
            Reply::Ran {
                from,
                to,
                workers,
                sched_ext,
            } => {
                self.now = to;
                self.lookout.close(to.since(from));
                let sched_ext = sched_ext.map(|state| SchedExt {
                    state: state.state,
                    ops: state.ops,
                });
                let windows = &mut self.evidence.windows;
                windows.push(Window {
                    from,
                    to,
                    workers,
                    sched_ext,
                    under_scheduler,
                });
                Ok(&windows[windows.len() - 1])
            }
            reply => Err(mismatch("RunFor", &reply)),
        }
    }

    /// Runs a program that is in the guest to its end: its status, standard output and standard error.
    pub fn exec(
        &mut self,
        argv: Vec<String>,
        within: Nanos,
    ) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), SessionError> {
        self.step(|| Step::Exec {
            argv: argv.clone(),
            within,
        });
        match self.command(Command::Exec { argv, within }, within)? {
            Reply::Exited {
                status,
                stdout,
                stderr,
            } => Ok((status, stdout, stderr)),
            reply => Err(mismatch("Exec", &reply)),
        }
    }

    /// Puts a value into the record.
    pub fn note(&mut self, key: String, value: String) {
        self.step(|| Step::Note {
            key: key.clone(),
            value: value.clone(),
        });
        self.happened(Happening::Note { key, value });
    }

    /// Puts it into the record that the test's body gave up.
    pub fn gave_up(&mut self, reason: String) {
        self.step(|| Step::GaveUp {
            reason: reason.clone(),
        });
        self.happened(Happening::BodyFailed { reason });
    }

    /// Adds a happening at the present guest time.
    pub fn happened(&mut self, what: Happening) {
        self.evidence.events.push(Event { at: self.now, what });
    }

    /// Switches the guest off, ends the machine, and hands over the evidence.
    pub fn finish(mut self) -> Evidence {
        if self.pending.is_some() {
            match self.answer(&Answer::Command(Command::PowerOff)) {
                Ok(()) => self.await_power_off(),
                Err(error) => {
                    tracing::debug!(%error, "power off");
                }
            }
        }
        let exit = self.machine.kill();
        self.evidence.console = text(&exit.console);
        self.evidence.scheduler_log = text(&self.scheduler_log);
        self.evidence
    }

    fn hello(&mut self) -> Result<Hello, SessionError> {
        let boot = self.limits.boot;
        match self.wait("the kernel boots", boot)? {
            Request::Hello(hello) if hello.protocol == PROTOCOL_VERSION => {
                self.now = hello.at;
                let (release, cpus) = (hello.release.clone(), hello.cpus);
                self.happened(Happening::Booted { release, cpus });
                Ok(hello)
            }
            Request::Hello(hello) => Err(self.over(End::MachineDied {
                reason: format!(
                    "the agent speaks protocol {}, and this rig speaks {PROTOCOL_VERSION}",
                    hello.protocol
                ),
            })),
            other => Err(mismatch("boot", &other)),
        }
    }

    fn done(&mut self, command: Command) -> Result<(), SessionError> {
        let name = describe(&command);
        match self.command(command, Nanos::ZERO)? {
            Reply::Done => Ok(()),
            reply => Err(mismatch(&name, &reply)),
        }
    }

    /// Answers the pending call with the command, and waits for its reply; `takes` is the guest time that the
    /// command itself is meant to take.
    fn command(&mut self, command: Command, takes: Nanos) -> Result<Reply, SessionError> {
        let doing = describe(&command);
        self.answer(&Answer::Command(command))?;
        let patience = Nanos(takes.0.saturating_add(self.limits.silence.0));
        match self.wait(&doing, patience)? {
            Request::Reply(reply) => Ok(reply?),
            other => Err(mismatch(&doing, &other)),
        }
    }

    /// The owner loop: handles events until the guest waits for the next command.
    fn wait(&mut self, doing: &str, patience: Nanos) -> Result<Request, SessionError> {
        let limit = GuestTime(Nanos(self.now.0.0.saturating_add(patience.0)));
        loop {
            let event = match self.machine.next(self.host_deadline) {
                Ok(event) => event,
                Err(error) => return Err(self.over(machine_died(&error))),
            };
            match event {
                MachineEvent::Console(bytes) => show(&bytes),
                MachineEvent::Call(call) => {
                    self.calls += 1;
                    let request = exchange::request(self.machine.as_ref(), &call);
                    self.pending = Some(call);
                    match request {
                        Ok(Request::Notice(notice)) => {
                            let answer = self.notice(notice);
                            self.answer(&answer)?;
                        }
                        Ok(request) => return Ok(request),
                        Err(error) => self.refuse(&error)?,
                    }
                }
                MachineEvent::Hook(hit) => {
                    let clock = self.clock.as_ref().filter(|(_, hook)| *hook == hit.hook);
                    let now = clock.and_then(|(clock, _)| clock.now(self.machine.as_ref(), &hit).ok());
                    if let Some(now) = now {
                        self.lookout.tick(self.machine.memory(), now);
                        if self.lookout.has_debug_info()
                            && let Ok(kernel) = self.lookout.kernel(self.machine.memory())
                        {
                            self.guard.tick(now, &kernel);
                        }
                    } else {
                        let which = Instrument::Hook(hit.hook);
                        self.hit(which, hit.vcpu, hit.hits, |_| {
                            HitKind::Entered(Box::new(hit.registers))
                        });
                    }
                    if now.is_some_and(|now| now > limit) {
                        let during = format!("no call for {patience} of guest time while {doing}");
                        return Err(self.over(End::GuestSilent { during }));
                    }
                    self.resume()?;
                }
                MachineEvent::Watch(hit) => {
                    let which = Instrument::Watch(hit.watch);
                    self.hit(which, hit.vcpu, hit.hits, |kernel| {
                        HitKind::stored(kernel, hit.ip, hit.old, hit.new)
                    });
                    self.resume()?;
                }
                MachineEvent::Exit(reason) => return Err(self.over(ended(reason, doing))),
                MachineEvent::Deadline => {
                    let during = format!(
                        "after {} s of host time while {doing}",
                        self.limits.host.as_secs()
                    );
                    return Err(self.over(End::HostDeadline { during }));
                }
            }
        }
    }

    /// A hook or a watch that is not the clock's was hit.
    fn hit(
        &mut self,
        which: Instrument,
        vcpu: VcpuId,
        hits: u64,
        what: impl FnOnce(&GuestKernel<'_>) -> HitKind,
    ) {
        let Ok(kernel) = self.lookout.kernel(self.machine.memory()) else {
            return;
        };
        let clock = self.clock.as_ref();
        let at = clock
            .and_then(|(clock, _)| clock.read(&kernel))
            .unwrap_or(self.now);
        if self.guard.hit(which, at, &kernel) {
            return;
        }
        let Some(name) = self.instruments.name_of(which).map(str::to_owned) else {
            return;
        };
        let hit = Hit {
            at,
            name,
            vcpu,
            hits,
            what: what(&kernel),
        };
        self.instruments.hit(which, &hit, &kernel);
    }

    fn notice(&mut self, notice: Notice) -> Answer {
        match notice {
            Notice::SchedulerLog { at, bytes, .. } => {
                self.now = self.now.max(at);
                self.scheduler_log.extend_from_slice(&bytes);
            }
            Notice::SchedulerExited { at, status, asked } => {
                self.now = self.now.max(at);
                self.scheduler = SchedulerLife::Gone;
                self.happened(Happening::SchedulerExited { status, asked });
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
        self.happened(Happening::Refused {
            reason: reason.clone(),
        });
        self.answer(&Answer::Refused { reason })
    }

    fn answer(&mut self, answer: &Answer) -> Result<(), SessionError> {
        let Some(call) = self.pending.take() else {
            return Err(SessionError::Over {
                reason: describe_end(&self.evidence.end),
            });
        };
        if let Err(error) = exchange::answer(self.machine.as_ref(), &call, answer) {
            return Err(self.over(End::MachineDied {
                reason: chain(&error),
            }));
        }
        self.resume()
    }

    fn resume(&mut self) -> Result<(), SessionError> {
        self.machine
            .resume()
            .map_err(|error| self.over(machine_died(&error)))
    }

    fn over(&mut self, end: End) -> SessionError {
        self.pending = None;
        let reason = describe_end(&end);
        self.evidence.end = end;
        SessionError::Over { reason }
    }

    /// After `PowerOff` was answered: the only proper event is the end.
    fn await_power_off(&mut self) {
        let limit = GuestTime(Nanos(self.now.0.0.saturating_add(self.limits.silence.0)));
        let end = loop {
            match self.machine.next(self.host_deadline) {
                Ok(MachineEvent::Console(bytes)) => show(&bytes),
                Ok(MachineEvent::Exit(ExitReason::PoweredOff)) => break End::PoweredOff,
                Ok(MachineEvent::Exit(reason)) => break ended(reason, "it powered off"),
                Ok(MachineEvent::Call(_)) => {
                    break End::MachineDied {
                        reason: "the agent called again after its power-off".to_owned(),
                    };
                }
                Ok(MachineEvent::Hook(hit)) => {
                    let now = self
                        .clock
                        .as_ref()
                        .and_then(|(clock, _)| clock.now(self.machine.as_ref(), &hit).ok());
                    if now.is_some_and(|now| now > limit) {
                        break End::GuestSilent {
                            during: "it did not power off".to_owned(),
                        };
                    }
                    if let Err(error) = self.machine.resume() {
                        break machine_died(&error);
                    }
                }
                Ok(MachineEvent::Watch(_)) => {
                    if let Err(error) = self.machine.resume() {
                        break machine_died(&error);
                    }
                }
                Ok(MachineEvent::Deadline) => {
                    break End::HostDeadline {
                        during: "while it powered off".to_owned(),
                    };
                }
                Err(error) => break machine_died(&error),
            }
        };
        self.evidence.end = end;
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

fn ended(reason: ExitReason, doing: &str) -> End {
    match reason {
        ExitReason::GuestPanic { message } => End::GuestPanic { message },
        reason @ (ExitReason::PoweredOff | ExitReason::Reset) => End::LeftEarly {
            during: format!("while {doing}: {reason}"),
        },
        reason @ (ExitReason::Died { .. } | ExitReason::Killed) => End::MachineDied {
            reason: format!("{reason}, while {doing}"),
        },
    }
}

fn machine_died(error: &MachineError) -> End {
    End::MachineDied { reason: chain(error) }
}

fn describe_end(end: &End) -> String {
    match end {
        End::PoweredOff => "the guest was switched off".to_owned(),
        End::LeftEarly { during } => format!("the guest went away {during}"),
        End::GuestPanic { message } => format!("the guest kernel panicked: {message}"),
        End::GuestSilent { during } => format!("the guest fell silent: {during}"),
        End::MachineDied { reason } => reason.clone(),
        End::HostDeadline { during } => format!("the host-time limit passed {during}"),
    }
}

fn describe(command: &Command) -> String {
    match command {
        Command::Seed { .. } => "the agent is seeded".to_owned(),
        Command::WriteFile { path, .. } => format!("the agent writes {path}"),
        Command::ReadFile { path } => format!("the agent reads {path}"),
        Command::MakeCgroup(group) => format!("the agent makes cgroup {}", group.name),
        Command::Spawn {
            group, work, count, ..
        } => format!("the agent makes {count} {work} workers in {group}"),
        Command::StartScheduler { argv, .. } => format!("the agent starts {}", argv.join(" ")),
        Command::StopScheduler { .. } => "the agent stops the scheduler".to_owned(),
        Command::RunFor { span } => format!("the workers run for {span}"),
        Command::Exec { argv, .. } => format!("the agent runs {}", argv.join(" ")),
        Command::PowerOff => "the guest powers off".to_owned(),
    }
}

fn mismatch(command: &str, reply: &dyn std::fmt::Debug) -> SessionError {
    let reply: String = format!("{reply:?}").chars().take(120).collect();
    SessionError::Mismatch {
        command: command.to_owned(),
        reply,
    }
}

/// For whoever looks on: `SCHEDRIG_LOG=schedrig::console=info`.
fn show(console: &[u8]) {
    for line in text(console).lines() {
        tracing::info!(target: "schedrig::console", "{line}");
    }
}

/// Console and logs as text: what is not UTF-8 is replaced, carriage returns of the serial line go.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\r', "")
}

#[cfg(test)]
mod tests;
