//! One run from its specification to its record.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use etcetera::BaseStrategy as _;
use machine_tcg::{Qemu, TcgConfig, TcgMachine};
use record::{Evidence, Expectation, Happening, HostFacts, KernelFacts, Plan, Record, SchedulerPlan};
use session::{Limits, Program, Session, chain};
use sha2::{Digest as _, Sha256};
use spec::Topology;

use crate::kernel::{DEFAULT_KERNEL, PreparedKernel};
use crate::scheduler::{self, SchedulerSpec};
use crate::{KernelRequest, Outcome, Progress, Rig, RigError};

/// Everything that decides a run on the deterministic backend, and where its record goes.
#[derive(Debug, Clone)]
pub struct RunSpec {
    /// The run's name, in the report and in the record's directory name.
    pub name: String,
    /// The machine's shape.
    pub topology: Topology,
    /// Guest RAM in MiB; `None` = by the number of CPUs.
    pub memory_mib: Option<u32>,
    /// Which kernel.
    pub kernel: KernelRequest,
    /// Which scheduler; a program is started before the body.
    pub scheduler: SchedulerSpec,
    /// The seed: another one gives another execution.
    pub seed: u64,
    /// An instruction takes 2^shift ns; `None` = by the number of CPUs.
    pub shift: Option<u8>,
    /// What the kernel is told beside the rig's own arguments; later arguments win.
    pub kernel_args: String,
    /// How long things may take.
    pub limits: Limits,
    /// QEMU's program; `None` = on the search path.
    pub qemu: Option<PathBuf>,
    /// The directory in which the record is kept.
    pub records: PathBuf,
    /// The command that replays this run, for the report.
    pub replay: String,
}

impl RunSpec {
    /// A run with the defaults: the newest packaged kernel, EEVDF, seed 1.
    pub fn new(name: &str, topology: Topology) -> Result<RunSpec, RigError> {
        Ok(RunSpec {
            name: name.to_owned(),
            topology,
            memory_mib: None,
            kernel: DEFAULT_KERNEL
                .parse()
                .map_err(|source: kstore::RequestError| RigError::Kernel {
                    request: DEFAULT_KERNEL.to_owned(),
                    source: source.into(),
                })?,
            scheduler: SchedulerSpec::Eevdf,
            seed: 1,
            shift: None,
            kernel_args: String::new(),
            limits: Limits::default(),
            qemu: None,
            records: default_records_dir()?,
            replay: String::new(),
        })
    }

    /// RAM that the machine gets, in MiB.
    pub fn effective_memory_mib(&self) -> u32 {
        // A kernel spends some MiB on each possible CPU: per-CPU areas, trace buffers, BPF allocator caches.
        self.memory_mib.unwrap_or(512 + 8 * self.topology.cpus())
    }
}

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// What is known of it.
    pub record: Record,
    /// Where the record lies.
    pub place: PathBuf,
}

/// Where records are kept: `SCHEDRIG_RECORDS`, else `schedrig/records` in the XDG state directory.
pub fn default_records_dir() -> Result<PathBuf, RigError> {
    if let Some(directory) = std::env::var_os("SCHEDRIG_RECORDS") {
        return Ok(directory.into());
    }
    let base = etcetera::choose_base_strategy().map_err(|_| RigError::NoHome)?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    Ok(state.join("schedrig").join("records"))
}

