//! What a scenario is.

use kstore::KernelRequest;
use record::{Attach, Expectation};
use spec::{CgroupSpec, Nanos, Op, SchedulerSpec, Topology, Workers};

/// Machine, scheduler, groups, steps and what the run is judged by. A seed and where the run is made are no part of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Its name, in reports and records.
    pub name: String,
    /// What it is for, in a line.
    pub about: Option<String>,
    /// The machine.
    pub machine: Machine,
    /// The scheduler.
    pub scheduler: Scheduler,
    /// The cgroups below the root, each with its workers, made in this order before the first step.
    pub groups: Vec<Group>,
    /// What is done, in this order.
    pub steps: Vec<Step>,
    /// What the run is judged by.
    pub verdicts: Verdicts,
}

/// A machine and its kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    /// Its shape.
    pub topology: Topology,
    /// Guest RAM in MiB; `None`: by the number of CPUs.
    pub memory_mib: Option<u32>,
    /// `None`: the newest that is packaged.
    pub kernel: Option<KernelRequest>,
    /// Kernel arguments beside the rig's own; later ones win.
    pub kernel_args: String,
    /// An instruction takes 2^shift ns of guest time; `None`: by the number of CPUs.
    pub shift: Option<u8>,
    /// Names below `/proc/sys`, as in `kernel.sched_rt_runtime_us`, and their values, written before all else.
    pub sysctls: Vec<(String, String)>,
}

/// A scheduler, and when it is attached.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheduler {
    /// Which.
    pub program: SchedulerSpec,
    /// Once for all runs, in each run before all else, or by a step.
    pub attach: Attach,
    /// How long it may take to attach, or to load one more BPF program, in guest time; `None`: the default.
    pub attach_within: Option<Nanos>,
}

/// A cgroup and its workers.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The cgroup.
    pub cgroup: CgroupSpec,
    /// What runs in it.
    pub workers: Vec<Workers>,
}

/// Something is done, then the workers run for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its name in the record.
    pub name: Option<String>,
    /// The scheduler is attached, before the ops.
    pub attach: bool,
    /// What is done.
    pub ops: Vec<Op>,
    /// How long the workers then run, in guest time.
    pub run: Option<Nanos>,
    /// How often the step is made, 1 to [`crate::MAX_TIMES`].
    pub times: u32,
}

/// What a run is judged by, beside the default checks.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verdicts {
    /// Each in the place of the default one of its kind, or beside them.
    pub checks: Vec<Expectation>,
    /// Default checks that are left out, by name.
    pub without: Vec<&'static str>,
}

impl Scenario {
    /// How long the workers run in all, in guest time.
    pub fn runs_for(&self) -> Nanos {
        let ops = |step: &Step| {
            let runs = step.ops.iter().filter_map(|op| match op {
                Op::RunFor(run) => Some(run.span.0),
                _ => None,
            });
            runs.fold(0, u64::saturating_add)
        };
        let spans = self.steps.iter().map(|step| {
            let once = step.run.map_or(0, |run| run.0).saturating_add(ops(step));
            once.saturating_mul(step.times.into())
        });
        Nanos(spans.fold(0, u64::saturating_add))
    }
}

/// The file of a sysctl.
pub fn sysctl_path(name: &str) -> String {
    // As sysctl(8): names are parted by `.`, or by `/` where they hold a `.` themselves.
    let name = if name.contains('/') {
        name.to_owned()
    } else {
        name.replace('.', "/")
    };
    format!("/proc/sys/{name}")
}
