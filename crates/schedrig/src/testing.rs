//! What `#[schedrig::test]` expands to.

use std::path::PathBuf;
use std::sync::Arc;

use record::Verdict;
use session::chain;

use crate::{Exactly, Outcome, Rig, RigError, RunSpec, run};

/// A test as its attribute declares it: values are still texts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Declared {
    /// The test function's name with its module path.
    pub name: &'static str,
    /// As in `1n2l2c1t`.
    pub topology: &'static str,
    /// As in `scx_baton --starve-nth 3`; `None` = EEVDF.
    pub scheduler: Option<&'static str>,
    /// As in `apt:sid`.
    pub kernel: Option<&'static str>,
    /// The seed.
    pub seed: Option<u64>,
    /// Guest RAM in MiB.
    pub memory: Option<u32>,
    /// When the scheduler is attached, as in `fresh`.
    pub attach: Option<&'static str>,
    /// How long the scheduler may take to attach, as in `120s`.
    pub attach_within: Option<&'static str>,
    /// How many snapshots are taken while the workers run for the first time.
    pub snapshots: Option<usize>,
    /// Execute a run that failed again, to trace the calls that led there?
    pub auto_repro: Option<bool>,
    /// Sample the runqueues?
    pub monitor: Option<bool>,
}

/// Runs a declared test. Panics, as tests do, with the whole report unless the run passed or was skipped.
///
/// # Panics
/// If the run failed, was inconclusive, or could not be set up.
#[expect(clippy::panic, reason = "this is how a test fails")]
#[track_caller]
pub fn run_declared(declared: &Declared, body: fn(&mut Rig) -> Outcome) {
    let finished = specify(declared).and_then(|spec| run(&spec, &mut |_| {}, body));
    match finished {
        Err(error) => panic!("{}: {}", declared.name, chain(&error)),
        Ok(finished) => {
            let mut report = report::text::of(&finished.model("cargo schedrig"));
            if let Some(place) = &finished.place {
                report += &format!("  record in {}\n", place.display());
            }
            if let Some(error) = &finished.not_kept {
                report += &format!("  the record was not kept: {}\n", chain(error));
            }
            match finished.record.verdict() {
                Verdict::Pass | Verdict::Skip => print!("{report}"),
                Verdict::Fail | Verdict::Inconclusive => panic!("{report}"),
            }
        }
    }
}

/// The specification that the attribute declares; `SCHEDRIG_SEED`, `SCHEDRIG_KERNEL` and `SCHEDRIG_QEMU` override it.
fn specify(declared: &Declared) -> Result<RunSpec, RigError> {
    let name = declared.name.rsplit("::").next().unwrap_or(declared.name);
    let mut spec = RunSpec::new(name, declared.topology.parse()?)?;
    if let Some(scheduler) = declared.scheduler {
        spec.scheduler =
            scheduler
                .parse()
                .map_err(|error: crate::SchedulerSpecError| RigError::Scheduler {
                    program: scheduler.to_owned(),
                    source: error.into(),
                })?;
    }
    let kernel = std::env::var("SCHEDRIG_KERNEL")
        .ok()
        .or(declared.kernel.map(str::to_owned));
    if let Some(request) = kernel {
        spec.kernel = request
            .parse()
            .map_err(|error: kstore::RequestError| RigError::Kernel {
                request: request.clone(),
                source: error.into(),
            })?;
    }
    let seed = match std::env::var("SCHEDRIG_SEED") {
        Ok(text) => Some(text.parse().map_err(|_| RigError::Seed { text })?),
        Err(_) => declared.seed,
    };
    spec.seed = seed.unwrap_or(spec.seed);
    spec.memory_mib = declared.memory;
    if let Some(text) = declared.attach_within {
        spec.limits.scheduler = text.parse()?;
    }
    spec.snapshots = declared.snapshots.unwrap_or(spec.snapshots);
    spec.auto_repro = declared.auto_repro.unwrap_or(spec.auto_repro);
    spec.monitor = declared.monitor.unwrap_or(spec.monitor);
    if let Some(text) = declared.attach {
        spec.attach = text.parse()?;
    }
    spec.qemu = std::env::var_os("SCHEDRIG_QEMU").map(PathBuf::from);
    let name = name.to_owned();
    spec.replay = Arc::new(move |run| {
        let Exactly { seed, kernel, .. } = run;
        format!("SCHEDRIG_KERNEL={kernel} SCHEDRIG_SEED={seed} cargo test {name}")
    });
    Ok(spec)
}
