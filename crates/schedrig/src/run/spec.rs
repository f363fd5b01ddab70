//! What a run is asked to be.

use std::path::PathBuf;
use std::sync::Arc;

use etcetera::BaseStrategy as _;
use machine::{Ability, Requirement};
use record::Attach;
use session::{Limits, Look};
use spec::{Nanos, SchedulerSpec, Topology};

use crate::kernel::DEFAULT_KERNEL;
use crate::{KernelRequest, RigError};

/// Everything that decides a run, and where its record goes.
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
    /// The seed where the run begins, if its own enters later, when the body applies it ([`crate::Rig::seed`]); `None` = its own.
    pub begin_seed: Option<u64>,
    /// An instruction takes 2^shift ns of guest time; `None` = by the number of CPUs. Only of the backend `tcg`.
    pub shift: Option<u8>,
    /// Kernel arguments beside the rig's own; later arguments win.
    pub kernel_args: String,
    /// How long things may take.
    pub limits: Limits,
    /// QEMU's program; `None` = on the search path. Only of the backend `tcg`.
    pub qemu: Option<PathBuf>,
    /// The directory in which the record is kept.
    pub records: PathBuf,
    /// Which records are kept.
    pub keep: Keep,
    /// The directory of saved machines; `None` = the user's cache.
    pub saves: Option<PathBuf>,
    /// When the scheduler is attached: once for all runs, or in each of them.
    pub attach: Attach,
    /// The run may be forked from a warm machine, where the host allows it. Changes no result.
    pub warm: bool,
    /// Looks at the guest's kernel, and when each is taken.
    pub looks: Vec<TimedLook>,
    /// Snapshots that are taken while the workers run for the first time, evenly over that time.
    pub snapshots: usize,
    /// Samples the runqueues, and judges the samples by [`record::Expectation::WorkConserving`] and
    /// [`record::Expectation::CpusAdvance`].
    pub monitor: bool,
    /// Executes a run that failed again, to record the calls that led to the failure.
    pub auto_repro: bool,
    /// The command that makes a run again, for the report.
    pub replay: Arc<ReplayCommand>,
}

/// Says the command that makes exactly this run again.
pub type ReplayCommand = dyn Fn(&Exactly<'_>) -> String + Send + Sync;

/// What a command must name to make exactly one run again, wherever and whenever it is typed.
#[derive(Debug, Clone, Copy)]
pub struct Exactly<'r> {
    /// The seed.
    pub seed: u64,
    /// The request for this kernel and no other.
    pub kernel: &'r KernelRequest,
    /// The scheduler, its program by absolute path.
    pub scheduler: &'r SchedulerSpec,
}

/// A look at the guest's kernel.
#[derive(Debug, Clone)]
pub struct TimedLook {
    /// How long the workers have run then, in all windows together; `None` = when the test's body is done.
    pub at: Option<Nanos>,
    /// A query, or a call.
    pub look: Look,
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
            begin_seed: None,
            shift: None,
            kernel_args: String::new(),
            limits: Limits::default(),
            qemu: None,
            records: default_records_dir()?,
            keep: Keep::All,
            saves: None,
            attach: Attach::Once,
            warm: true,
            looks: Vec::new(),
            snapshots: 0,
            monitor: true,
            auto_repro: true,
            replay: Arc::new(|_| String::new()),
        })
    }

    /// What this run requires of its backend, whatever its body does.
    pub(crate) fn requirements(&self) -> Vec<Requirement> {
        let mut requirements = vec![
            Requirement {
                of: "a run",
                ability: Ability::Saves,
                otherwise: "choose a backend that saves machines: every run is a fork of a saved one",
            },
            Requirement {
                of: "the clock of the guest",
                ability: Ability::Hooks(1),
                otherwise: "choose a backend that has hooks",
            },
        ];
        if self.snapshots > 0 {
            requirements.push(Requirement {
                of: "--snapshots",
                ability: Ability::LateHooks,
                otherwise: "leave it out, or choose another backend",
            });
        }
        if self.auto_repro {
            requirements.push(Requirement {
                of: "auto-repro",
                ability: Ability::Determinism,
                otherwise: "give --no-auto-repro (`auto_repro = false`), or choose another backend",
            });
        }
        requirements
    }

    /// Nobody has said where its record is to be kept.
    pub(crate) fn keeps_records_by_default(&self) -> bool {
        std::env::var_os(RECORDS_VARIABLE).is_none()
            && default_records_dir().is_ok_and(|default| default == self.records)
    }

    /// RAM of the machine in MiB.
    pub fn effective_memory_mib(&self) -> u32 {
        // Enough for every published scheduler: scx_layered 1.1.4 needs more than 1 GiB while it loads. What a guest does not
        // touch costs nothing. A kernel spends some MiB on each possible CPU: per-CPU areas, trace buffers, BPF allocator
        // caches.
        self.memory_mib.unwrap_or(1_536 + 8 * self.topology.cpus())
    }
}

/// The environment variable that says where records are kept.
const RECORDS_VARIABLE: &str = "SCHEDRIG_RECORDS";

/// Where records are kept: `SCHEDRIG_RECORDS`, else `schedrig/records` in the XDG state directory.
pub fn default_records_dir() -> Result<PathBuf, RigError> {
    if let Some(directory) = std::env::var_os(RECORDS_VARIABLE) {
        return Ok(directory.into());
    }
    let base = etcetera::choose_base_strategy().map_err(|_| RigError::NoHome)?;
    let state = base.state_dir().unwrap_or_else(|| base.data_dir());
    Ok(state.join("schedrig").join("records"))
}

#[cfg(test)]
mod tests {
    use testkit::FakeBackend;

    use super::*;

    fn refused(caps: machine::Caps, change: impl FnOnce(&mut RunSpec)) -> Option<String> {
        let mut spec = RunSpec::new("a-run", "1n1l2c1t".parse().unwrap()).unwrap();
        change(&mut spec);
        let required = caps.require(&spec.requirements());
        required.err().map(|error| error.to_string())
    }

    #[test]
    fn a_run_requires_what_it_is_asked_for_and_no_more() {
        use machine::Caps;
        let all = FakeBackend::ALL;
        let check = |caps: Caps, needs: &str, change: fn(&mut RunSpec), without: Option<fn(&mut RunSpec)>| {
            assert_eq!(refused(all, change), None);
            let error = refused(caps, change).unwrap();
            assert!(error.starts_with(needs), "{error}");
            if let Some(without) = without {
                assert_eq!(refused(caps, without), None, "{needs}");
            }
        };
        check(
            Caps { saves: false, ..all },
            "a run needs saved machines",
            |_| {},
            None,
        );
        let no_hooks = Caps {
            max_hooks: Some(0),
            ..all
        };
        check(no_hooks, "the clock of the guest needs a hook", |_| {}, None);
        let no_late_hooks = Caps {
            late_hooks: false,
            ..all
        };
        let snapshots: fn(&mut RunSpec) = |spec| spec.snapshots = 3;
        check(no_late_hooks, "--snapshots needs hooks", snapshots, Some(|_| {}));
        let random = Caps {
            deterministic: false,
            ..all
        };
        let without: fn(&mut RunSpec) = |spec| spec.auto_repro = false;
        check(random, "auto-repro needs a deterministic", |_| {}, Some(without));
    }
}
