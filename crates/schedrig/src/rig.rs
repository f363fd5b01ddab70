//! The rig: what a test's body works with.

mod fork;
mod kernel;
mod looking;

use std::sync::Arc;

use introspect::GuestKernel;
use record::{Attach, Expectation, Window};
use session::{Program, Session, SessionError};
use spec::op::{
    Content, Exec, MakeCgroup, Note, PutFile, PutProgram, ReadFile, RunFor, Spawn, StartScheduler,
    StopScheduler,
};
use spec::{
    CgroupSpec, Cpus, CpusError, ExitStatus, GroupName, GuestTime, Nanos, Op, OpOutcome, Topology, Weight,
    WorkerId, Workers,
};

pub use kernel::KernelOps;

pub use fork::Forks;

use crate::scheduler::PreparedScheduler;
use crate::setup::Setup;
use crate::{Outcome, PreparedKernel, RigError};

/// A booted machine with its scheduler attached. Between two calls the guest stands still.
///
/// What changes the guest is an op ([`crate::op`]); [`Rig::apply`] takes any of them, and the methods of their names are
/// short for it.
pub struct Rig {
    session: Session,
    topology: Topology,
    overrides: CheckOverrides,
    kernel: Arc<PreparedKernel>,
    origin: Origin,
}

/// Which run a rig's session is.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) setup: Setup,
    pub(crate) seed: u64,
    /// What the seeds of its forks are drawn from: its own seed, or that with which it was forked.
    pub(crate) fork_seed: u64,
    /// When its scheduler was attached.
    pub(crate) attach: Attach,
}

/// What the body wants the run to be judged by, in place of the defaults or beside them.
#[derive(Debug, Clone, Default)]
pub(crate) struct CheckOverrides {
    pub(crate) added: Vec<Expectation>,
    pub(crate) replaced: Vec<Expectation>,
    pub(crate) dropped: Vec<&'static str>,
}

impl CheckOverrides {
    /// What the run is judged by.
    pub(crate) fn expectations(self) -> Vec<Expectation> {
        let mut expectations = check::defaults();
        expectations.extend(self.added);
        expectations.retain(|expectation| !self.dropped.contains(&check::kind(expectation).name));
        for replaced in self.replaced {
            check::relimit(&mut expectations, replaced);
        }
        expectations
    }
}

/// A cgroup that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub(crate) name: GroupName,
}

impl Group {
    /// Its name.
    pub fn name(&self) -> &GroupName {
        &self.name
    }
}

impl Rig {
    pub(crate) fn new(session: Session, origin: Origin) -> Rig {
        Rig {
            session,
            topology: origin.setup.spec.topology,
            overrides: CheckOverrides::default(),
            kernel: Arc::clone(&origin.setup.kernel),
            origin,
        }
    }

    /// The same, to be judged as another one is.
    pub(crate) fn judged_as(self, overrides: CheckOverrides) -> Rig {
        Rig { overrides, ..self }
    }

    pub(crate) fn into_parts(self) -> (Session, CheckOverrides) {
        (self.session, self.overrides)
    }

    /// The run's seed.
    pub fn seed(&self) -> u64 {
        self.origin.seed
    }

    /// The machine's shape.
    pub fn topology(&self) -> Topology {
        self.topology
    }

    /// The last guest time that the guest has reported.
    pub fn now(&self) -> GuestTime {
        self.session.now()
    }

