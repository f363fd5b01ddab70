//! What all runs of one specification share: QEMU, kernel, scheduler, and the saved machine that they fork.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use guestmem::GuestVirt;
use machine_tcg::{Qemu, TcgConfig};
use observe::call_history::Sites;
use record::{
    Evidence, HostFacts, KernelFacts, Manifest, Plan, Record, ReplayInputs, SchedulerPlan, Verdict,
};
use session::{GuestClock, HitAction, Program, Session};

use crate::fork_source::{BOOT_SEED, ForkSource, Forked};
use crate::kernel::PreparedKernel;
use crate::run::{Executed, Keep, RunBody, RunSpec};
use crate::scheduler::{self, SchedulerSpec};
use crate::{Progress, RigError};

/// Runs of one specification, made ready once. Runs may be made from several threads at a time.
pub struct Setup {
    pub(crate) spec: RunSpec,
    qemu: Qemu,
    kernel: Arc<PreparedKernel>,
    scheduler: Option<PreparedScheduler>,
    manifest: Manifest,
    fork_source: Arc<ForkSource>,
}

/// Ticks of all CPUs together between two samples of the monitor.
const TICKS_PER_SAMPLE: u64 = 32;

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// What is known of it.
    pub record: Record,
    /// Where the record lies; `None` if it was not to be kept.
    pub place: Option<PathBuf>,
}

/// A scheduler's program, read and described.
pub(crate) struct PreparedScheduler {
    pub(crate) program: Program,
    pub(crate) plan: SchedulerPlan,
}

impl Setup {
    /// Finds QEMU, the kernel and the scheduler's program. Boots nothing yet.
    ///
    /// # Errors
    /// [`RigError`] for what is missing.
    pub fn new(spec: RunSpec, progress: &mut dyn FnMut(Progress)) -> Result<Setup, RigError> {
        let program = match &spec.scheduler {
            SchedulerSpec::Eevdf => None,
            SchedulerSpec::Program { program, .. } => {
                let path = scheduler::find(program)?;
                Some(Program::read(&path).map_err(|error| RigError::Scheduler {
                    program: program.clone(),
                    source: error.into(),
                })?)
            }
        };
        Setup::with_program(spec, program, progress)
    }

