//! What all runs of one specification share: backend, kernel, scheduler, and the saved machine that they fork.
//!
//! `manifest` says which machine that is, `execution` makes one run of it and its record, `confirm` makes a warm run that did not
//! pass again cold.

mod confirm;
mod execution;
mod manifest;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use machine::{Ability, Backend, Identity, MachineConfig, Requirement};
use record::{Attach, Manifest, Record, Verdict};
use session::Program;

use crate::kernel::PreparedKernel;
use crate::machines::{Attachment, Host, LAYER_SEED, Machines, Place};
use crate::run::{Keep, RunBody, RunSpec, default_records_dir};
use crate::scheduler::PreparedScheduler;
use crate::{Outcome, Progress, Rig, RigError, backend, scheduler};

pub(crate) use execution::{How, Made};

/// Runs of one specification, made ready once. Runs may be made from several threads at a time. Cheap to clone.
#[derive(Clone)]
pub struct Setup {
    pub(crate) spec: RunSpec,
    backend: Arc<dyn Backend>,
    /// The backend's part of the manifest.
    identity: Identity,
    pub(crate) kernel: Arc<PreparedKernel>,
    pub(crate) scheduler: Option<PreparedScheduler>,
    manifest: Manifest,
    machines: Arc<Machines>,
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// Its evidence and judgement.
    pub record: Record,
    /// The record's directory; `None` if it is not kept ([`RunSpec::keep`]).
    pub place: Option<PathBuf>,
    /// Why the record could not be kept, if it was to be.
    pub not_kept: Option<record::StoreError>,
}

impl Finished {
    /// The report's model. `program` is how the command is called: `cargo schedrig`.
    pub fn model(&self, program: &str) -> report::Model<'_> {
        let handle = self.place.as_ref().map(|place| handle(place, &self.record));
        report::Model::of(&self.record).kept(handle.map(|handle| format!("{program} replay {handle}")))
    }
}

/// By what a command finds the record in this directory: the beginning of its hash where records are looked for by default,
/// else the directory.
pub fn handle(place: &Path, record: &Record) -> String {
    let default = default_records_dir().ok();
    if default.is_some() && place.parent() == default.as_deref() {
        return record.hash.short().to_owned();
    }
    let absolute = std::path::absolute(place).unwrap_or_else(|_| place.to_owned());
    absolute.display().to_string()
}

impl Setup {
    /// Checks that the backend can do what is asked, and finds the kernel and the scheduler's program. Boots nothing yet.
    ///
    /// # Errors
    /// [`RigError::Lacks`] where the backend cannot, before anything else; [`RigError`] for what is missing.
    pub fn new(spec: RunSpec, progress: &mut dyn FnMut(Progress)) -> Result<Setup, RigError> {
        let backend = backend::of_run(&spec);
        Setup::on(backend, spec, None, progress)
    }