    /// The session that this rig wraps, for what the rig does not offer.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The guest's kernel, to be looked at as it stands now: between two calls nothing in it moves. A
    /// write through it is not replayed; one of [`Rig::kernel_ops`] is.
    ///
    /// # Errors
    /// [`RigError::Kernel`] for a kernel without types, [`RigError::Look`] when it is not found in the guest's memory.
    pub fn kernel(&mut self) -> Result<GuestKernel<'_>, RigError> {
        self.see()?;
        Ok(self.session.kernel()?)
    }

    /// Applies an op: `rig.apply(Exec { argv, within })?`. It is checked against the machine first, and noted in the record's
    /// script, so that a replay applies it again.
    ///
    /// # Errors
    /// [`RigError::Op`] for an op that does not fit the machine, [`RigError::Session`] for one that failed.
    pub fn apply(&mut self, op: impl Into<Op>) -> Result<OpOutcome, RigError> {
        let op = op.into();
        op.check(&self.topology)?;
        Ok(self.session.apply(&op)?)
    }

    /// Begins a cgroup below the root.
    pub fn cgroup(&mut self, name: &str) -> GroupBuilder<'_> {
        GroupBuilder {
            rig: self,
            name: name.to_owned(),
            cpus: None,
            weight: None,
        }
    }

    /// Makes workers in a group; they run from the next [`Rig::run_for`] on.
    pub fn spawn(&mut self, group: &Group, workers: &Workers) -> Result<Vec<WorkerId>, RigError> {
        let spawn = Spawn {
            group: group.name.clone(),
            workers: workers.clone(),
        };
        match self.apply(spawn)? {
            OpOutcome::Spawned { workers } => Ok(workers.into_iter().map(|(id, _)| id).collect()),
            other => Err(mismatch("spawn", &other)),
        }
    }

    /// Lets the guest run for that much of its time. Ends early if the scheduler's program ends.
    pub fn run_for(&mut self, span: Nanos) -> Result<Window, RigError> {
        let outcome = self.apply(RunFor { span })?;
        let window = self.session.evidence().windows.last();
        window.cloned().ok_or_else(|| mismatch("run_for", &outcome))
    }

    /// Adds a check, which is judged from the record when the run is over.
    pub fn check(&mut self, expectation: Expectation) -> Result<(), RigError> {
        self.overrides.added.push(expectation);
        Ok(())
    }

    /// Replaces the default check of the same kind, as in `NoStarvation` with another limit.
    pub fn instead(&mut self, expectation: Expectation) {
        self.overrides.replaced.push(expectation);
    }

    /// Holds the run to a check as it is written on the command line, as in `starvation=500ms` or `share:a,b=10%`: in the place
    /// of the default one of its kind, or beside them.
    ///
    /// # Errors
    /// [`check::CheckTextError`], which says how checks are written.
    pub fn hold(&mut self, text: &str) -> Result<(), check::CheckTextError> {
        self.instead(check::parse(text)?);
        Ok(())
    }

    /// Does the run's own seed enter by an op of its body?
    pub(crate) fn seeds_later(&self) -> bool {
        self.origin.setup.spec.begin_seed.is_some()
    }

    /// Leaves out the checks of that name (`starvation`, `stall`, `kernel`, …).
    pub fn without(&mut self, check: &'static str) {
        self.overrides.dropped.push(check);
    }

    /// Puts a value into the record.
    pub fn note(&mut self, key: &str, value: impl std::fmt::Display) {
        let (key, value) = (key.to_owned(), value.to_string());
        if let Err(error) = self.apply(Note { key, value }) {
            tracing::debug!(%error, "a note");
        }
    }

    /// Puts a program of the host and its shared libraries into the guest; returns its path there.
    pub fn put_program(&mut self, path: impl AsRef<std::path::Path>) -> Result<String, RigError> {
        let path = path.as_ref();
        let program = Program::read(path).map_err(|error| RigError::Scheduler {
            program: path.display().to_string(),
            source: error.into(),
        })?;
        let put = PutProgram {
            program: program.sums(),
        };
        let guest_path = program.guest_path.clone();
        self.session.supply(Arc::new(program));
        self.apply(put)?;
        Ok(guest_path)
    }

    /// Puts a file into the guest.
    pub fn put_file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> Result<(), RigError> {
        let (path, content) = (path.to_owned(), Content::of(bytes));
        self.apply(PutFile { path, mode, content }).map(drop)
    }

    /// Reads a file of the guest, whole; `/proc` and `/sys` too.
    pub fn read_file(&mut self, path: &str) -> Result<String, RigError> {
        let path = path.to_owned();
        match self.apply(ReadFile { path })? {
            OpOutcome::FileRead { bytes, .. } => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            other => Err(mismatch("read_file", &other)),
        }
    }

    /// Runs a program of the guest to its end: status, standard output, standard error.
    pub fn exec(&mut self, argv: &[&str], within: Nanos) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), RigError> {
        let argv = argv.iter().map(|arg| (*arg).to_owned()).collect();
        match self.apply(Exec { argv, within })? {
            OpOutcome::Exited {
                status,
                stdout,
                stderr,
            } => Ok((status, stdout, stderr)),
            other => Err(mismatch("exec", &other)),
        }
    }

    /// Starts a scheduler's program that is in the guest ([`Rig::put_program`]) and waits until it is attached.
    pub fn start_scheduler(&mut self, guest_path: &str, args: &[&str]) -> Result<(), RigError> {
        let argv = std::iter::once(guest_path)
            .chain(args.iter().copied())
            .map(str::to_owned)
            .collect();
        self.apply(StartScheduler { argv }).map(drop)
    }

    /// Attaches the run's own scheduler, where the run leaves that to its body ([`Attach::Step`]).
    ///
    /// # Errors
    /// [`RigError::NothingToAttach`] under the kernel's own scheduler; [`RigError`] if it does not attach.
    pub fn attach(&mut self) -> Result<(), RigError> {
        let scheduler = self.origin.setup.scheduler.clone();
        let PreparedScheduler { program, plan } = scheduler.ok_or(RigError::NothingToAttach)?;
        let put = PutProgram {
            program: program.sums(),
        };
        let argv = [std::slice::from_ref(&program.guest_path), &plan.args].concat();
        self.session.supply(program);
        self.apply(put)?;
        self.apply(StartScheduler { argv }).map(drop)
    }

    /// Asks the scheduler's program to end, and waits for it: the kernel's own scheduler takes over.
    pub fn stop_scheduler(&mut self) -> Result<ExitStatus, RigError> {
        match self.apply(StopScheduler)? {
            OpOutcome::Stopped { status } => Ok(status),
            other => Err(mismatch("stop_scheduler", &other)),
        }
    }

    /// Is a scheduler attached, as far as the guest has reported?
    pub fn scheduler_runs(&self) -> bool {
        self.session.scheduler_runs()
    }

    /// Ends the body: everything else is judged from the record.
    pub fn finish(&mut self) -> Outcome {
        Ok(())
    }
}