/// Makes the run: boots, starts the scheduler, lets `body` play, judges, keeps the record. A body that fails
/// or panics, a scheduler that does not start and a guest that dies are evidence: they end in the record.
pub fn run(
    spec: &RunSpec,
    progress: &mut dyn FnMut(Progress),
    body: impl FnOnce(&mut Rig) -> Outcome,
) -> Result<Finished, RigError> {
    let qemu = Qemu::probe(spec.qemu.as_deref())?;
    let kernel = PreparedKernel::resolve(&spec.kernel, progress)?;
    let scheduler = prepare_scheduler(spec, &kernel)?;
    let config = TcgConfig {
        qemu: spec.qemu.clone(),
        topology: spec.topology,
        memory_mib: spec.effective_memory_mib(),
        kernel: kernel.boot.clone(),
        initrd: session::initrd()?,
        cmdline: format!("{} {}", session::KERNEL_ARGUMENTS, spec.kernel_args),
        seed: spec.seed,
        shift: spec.shift,
    };
    let started = Instant::now();
    let machine = TcgMachine::launch(&config)?;
    let booted = Session::start(Box::new(machine), kernel.clock, spec.limits);
    let boot_seconds = started.elapsed().as_secs_f64();
    let mut expectations = Expectation::defaults();
    let evidence = match booted {
        Err(failed) => failed.evidence,
        Ok((session, _hello)) => play(
            session,
            spec,
            &kernel,
            scheduler.as_ref(),
            &mut expectations,
            body,
        ),
    };
    let judgement = check::judge(&evidence, &expectations);
    let plan = Plan {
        name: spec.name.clone(),
        topology: spec.topology,
        memory_mib: spec.effective_memory_mib(),
        shift: config.effective_shift(),
        kernel_args: spec.kernel_args.clone(),
        kernel: KernelFacts {
            request: spec.kernel.to_string(),
            release: kernel.files.release.clone(),
            build_id: kernel.files.build_id.clone(),
        },
        scheduler: scheduler.map(|scheduler| scheduler.plan),
        seed: spec.seed,
        expectations,
    };
    let host = HostFacts {
        schedrig: env!("CARGO_PKG_VERSION").to_owned(),
        backend: format!("tcg, QEMU {}", qemu.version),
        seconds: started.elapsed().as_secs_f64(),
        boot_seconds,
        replay: spec.replay.clone(),
    };
    let record = Record::new(plan, evidence, judgement, host);
    let place = record::save(&record, &spec.records)?;
    Ok(Finished { record, place })
}

/// A scheduler's program, read and described.
struct PreparedScheduler {
    program: Program,
    plan: SchedulerPlan,
}

fn prepare_scheduler(spec: &RunSpec, kernel: &PreparedKernel) -> Result<Option<PreparedScheduler>, RigError> {
    let SchedulerSpec::Program { program: name, args } = &spec.scheduler else {
        return Ok(None);
    };
    kernel
        .files
        .require_sched_ext()
        .map_err(|error| RigError::Kernel {
            request: spec.kernel.to_string(),
            source: error.into(),
        })?;
    let path = scheduler::find(name)?;
    let program = Program::read(&path).map_err(|error| RigError::Scheduler {
        program: name.clone(),
        source: error.into(),
    })?;
    let plan = SchedulerPlan {
        program: file_name(&path),
        args: args.clone(),
        sha256: program
            .files
            .first()
            .map(|file| hex_digest(&file.bytes))
            .unwrap_or_default(),
    };
    Ok(Some(PreparedScheduler { program, plan }))
}

/// Brings the guest to where the body begins, plays the body, and takes the evidence.
fn play(
    mut session: Session,
    spec: &RunSpec,
    kernel: &Arc<PreparedKernel>,
    scheduler: Option<&PreparedScheduler>,
    expectations: &mut Vec<Expectation>,
    body: impl FnOnce(&mut Rig) -> Outcome,
) -> Evidence {
    let ready = set_the_stage(&mut session, spec.seed, kernel, scheduler);
    let mut rig = Rig::new(session, spec.topology);
    let outcome = match ready {
        Err(error) => Err(error.into()),
        Ok(()) => catch_unwind(AssertUnwindSafe(|| body(&mut rig)))
            .unwrap_or_else(|panic| Err(panic_text(panic.as_ref()).into())),
    };
    let (mut session, asked) = rig.into_parts();
    expectations.extend(asked.added);
    expectations.retain(|expectation| !asked.dropped.contains(&expectation.name()));
    for replaced in asked.replaced {
        expectations.retain(|expectation| expectation.name() != replaced.name());
        expectations.push(replaced);
    }
    if let Err(error) = outcome {
        session.happened(Happening::BodyFailed {
            reason: chain(error.as_ref()),
        });
    }
    if session.scheduler_runs() {
        // Its exit status is evidence; that it could not be stopped shows in the machine's end.
        let _ = session.stop_scheduler();
    }
    session.finish()
}

fn set_the_stage(
    session: &mut Session,
    seed: u64,
    kernel: &PreparedKernel,
    scheduler: Option<&PreparedScheduler>,
) -> Result<(), session::SessionError> {
    session.seed(seed)?;
    let Some(PreparedScheduler { program, plan }) = scheduler else {
        return Ok(());
    };
    if let Some(config) = &kernel.config {
        // libbpf resolves `__kconfig` externs from it.
        session.put_file(
            &format!("/boot/config-{}", kernel.files.release),
            0o644,
            config.as_bytes(),
        )?;
    }
    session.put_program(program)?;
    let argv = [vec![program.guest_path.clone()], plan.args.clone()].concat();
    session.start_scheduler(argv)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or(panic.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("no message"))
}

fn file_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
