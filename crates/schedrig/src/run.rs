//! One run: its specification, and how it is played.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use etcetera::BaseStrategy as _;
use introspect::Query;
use record::{Evidence, Expectation, Step, Verdict};
use session::{Limits, Observed, ScriptPlayer, Session, chain};
use spec::{Nanos, Topology};

use crate::kernel::{DEFAULT_KERNEL, PreparedKernel};
use crate::scheduler::SchedulerSpec;
use crate::setup::{Finished, PreparedScheduler, Setup};
use crate::{KernelRequest, Outcome, Progress, Rig, RigError};

/// Everything that decides a run on the deterministic backend, and where its record goes.
#[derive(Clone)]
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
    /// Which records are kept.
    pub keep: Keep,
    /// The directory of saved machines; `None` = the user's cache.
    pub saves: Option<PathBuf>,
    /// From the second run of a machine in this process on, have the next fork of the same seed made while this one
    /// runs. Changes no result.
    pub warm: bool,
    /// What is to be asked of the guest's kernel, and when.
    pub queries: Vec<TimedQuery>,
    /// Snapshots that are taken while the workers run for the first time, evenly over that time.
    pub snapshots: usize,
    /// Has the runqueues sampled, and judged by [`Expectation::WorkConserving`] and [`Expectation::CpusAdvance`].
    pub monitor: bool,
    /// Has a run that failed executed again, to see the calls that led there.
    pub auto_repro: bool,
    /// The command that replays the run of a seed, for the report.
    pub replay: Arc<dyn Fn(u64) -> String + Send + Sync>,
}

/// A question to the guest's kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedQuery {
    /// How long the workers have run then, in all windows together; `None` = when the test's body is done.
    pub at: Option<Nanos>,
    /// The question.
    pub query: Query,
}

/// Which records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// All.
    All,
    /// Those of runs that did not pass and were not skipped.
    Failures,
    /// None.
    None,
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
            keep: Keep::All,
            saves: None,
            warm: false,
            queries: Vec::new(),
            snapshots: 0,
            monitor: true,
            auto_repro: true,
            replay: Arc::new(|_| String::new()),
        })
    }

    /// RAM that the machine gets, in MiB.
    pub fn effective_memory_mib(&self) -> u32 {
        // A kernel spends some MiB on each possible CPU: per-CPU areas, trace buffers, BPF allocator caches.
        self.memory_mib.unwrap_or(512 + 8 * self.topology.cpus())
    }
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

/// Makes one run, as [`Setup::run`] does.
///
/// # Errors
/// [`RigError`] where there is no run to judge, or its record cannot be kept.
pub fn run(
    spec: &RunSpec,
    progress: &mut dyn FnMut(Progress),
    body: impl FnOnce(&mut Rig) -> Outcome,
) -> Result<Finished, RigError> {
    Setup::new(spec.clone(), progress)?.run(spec.seed, progress, body)
}

/// Who plays.
pub(crate) enum RunBody<'r, F> {
    /// A test.
    Test(F),
    /// A record's script; the run is held to the record's promises.
    Script(&'r ScriptPlayer, &'r [Expectation]),
}

/// What became of a play.
pub(crate) struct Executed {
    pub(crate) evidence: Evidence,
    pub(crate) expectations: Vec<Expectation>,
    pub(crate) script: Vec<Step>,
    pub(crate) observed: Observed,
}

/// Brings the guest to where the body begins, plays the body, and takes the evidence.
pub(crate) fn execute<F>(
    mut session: Session,
    spec: &RunSpec,
    seed: u64,
    kernel: &Arc<PreparedKernel>,
    scheduler: Option<&PreparedScheduler>,
    body: RunBody<'_, F>,
) -> Executed
where
    F: FnOnce(&mut Rig) -> Outcome,
{
    match kernel.debug_info() {
        Ok(info) => {
            session.set_debug_info(info);
            if spec.monitor {
                session.monitor();
            }
        }
        // Every question will be answered by that.
        Err(error) => tracing::debug!(%error, "no debug info"),
    }
    let ready = prepare_guest(&mut session, seed, kernel, scheduler);
    for query in &spec.queries {
        if let Some(at) = query.at {
            session.query_at(at, query.query.clone());
        }
    }
    if let Err(error) = session.snapshots(spec.snapshots) {
        tracing::warn!(%error, "no snapshots at times");
    }
    session.begin_script();
    let (mut session, expectations) = match body {
        RunBody::Test(body) => execute_test(session, spec, kernel, ready, body),
        RunBody::Script(player, expectations) => {
            // What went wrong before the body began made it give up, and that is the script's only step.
            player.play(&mut session);
            (session, expectations.to_vec())
        }
    };
    let script = session.take_script();
    for query in spec.queries.iter().filter(|query| query.at.is_none()) {
        session.observe(&query.query);
    }
    dump_failure(&mut session, &expectations);
    if session.scheduler_runs() {
        // Its exit status is evidence; that it could not be stopped shows in the machine's end.
        let _ = session.stop_scheduler();
    }
    let (evidence, observed) = session.finish_observed();
    Executed {
        evidence,
        expectations,
        script,
        observed,
    }
}

/// Dumps the kernel as the run ends, where a check fails that nothing in the kernel reported at its instant. So the run is
/// judged by the evidence so far, while its machine still stands; what only comes with power-off is judged at the end.
fn dump_failure(session: &mut Session, expectations: &[Expectation]) {
    if session.caught() > 0 {
        return;
    }
    let evidence = session.evidence_so_far();
    let run = check::Run {
        evidence: &evidence,
        series: session.series(),
    };
    let judgement = check::judge(run, expectations);
    let failed = judgement.findings().find(|check| check.verdict == Verdict::Fail);
    if let Some(failed) = failed {
        let trigger = format!(
            "check `{}` failed: the kernel at the end of the run",
            failed.check
        );
        session.found("end", trigger);
    }
}

fn execute_test(
    session: Session,
    spec: &RunSpec,
    kernel: &Arc<PreparedKernel>,
    ready: Result<(), session::SessionError>,
    body: impl FnOnce(&mut Rig) -> Outcome,
) -> (Session, Vec<Expectation>) {
    let mut rig = Rig::new(session, spec.topology, Arc::clone(kernel));
    let outcome = match ready {
        Err(error) => Err(error.into()),
        Ok(()) => catch_unwind(AssertUnwindSafe(|| body(&mut rig)))
            .unwrap_or_else(|panic| Err(panic_text(panic.as_ref()).into())),
    };
    let (mut session, overrides) = rig.into_parts();
    if let Err(error) = outcome {
        session.gave_up(chain(error.as_ref()));
    }
    (session, overrides.expectations())
}

fn prepare_guest(
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
