//! Making a recorded run again, from its record alone.

use std::fmt;
use std::path::PathBuf;

use kstore::{KernelRequest, Store};
use record::{Attach, KernelFacts, Record};
use report::Difference;
use session::{Limits, Program, ScriptPlayer, read_program};
use spec::SchedulerSpec;
use spec::op::HostProgram;

use crate::run::{RunBody, TimedLook};
use crate::scheduler;
use crate::setup::{Finished, How, Setup};
use crate::{Outcome, Progress, Rig, RigError, RunSpec, backend};

/// What to use in place of what the record names.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// The scheduler's program, where it is not at its recorded path.
    pub scheduler: Option<PathBuf>,
    /// The kernel, where it cannot be had by the recorded request.
    pub kernel: Option<KernelRequest>,
    /// QEMU's program.
    pub qemu: Option<PathBuf>,
    /// The directory of saved machines.
    pub saves: Option<PathBuf>,
    /// The directory in which the record of another execution is kept.
    pub records: Option<PathBuf>,
    /// Looks at the guest's kernel, and when each is taken.
    pub looks: Vec<TimedLook>,
    /// Go on where something is not what it was: then the execution may be another.
    pub anyway: bool,
    /// The run may be forked from a warm machine. Changes no result.
    pub warm: bool,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        ReplayOptions {
            scheduler: None,
            kernel: None,
            qemu: None,
            saves: None,
            records: None,
            looks: Vec::new(),
            anyway: false,
            warm: true,
        }
    }
}

/// A recorded run, ready to be made again.
pub struct Replay {
    recorded: Record,
    setup: Setup,
    player: ScriptPlayer,
}

/// A run that was made again.
#[derive(Debug)]
pub struct Replayed {
    /// The run. Its record is kept only if it is another execution, since the same one is on disk already.
    pub finished: Finished,
    /// Where it parts from the recorded one first; `None`: it is the same execution.
    pub difference: Option<Difference>,
}

/// A recorded run cannot be made again here.
#[derive(Debug, thiserror::Error)]
pub enum CannotReplay {
    /// The record is of a version that did not write down what is needed.
    #[error(
        "the record does not hold what it takes to make the run again: it was made by an older version, or no machine came up"
    )]
    NotRecorded,
    /// This host has other things than the run was made with.
    #[error("this is not what the run was made with:{}", Listed(differences))]
    Mismatch {
        /// What, here, recorded.
        differences: Vec<(String, String, String)>,
    },
    /// The script or its programs.
    #[error(transparent)]
    Script(#[from] session::ReplayError),
}

struct Listed<'d>(&'d [(String, String, String)]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, here, recorded) in self.0 {
            write!(f, "\n  {what}: recorded {recorded}, here {here}")?;
        }
        write!(
            f,
            "\nget what is missing, or go on with --anyway: then it may be another execution"
        )
    }
}