    /// The same on a backend of the caller's choice, and with the scheduler's program where it was read already.
    pub(crate) fn on(
        backend: Arc<dyn Backend>,
        spec: RunSpec,
        program: Option<Program>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Setup, RigError> {
        backend.caps().require(&spec.requirements())?;
        // Before anything that takes long. Where nobody has chosen the place, a run whose record cannot be kept is made all
        // the same, and says so.
        if spec.keep != Keep::None && !spec.keeps_records_by_default() {
            record::probe(&spec.records)?;
        }
        let program = match program {
            Some(program) => Some(program),
            None => scheduler::read(&spec.scheduler)?,
        };
        let kernel = PreparedKernel::resolve(&spec.kernel, &mut |step| progress(Progress::Kernel(step)))?;
        let scheduler = PreparedScheduler::prepare(&spec.scheduler, program, &kernel)?;
        let config = MachineConfig {
            topology: spec.topology,
            memory_mib: spec.effective_memory_mib(),
            kernel: kernel.boot.clone(),
            initrd: kernel.initrd()?,
            cmdline: format!("{} {}", session::KERNEL_ARGUMENTS, spec.kernel_args),
            seed: LAYER_SEED,
        };
        let identity = backend.identity(&config)?;
        let manifest = manifest::of(&identity, &config, &kernel);
        let place = Place::of(&spec, progress)?;
        let host = Host {
            backend: Arc::clone(&backend),
            config,
            clock: kernel.clock,
        };
        let info = kernel.debug_info().ok();
        let attached = scheduler.as_ref().filter(|_| spec.attach == Attach::Once);
        let attached = attached.map(|scheduler| Attachment {
            program: Arc::clone(&scheduler.program),
            args: scheduler.plan.args.clone(),
            limits: spec.limits,
            info: info.clone(),
        });
        let machines = Machines::new(host, manifest.clone(), attached, info, place)?;
        Ok(Setup {
            spec,
            backend,
            identity,
            kernel,
            scheduler,
            manifest,
            machines: Arc::new(machines),
        })
    }

    /// Checks that the backend makes the same execution each time, which `of` needs.
    ///
    /// # Errors
    /// [`RigError::Lacks`].
    pub fn require_determinism(&self, of: &'static str) -> Result<(), RigError> {
        Ok(self.backend.caps().require(&[Requirement {
            of,
            ability: Ability::Determinism,
            otherwise: "choose a deterministic backend",
        }])?)
    }

    /// Everything that decides the machine up to the agent's first call.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Boots the machine, attaches the scheduler, and saves both, where there is no save of it; otherwise the first run does.
    /// A machine that does not boot and a scheduler that does not attach are no errors here: they are the evidence of each run.
    ///
    /// # Errors
    /// [`RigError`] where it cannot be saved.
    pub fn ready(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), RigError> {
        self.machines.ready(self.spec.limits, progress)
    }

    /// Makes a run: forks the machine (which is booted first if there is no save of it), starts the scheduler, executes
    /// `body`, judges, keeps the record. A body that fails or panics, a scheduler that does not start and a guest that dies
    /// are evidence in the record. A run that failed is executed again, to record the calls that led to the failure
    /// ([`RunSpec::auto_repro`]).
    ///
    /// # Errors
    /// [`RigError`] where there is no run to judge. A record that cannot be kept is none: see [`Finished::not_kept`].
    pub fn run(
        &self,
        seed: u64,
        progress: &mut dyn FnMut(Progress),
        body: impl FnOnce(&mut Rig) -> Outcome,
    ) -> Result<Finished, RigError> {
        let made = self.make(seed, progress, RunBody::Test(body), How::default())?;
        self.conclude(made, progress)
    }

    /// Looks closer at a run that did not pass, and keeps its record.
    pub(crate) fn conclude(
        &self,
        made: Made,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Finished, RigError> {
        let Made {
            mut record,
            sites,
            warm,
        } = made;
        if self.spec.auto_repro
            && record.verdict() == Verdict::Fail
            && let Some(sites) = sites
        {
            progress(Progress::Tracing);
            record.repro = Some(self.trace(&record, &sites, progress));
        }
        if warm && record.verdict() > Verdict::Pass {
            let confirmed = self.confirm(&mut record, progress);
            // Whatever comes of that, the run is not lost.
            let finished = self.keep(record);
            return confirmed.map(|()| finished);
        }
        Ok(self.keep(record))
    }

    /// The same setup for runs of another name.
    pub(crate) fn named(&self, name: String) -> Setup {
        Setup {
            spec: RunSpec {
                name,
                ..self.spec.clone()
            },
            ..self.clone()
        }
    }

    /// Keeps the record, if [`RunSpec::keep`] says so.
    pub(crate) fn keep(&self, record: Record) -> Finished {
        let passed = record.verdict() <= Verdict::Pass;
        let saved = match self.spec.keep {
            Keep::None => None,
            Keep::Failures if passed => None,
            Keep::All | Keep::Failures => Some(record::save(&record, &self.spec.records)),
        };
        let (place, not_kept) = match saved.transpose() {
            Ok(place) => (place, None),
            Err(error) => (None, Some(error)),
        };
        Finished {
            record,
            place,
            not_kept,
        }
    }
}

/// Makes one run, as [`Setup::run`] does.
///
/// # Errors
/// [`RigError`] where there is no run to judge.
pub fn run(
    spec: &RunSpec,
    progress: &mut dyn FnMut(Progress),
    body: impl FnOnce(&mut Rig) -> Outcome,
) -> Result<Finished, RigError> {
    Setup::new(spec.clone(), progress)?.run(spec.seed, progress, body)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use machine::{Caps, LacksAbility};
    use testkit::FakeBackend;

    use super::*;

    /// A backend that cannot do what is asked is refused before a kernel is looked for, let alone a machine booted.
    #[test]
    fn a_backend_that_lacks_an_ability_is_refused_before_anything_starts() {
        let check = |caps: Caps, change: fn(&mut RunSpec), needed: Ability| {
            let mut spec = RunSpec::new("a-run", "1n1l2c1t".parse().unwrap()).unwrap();
            spec.kernel = "path:/no/such/kernel".parse().unwrap();
            change(&mut spec);
            let backend = FakeBackend::new(caps, []);
            let steps = Mutex::new(0);
            let setup = Setup::on(Arc::new(backend.clone()), spec, None, &mut |_| {
                *steps.lock().unwrap() += 1;
            });
            let Err(RigError::Lacks(LacksAbility { needed: found, .. })) = setup else {
                panic!("{needed}: {:?}", setup.err());
            };
            assert_eq!(found, needed);
            assert_eq!((backend.made(), steps.into_inner().unwrap()), (0, 0), "{needed}");
        };
        let all = FakeBackend::ALL;
        check(Caps { saves: false, ..all }, |_| {}, Ability::Saves);
        let caps = Caps {
            deterministic: false,
            ..all
        };
        check(caps, |_| {}, Ability::Determinism);
        let caps = Caps {
            late_hooks: false,
            ..all
        };
        check(caps, |spec| spec.snapshots = 1, Ability::LateHooks);
        let caps = Caps {
            max_hooks: Some(0),
            ..all
        };
        check(caps, |_| {}, Ability::Hooks(1));
    }
}