    /// The same with the scheduler's program at hand.
    pub(crate) fn with_program(
        spec: RunSpec,
        program: Option<Program>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Setup, RigError> {
        let qemu = Qemu::probe(spec.qemu.as_deref())?;
        let kernel = PreparedKernel::resolve(&spec.kernel, &mut |step| progress(Progress::Kernel(step)))?;
        let scheduler = prepare_scheduler(&spec, &kernel, program)?;
        let config = TcgConfig {
            qemu: spec.qemu.clone(),
            topology: spec.topology,
            memory_mib: spec.effective_memory_mib(),
            kernel: kernel.boot.clone(),
            initrd: session::initrd()?,
            cmdline: format!("{} {}", session::KERNEL_ARGUMENTS, spec.kernel_args),
            seed: BOOT_SEED,
            shift: spec.shift,
        };
        let manifest = manifest(&config, &qemu, &kernel);
        let store = match &spec.saves {
            Some(directory) => saves::Store::open(directory)?,
            None => saves::Store::open_default()?,
        };
        let fork_source = ForkSource::of(config, kernel.clock, manifest.clone(), store)?;
        Ok(Setup {
            spec,
            qemu,
            kernel,
            scheduler,
            manifest,
            fork_source,
        })
    }

    /// The machine in all that decides it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Has the machine saved, booting it if nobody has; otherwise the first run does. A machine that does not boot is no
    /// error here: that is what the runs will tell.
    ///
    /// # Errors
    /// [`RigError`] where it cannot be saved.
    pub fn ready(&self, progress: &mut dyn FnMut(Progress)) -> Result<(), RigError> {
        self.fork_source.ready(self.spec.limits, progress)
    }

    /// Has the fork for that seed made in the background while something else is done. Changes no result. Nothing
    /// happens before the first run.
    pub fn prepare(&self, seed: u64) {
        self.fork_source.prepare(seed);
    }

    /// Makes a run: forks the machine (booting it first if nobody has), starts the scheduler, lets `body` play, judges,
    /// keeps the record. A body that fails or panics, a scheduler that does not start and a guest that dies are
    /// evidence: they end in the record. Of a run that failed the calls are traced that led there, in a second
    /// execution, unless it is not to be ([`RunSpec::auto_repro`]).
    ///
    /// # Errors
    /// [`RigError`] where there is no run to judge, or its record cannot be kept.
    pub fn run(
        &self,
        seed: u64,
        progress: &mut dyn FnMut(Progress),
        body: impl FnOnce(&mut crate::Rig) -> crate::Outcome,
    ) -> Result<Finished, RigError> {
        let (mut record, sites) = self.make(seed, progress, RunBody::Test(body), Vec::new())?;
        if self.spec.auto_repro
            && record.verdict() == Verdict::Fail
            && let Some(sites) = sites
        {
            progress(Progress::Tracing);
            record.repro = Some(self.trace(&record, &sites, progress));
        }
        self.keep(record)
    }

    /// Keeps the record, if it is one to keep.
    pub(crate) fn keep(&self, record: Record) -> Result<Finished, RigError> {
        let passed = record.verdict() <= Verdict::Pass;
        let place = match self.spec.keep {
            Keep::None => None,
            Keep::Failures if passed => None,
            Keep::All | Keep::Failures => Some(record::save(&record, &self.spec.records)?),
        };
        Ok(Finished { record, place })
    }

    /// An execution, judged; and where calls can be traced that lead to what was caught in it. `hooks` are there from
    /// its first instruction on.
    pub(crate) fn make<F>(
        &self,
        seed: u64,
        progress: &mut dyn FnMut(Progress),
        body: RunBody<'_, F>,
        hooks: Vec<(GuestVirt, HitAction)>,
    ) -> Result<(Record, Option<Sites>), RigError>
    where
        F: FnOnce(&mut crate::Rig) -> crate::Outcome,
    {
        let started = Instant::now();
        let forked = self.fork_source.fork(seed, self.spec.limits, progress)?;
        if self.spec.warm && self.fork_source.forks() > 1 {
            self.fork_source.prepare(seed);
        }
        let (mut executed, boot_seconds) = match forked {
            Forked::Dead(evidence) => (Executed::nothing(evidence), started.elapsed().as_secs_f64()),
            Forked::Machine(machine) => {
                let begun = Session::start_with(machine, self.clock(), self.spec.limits, hooks);
                let boot_seconds = started.elapsed().as_secs_f64();
                let executed = match begun {
                    Err(failed) => Executed::nothing(failed.evidence),
                    Ok((session, _hello)) => self.execute(session, seed, body),
                };
                (executed, boot_seconds)
            }
        };
        let host = HostFacts {
            schedrig: env!("CARGO_PKG_VERSION").to_owned(),
            backend: format!("tcg, QEMU {}", self.qemu.version),
            seconds: started.elapsed().as_secs_f64(),
            boot_seconds,
            replay: (self.spec.replay)(seed),
        };
        let sites = executed.observed.sites.take();
        Ok((self.judge(seed, executed, host), sites))
    }

    /// The guest's clock, looked at as often as somebody has to.
    fn clock(&self) -> Option<GuestClock> {
        let clock = self.kernel.clock;
        if self.spec.queries.iter().any(|query| query.at.is_some()) {
            clock.map(GuestClock::finely)
        } else if self.spec.monitor {
            clock.map(|clock| clock.every(TICKS_PER_SAMPLE))
        } else {
            clock
        }
    }

    fn execute<F>(&self, session: Session, seed: u64, body: RunBody<'_, F>) -> Executed
    where
        F: FnOnce(&mut crate::Rig) -> crate::Outcome,
    {
        crate::run::execute(
            session,
            &self.spec,
            seed,
            &self.kernel,
            self.scheduler.as_ref(),
            body,
        )
    }

    /// The evidence first, then the judgement.
    fn judge(&self, seed: u64, executed: Executed, host: HostFacts) -> Record {
        let Executed {
            evidence,
            expectations,
            script,
            observed,
        } = executed;
        let run = check::Run {
            evidence: &evidence,
            series: observed.series.as_ref(),
        };
        let judgement = check::judge(run, &expectations);
        let spec = &self.spec;
        let plan = Plan {
            name: spec.name.clone(),
            topology: spec.topology,
            memory_mib: self.manifest.memory_mib,
            shift: self.manifest.shift,
            kernel_args: spec.kernel_args.clone(),
            kernel: KernelFacts {
                request: spec.kernel.to_string(),
                release: self.kernel.files.release.clone(),
                build_id: self.kernel.files.build_id.clone(),
            },
            scheduler: self.scheduler.as_ref().map(|scheduler| scheduler.plan.clone()),
            seed,
            expectations,
        };
        let replay_inputs = ReplayInputs {
            manifest: self.manifest.clone(),
            scheduler: self.scheduler.as_ref().map(|scheduler| scheduler.program.sums()),
            limits: spec.limits.of_guest(),
            script,
        };
        Record {
            replay_inputs: Some(replay_inputs),
            observations: observed.observations,
            snapshots: observed.snapshots,
            dumps: observed.dumps,
            series: observed.series,
            ..Record::new(plan, evidence, judgement, host)
        }
    }
}

impl Executed {
    fn nothing(evidence: Evidence) -> Executed {
        Executed {
            evidence,
            expectations: check::defaults(),
            script: Vec::new(),
            observed: session::Observed::default(),
        }
    }
}

fn manifest(config: &TcgConfig, qemu: &Qemu, kernel: &PreparedKernel) -> Manifest {
    static PLUGIN: OnceLock<String> = OnceLock::new();
    Manifest {
        backend: machine::Backend::Tcg.to_string(),
        qemu: qemu.version.clone(),
        recipe: machine_tcg::RECIPE,
        plugin_sha256: PLUGIN
            .get_or_init(|| disk::files::sha256(machine_tcg::PLUGIN))
            .clone(),
        kernel_release: kernel.files.release.clone(),
        kernel_build_id: kernel.files.build_id.clone(),
        entry: if kernel.boot == kernel.files.vmlinux {
            "pvh"
        } else {
            "bzimage"
        }
        .to_owned(),
        initrd_sha256: disk::files::sha256(&config.initrd),
        cmdline: config.cmdline.clone(),
        topology: config.topology,
        memory_mib: config.memory_mib,
        shift: config.effective_shift(),
        boot_seed: config.seed,
    }
}

fn prepare_scheduler(
    spec: &RunSpec,
    kernel: &PreparedKernel,
    program: Option<Program>,
) -> Result<Option<PreparedScheduler>, RigError> {
    let (SchedulerSpec::Program { args, .. }, Some(program)) = (&spec.scheduler, program) else {
        return Ok(None);
    };
    kernel
        .files
        .require_sched_ext()
        .map_err(|error| RigError::Kernel {
            request: spec.kernel.to_string(),
            source: error.into(),
        })?;
    let name = program.guest_path.rsplit('/').next().unwrap_or_default();
    let plan = SchedulerPlan {
        program: name.to_owned(),
        args: args.clone(),
        sha256: program
            .files
            .first()
            .map(|file| file.sha256.clone())
            .unwrap_or_default(),
    };
    Ok(Some(PreparedScheduler { program, plan }))
}