impl Replay {
    /// Finds what the run was made with, fetching the kernel if it is not here.
    ///
    /// # Errors
    /// [`RigError::Replay`] where something is missing or not what it was, and as [`Setup::new`].
    pub fn new(
        recorded: Record,
        options: &ReplayOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Replay, RigError> {
        let replay_inputs = recorded.replay_inputs.as_ref().ok_or(CannotReplay::NotRecorded)?;
        let strict = !options.anyway;
        let program = replay_inputs
            .scheduler
            .as_ref()
            .map(|host| scheduler_program(host, options, strict))
            .transpose()?;
        let player = ScriptPlayer::prepare(&replay_inputs.script, strict).map_err(CannotReplay::from)?;
        let kernel = match &options.kernel {
            Some(request) => request.clone(),
            None => find_kernel(&recorded.plan.kernel, progress)?,
        };
        let spec = specify(
            &recorded,
            options,
            kernel,
            Limits::from_guest(&replay_inputs.limits),
        )?;
        let setup = Setup::on(backend::of_run(&spec), spec, program, progress)?;
        setup.require_determinism("replay")?;
        let differences = setup.manifest().differences(&replay_inputs.manifest);
        if strict && !differences.is_empty() {
            return Err(CannotReplay::Mismatch { differences }.into());
        }
        Ok(Replay {
            recorded,
            setup,
            player,
        })
    }

    /// Makes the run again and compares.
    ///
    /// # Errors
    /// As [`Setup::run`].
    pub fn run(&self, progress: &mut dyn FnMut(Progress)) -> Result<Replayed, RigError> {
        let plan = &self.recorded.plan;
        let body: RunBody<'_, fn(&mut Rig) -> Outcome> = RunBody::Script(&self.player, &plan.expectations);
        let record = self.setup.make(plan.seed, progress, body, How::default())?.record;
        let mut finished = self.setup.keep(record);
        let difference = report::first_difference(&self.recorded, &finished.record);
        // With the same hash it would take the place of the record that it is compared with.
        if difference.is_some() && finished.record.hash != self.recorded.hash {
            match record::save(&finished.record, &self.setup.spec.records) {
                Ok(place) => finished.place = Some(place),
                Err(error) => finished.not_kept = Some(error),
            }
        }
        Ok(Replayed { finished, difference })
    }
}

fn specify(
    recorded: &Record,
    options: &ReplayOptions,
    kernel: KernelRequest,
    limits: Limits,
) -> Result<RunSpec, RigError> {
    let plan = &recorded.plan;
    let replay = recorded.host.replay.clone();
    let defaults = RunSpec::new(&plan.name, plan.topology)?;
    Ok(RunSpec {
        memory_mib: Some(plan.memory_mib),
        kernel,
        scheduler: match &plan.scheduler {
            None => SchedulerSpec::Eevdf,
            Some(scheduler) => SchedulerSpec::Program {
                program: scheduler.program.clone(),
                args: scheduler.args.clone(),
            },
        },
        seed: plan.seed,
        begin_seed: recorded
            .replay_inputs
            .as_ref()
            .and_then(|inputs| inputs.begin_seed),
        shift: Some(plan.shift),
        kernel_args: plan.kernel_args.clone(),
        limits,
        attach: recorded
            .replay_inputs
            .as_ref()
            .map_or(Attach::Fresh, |inputs| inputs.attach),
        warm: options.warm,
        qemu: options.qemu.clone(),
        saves: options.saves.clone(),
        keep: crate::Keep::None,
        looks: options.looks.clone(),
        replay: std::sync::Arc::new(move |_| replay.clone()),
        records: options
            .records
            .clone()
            .unwrap_or_else(|| defaults.records.clone()),
        ..defaults
    })
}

/// The scheduler's program: where the options say, at its recorded path, or where programs are looked for.
fn scheduler_program(host: &HostProgram, options: &ReplayOptions, strict: bool) -> Result<Program, RigError> {
    let recorded = PathBuf::from(&host.path);
    let path = match &options.scheduler {
        Some(path) => path.clone(),
        None if recorded.is_file() => recorded,
        None => {
            let name = recorded.file_name().unwrap_or_default().to_string_lossy();
            scheduler::find(&name)?
        }
    };
    Ok(read_program(host, Some(&path), strict).map_err(CannotReplay::from)?)
}

/// A request that gives the recorded kernel: one that is here, else as it was asked for then, else by its version. Where
/// none gives it, the last one: what differs is then told in full.
fn find_kernel(
    recorded: &KernelFacts,
    progress: &mut dyn FnMut(Progress),
) -> Result<KernelRequest, RigError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| RigError::Kernel {
        request: recorded.request.clone(),
        source,
    };
    let store = Store::open_default().map_err(|error| failed(error.into()))?;
    let here = store.list().map_err(|error| failed(error.into()))?;
    let same = |entry: &&kstore::Entry| entry.build_id == recorded.build_id && entry.damage.is_none();
    let overrides: KernelRequest = recorded
        .request
        .parse()
        .map_err(|error: kstore::RequestError| failed(error.into()))?;
    if let Some(entry) = here.iter().find(same) {
        let answers = entry.requests.contains(&recorded.request);
        return Ok(if answers {
            overrides
        } else {
            KernelRequest::Path(entry.directory.clone())
        });
    }
    let mut tell = |step| progress(Progress::Kernel(step));
    let first = store.resolve(&overrides, &mut tell);
    if first
        .as_ref()
        .is_ok_and(|kernel| kernel.build_id == recorded.build_id)
    {
        return Ok(overrides);
    }
    if let KernelRequest::Apt(apt) = &overrides {
        let version = recorded.release.split(['+', '-']).next().unwrap_or_default();
        let exact = KernelRequest::Apt(kstore::AptRequest {
            version: Some(version.to_owned()),
            ..apt.clone()
        });
        if store
            .resolve(&exact, &mut tell)
            .is_ok_and(|kernel| kernel.build_id == recorded.build_id)
        {
            return Ok(exact);
        }
    }
    match first {
        Ok(_) => Ok(overrides),
        Err(error) => Err(failed(error.into())),
    }
}
