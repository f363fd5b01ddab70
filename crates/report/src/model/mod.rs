//! What there is to show of a record, typed: nanoseconds, counts, ids and enums, but no text that was put together and
//! no fraction that was rounded. Views lay it out and decide nothing.
//!
//! ```text
//! Record ──► Model ─┬─► text    for people
//!                   └─► json    for scripts
//! ```
//!
//! A sentence that the record holds (a check's reason, a conclusion) stays as it is. What a record's kinds are called
//! is said in `record::wording`.

mod changes;
mod groups;
mod history;
mod workers;

use record::{
    CheckResult, Dump, End, Evidence, HostFacts, KernelFacts, Numbers, Observation, Record, RecordHash,
    SchedulerPlan, Series, Verdict,
};
use spec::{GuestTime, Topology};

pub use changes::{Change, changes};
pub use groups::{GroupRow, Ratio};
pub use history::History;
pub use workers::WorkerRow;

/// A record as reports show it; borrows from the record.
#[derive(Debug, Clone)]
pub struct Model<'r> {
    /// Which run it was, and its verdict.
    pub headline: Headline<'r>,
    /// The hash of the record: equal for two runs if and only if they were the same execution.
    pub hash: &'r RecordHash,
    /// A row for each cgroup, in the order in which they were made.
    pub groups: Vec<GroupRow<'r>>,
    /// A row for each worker, by group and number.
    pub workers: Vec<WorkerRow<'r>>,
    /// How EEVDF weighed cgroups, in each window once; empty in kernels before 7.3.
    pub cgroup_modes: Vec<&'r str>,
    /// Each check, in the order of the judgement.
    pub checks: &'r [CheckResult],
    /// What the monitor sampled, in numbers; `None` without a monitor.
    pub sampled: Option<Sampled>,
    /// The failures that were detected while they happened, each with the kernel at that instant.
    pub dumps: &'r [Dump],
    /// The calls that led to the first failure.
    pub history: History<'r>,
    /// The answers to queries that the run was started with.
    pub observations: &'r [Observation],
    /// How the machine ended.
    pub end: &'r End,
    /// The end of the last window, or the last event where no window was.
    pub ended_at: GuestTime,
    /// What is true of the host and of this one making of the run; no part of the execution.
    pub host: &'r HostFacts,
    /// The command that replays this run; `None` where the record does not hold one.
    pub replay: Option<&'r str>,
    /// The shortest command that does, from the record; `None` where that is not kept.
    pub replay_record: Option<String>,
}

/// What the first line of a report says.
#[derive(Debug, Clone, Copy)]
pub struct Headline<'r> {
    /// The record's verdict.
    pub verdict: Verdict,
    /// The run's name.
    pub name: &'r str,
    /// The scheduler under test; `None` = EEVDF.
    pub scheduler: Option<&'r SchedulerPlan>,
    /// The kernel.
    pub kernel: &'r KernelFacts,
    /// The machine's shape.
    pub topology: Topology,
    /// The seed.
    pub seed: u64,
}

/// The monitor's samples in numbers.
#[derive(Debug, Clone)]
pub struct Sampled {
    /// Samples taken.
    pub taken: u64,
    /// Those of them that the record has.
    pub kept: u64,
    /// The extremes of the samples that the record has, and what the kernel counted.
    pub numbers: Numbers,
}

impl Sampled {
    fn of(series: &Series) -> Sampled {
        Sampled {
            taken: series.taken,
            kept: series.samples.len() as u64,
            numbers: series.numbers(),
        }
    }
}

/// The modes of the windows, each that differs from the one before.
fn cgroup_modes(evidence: &Evidence) -> Vec<&str> {
    let windows = evidence.windows.iter();
    let mut modes: Vec<&str> = windows
        .filter_map(|window| window.cgroup_mode.as_deref())
        .collect();
    modes.dedup();
    modes
}

impl<'r> Model<'r> {
    /// The model of a record.
    pub fn of(record: &'r Record) -> Model<'r> {
        let Record { plan, evidence, .. } = record;
        let window = evidence.windows.last().map(|window| window.to);
        let event = || evidence.events.last().map(|event| event.at);
        Model {
            headline: Headline {
                verdict: record.verdict(),
                name: &plan.name,
                scheduler: plan.scheduler.as_ref(),
                kernel: &plan.kernel,
                topology: plan.topology,
                seed: plan.seed,
            },
            hash: &record.hash,
            groups: groups::rows(evidence),
            workers: workers::rows(evidence),
            cgroup_modes: cgroup_modes(evidence),
            checks: &record.judgement.checks,
            sampled: record.series.as_ref().map(Sampled::of),
            dumps: &record.dumps,
            history: History::of(record),
            observations: &record.observations,
            end: &evidence.end,
            ended_at: window.or_else(event).unwrap_or_default(),
            host: &record.host,
            replay: Some(record.host.replay.as_str()).filter(|command| !command.is_empty()),
            replay_record: None,
        }
    }

    /// The same of a record that is kept where this command finds it.
    #[must_use]
    pub fn kept(self, replay_record: Option<String>) -> Model<'r> {
        Model {
            replay_record,
            ..self
        }
    }

    /// The checks that did not pass and were not skipped.
    pub fn findings(&self) -> impl Iterator<Item = &'r CheckResult> {
        self.checks.iter().filter(|check| check.verdict > Verdict::Pass)
    }
}
