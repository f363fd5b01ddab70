//! All kinds of checks: one row each. To add a check: an [`Expectation`], a row, and the function that judges it.

use record::{Expectation, Percent, Source};
use spec::{GroupName, Nanos};

use crate::{Outcome, Run, cpuset, kernel, lost, lost_time, progress, ran, samples, scheduler, share};

/// How long a worker may be kept from running before the default checks call it starved.
pub const STARVATION_LIMIT: Nanos = Nanos::from_secs(1);

/// How long a CPU may idle while a task waits for it before the default checks call that a violation.
pub const IDLE_LIMIT: Nanos = Nanos::from_millis(50);

/// How much of the time in which workers want to run the default checks let them lose while CPUs idle. Good schedulers
/// lose less than a tenth of it; see `docs/checks/lost-time.md` for what was measured.
pub const LOST_TIME_LIMIT: Percent = Percent(10.0);

/// How far a share may be off its due where no tolerance is given.
pub const TOLERANCE: Percent = Percent(10.0);

/// A kind of check.
#[derive(Debug)]
pub struct Kind {
    /// Its short name.
    pub name: &'static str,
    /// What it is judged from.
    pub source: Source,
    /// Is every run held to it, unless its author loosens it?
    pub default: bool,
    /// What it promises, in a sentence.
    pub help: &'static str,
    /// What stands behind the name, in text.
    pub(crate) form: Form,
}

/// What a check takes beside its name.
#[derive(Debug)]
pub(crate) enum Form {
    /// Nothing.
    Bare(Expectation),
    /// `=LIMIT`, or that default.
    Limit(Nanos, fn(Nanos) -> Expectation),
    /// `=PERCENT`, or that default.
    Percent(Percent, fn(Percent) -> Expectation),
    /// `:GROUP,GROUP`, and `=PERCENT` or [`TOLERANCE`].
    Groups(fn(Vec<GroupName>, Percent) -> Expectation),
    /// `:GROUP`, and `=PERCENT` or [`TOLERANCE`].
    Group(fn(GroupName, Percent) -> Expectation),
}

/// From the rows: a static for each kind, their list, and two matches in which the compiler misses a forgotten row.
macro_rules! table {
    ($(
        $kind:ident $name:literal, $source:ident, default: $default:literal, $form:expr,
        $help:literal,
        |$run:ident, $expectation:pat_param| $judge:expr;
    )+) => {
        $(
            static $kind: Kind = Kind {
                name: $name,
                source: Source::$source,
                default: $default,
                help: $help,
                form: $form,
            };
        )+

        /// Every kind of check, in the order in which the default ones are judged.
        pub static KINDS: &[&Kind] = &[$(&$kind),+];

        /// The kind of an expectation.
        #[expect(unused_variables, reason = "the other match uses what the rows' patterns bind")]
        pub fn kind(expectation: &Expectation) -> &'static Kind {
            match expectation {
                $($expectation => &$kind,)+
            }
        }

        /// Judges a run by an expectation.
        pub(crate) fn outcome(run: Run<'_>, expectation: &Expectation) -> Outcome {
            match expectation {
                $($expectation => {
                    let $run = run;
                    $judge
                })+
            }
        }
    };
}

table! {
    SCHEDULER "scheduler", Evidence, default: true, Form::Bare(Expectation::SchedulerHealthy),
    "the scheduler's program runs until it is asked to end, and the kernel keeps the scheduler attached",
    |run, Expectation::SchedulerHealthy| scheduler::healthy(run.evidence);

    RAN "ran", Evidence, default: true, Form::Bare(Expectation::SomethingRan),
    "some worker wants to run while the run is on, or some program is executed",
    |run, Expectation::SomethingRan| ran::something(run.evidence);

    STALL "stall", Evidence, default: true, Form::Limit(STARVATION_LIMIT, |limit| Expectation::NoStall { limit }),
    "at no time do all workers wait for as long as LIMIT",
    |run, Expectation::NoStall { limit }| progress::no_stall(run.evidence, *limit);

    STARVATION "starvation", Evidence, default: true,
    Form::Limit(STARVATION_LIMIT, |limit| Expectation::NoStarvation { limit }),
    "no worker waits for as long as LIMIT while others run",
    |run, Expectation::NoStarvation { limit }| progress::no_starvation(run.evidence, *limit);

    LOST_WORKER "lost-worker", Evidence, default: true, Form::Bare(Expectation::NoLostWorkers),
    "every worker lives until the end",
    |run, Expectation::NoLostWorkers| lost::none_lost(run.evidence);

    KERNEL "kernel", Evidence, default: true, Form::Bare(Expectation::KernelClean),
    "the kernel reports no warning, oops, lockup or stall on its console",
    |run, Expectation::KernelClean| kernel::clean(run.evidence);

    CPUSET "cpuset", Evidence, default: true, Form::Bare(Expectation::CpusetsHonoured),
    "no worker runs on a CPU that its cpuset excludes",
    |run, Expectation::CpusetsHonoured| cpuset::honoured(run.evidence);

    LOST_TIME "lost-time", Evidence, default: true,
    Form::Percent(LOST_TIME_LIMIT, |limit| Expectation::NoLostTime { limit }),
    "workers that wait while CPUs idle that they may use lose at most PERCENT of the time in which they want to run",
    |run, Expectation::NoLostTime { limit }| lost_time::bounded(run, *limit);

    WORK_CONSERVATION "work-conservation", Samples, default: true,
    Form::Limit(IDLE_LIMIT, |limit| Expectation::WorkConserving { limit }),
    "no CPU idles for as long as LIMIT while a task waits that may run on it",
    |run, Expectation::WorkConserving { limit }| samples::work_conserving(run, *limit);

    STUCK_CPU "stuck-cpu", Samples, default: true, Form::Bare(Expectation::CpusAdvance),
    "no busy CPU's runqueue clock stands still",
    |run, Expectation::CpusAdvance| samples::cpus_advance(run.series);

    SHARE "share", Evidence, default: false,
    Form::Groups(|groups, within| Expectation::GroupShare { groups, within }),
    "groups get on-CPU time in proportion to their cpu.weight, each within PERCENT of its due",
    |run, Expectation::GroupShare { groups, within }| share::groups(run.evidence, groups, *within);

    FAIR "fair", Evidence, default: false, Form::Group(|group, within| Expectation::WorkerShare { group, within }),
    "the workers of a group get on-CPU time in proportion to their nice weights, each within PERCENT of its due",
    |run, Expectation::WorkerShare { group, within }| share::workers(run.evidence, group, *within);
}

/// What every run is held to unless its author loosens it.
pub fn defaults() -> Vec<Expectation> {
    let defaults = KINDS.iter().filter(|kind| kind.default);
    defaults.filter_map(|kind| kind.form.by_default()).collect()
}

impl Form {
    /// The expectation that the name alone stands for; `None` where groups must be named.
    pub(crate) fn by_default(&self) -> Option<Expectation> {
        match self {
            Form::Bare(expectation) => Some(expectation.clone()),
            Form::Limit(limit, make) => Some(make(*limit)),
            Form::Percent(limit, make) => Some(make(*limit)),
            Form::Groups(_) | Form::Group(_) => None,
        }
    }
}