/// A cgroup in the making.
#[must_use = "a group exists only after `.spawn(…)` or `.make()`"]
pub struct GroupBuilder<'r> {
    rig: &'r mut Rig,
    name: String,
    cpus: Option<Result<Cpus, CpusError>>,
    weight: Option<u32>,
}

impl GroupBuilder<'_> {
    /// Confines it: `cpuset.cpus`, as `Llc(0)`, `Node(1)`, a [`spec::CpuSet`], or a text as in `"0-2,5"`.
    pub fn cpus<C>(self, cpus: C) -> Self
    where
        C: TryInto<Cpus>,
        CpusError: From<C::Error>,
    {
        GroupBuilder {
            cpus: Some(cpus.try_into().map_err(CpusError::from)),
            ..self
        }
    }

    /// Weighs it: `cpu.weight`, 1 to 10000.
    pub fn weight(self, weight: u32) -> Self {
        GroupBuilder {
            weight: Some(weight),
            ..self
        }
    }

    /// Makes the group without workers.
    pub fn make(self) -> Result<Group, RigError> {
        self.make_in().map(|(group, _)| group)
    }

    /// Makes the group and its workers.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a test writes `.spawn(Spin.workers(8))`"
    )]
    pub fn spawn(self, workers: Workers) -> Result<Group, RigError> {
        let (group, rig) = self.make_in()?;
        rig.spawn(&group, &workers)?;
        Ok(group)
    }
}

impl<'r> GroupBuilder<'r> {
    fn make_in(self) -> Result<(Group, &'r mut Rig), RigError> {
        let name: GroupName = self.name.parse()?;
        let weight = self.weight.map_or(Ok(Weight::DEFAULT), Weight::try_from)?;
        let cpus = self.cpus.transpose()?;
        let cpus = cpus.map(|cpus| cpus.on(&self.rig.topology)).transpose()?;
        let group = CgroupSpec {
            name: name.clone(),
            cpus,
            weight,
        };
        self.rig.apply(MakeCgroup { group })?;
        Ok((Group { name }, self.rig))
    }
}

fn mismatch(asked: &str, outcome: &OpOutcome) -> RigError {
    SessionError::mismatch(asked, outcome).into()
}
