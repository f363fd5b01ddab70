//! The JSON view: a record for scripts. Its field names and types are an interface, which a test below pins; times are
//! in seconds.

use std::collections::BTreeMap;

use record::{Counts, Dump, KernelFacts, Observation, Source, Value, Verdict};
use serde::Serialize;
use spec::{CpuSet, GuestTime, Nanos, SchedClass};

use crate::wording::scheduler;
use crate::{Change, GroupRow, Model, Sampled, WorkerRow};

/// A run in a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The run's name.
    pub name: String,
    /// The record's verdict.
    pub verdict: Verdict,
    /// Equal for two runs if and only if they were the same execution.
    pub record_hash: String,
    /// The seed.
    pub seed: u64,
    /// The kernel.
    pub kernel: KernelFacts,
    /// As in `1n2l4c1t`.
    pub topology: String,
    /// The scheduler's program with its arguments, or `eevdf`.
    pub scheduler: String,
    /// Guest time at the end of the last window, since boot.
    pub guest_seconds: f64,
    /// Host time of the whole run; not part of the execution.
    pub host_seconds: f64,
    /// One for each cgroup.
    pub groups: Vec<GroupSummary>,
    /// One for each worker.
    pub workers: Vec<WorkerSummary>,
    /// How EEVDF weighed cgroups (debugfs `sched/cgroup_mode`), each change; empty in kernels before 7.3.
    pub cgroup_modes: Vec<String>,
    /// One for each check.
    pub checks: Vec<CheckSummary>,
    /// What the monitor sampled; `null` without a monitor.
    pub samples: Option<SamplesSummary>,
    /// The failures that were detected while they happened.
    pub caught: Vec<CaughtSummary>,
    /// The answers to queries, as `--at` asks them.
    pub answers: Vec<AnswerSummary>,
    /// How it got there, in sentences; the calls are in the record.
    pub conclusions: Vec<String>,
    /// How the machine ended.
    pub end: EndSummary,
    /// The command that replays exactly this run without its record; `null` where the record does not hold one.
    pub replay: Option<String>,
    /// The shortest command that replays it, from its record; `null` where that is not kept.
    pub replay_record: Option<String>,
}

/// A cgroup over all windows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupSummary {
    /// Its name.
    pub name: String,
    /// What its workers do.
    pub work: String,
    /// How many workers.
    pub workers: u64,
    /// How many tasks these had at the most, with all that descend from programs; 0 where that was not counted.
    pub tasks: u64,
    /// Its cpuset; empty = all CPUs.
    pub cpuset: CpuSet,
    /// `cpu.weight`.
    pub weight: u32,
    /// Work units done.
    pub work_units: u64,
    /// Time on CPUs.
    pub on_cpu_seconds: f64,
    /// Its part of all groups' time on CPUs, 0 to 1.
    pub share: f64,
    /// Time runnable but waiting.
    pub run_delay_seconds: f64,
    /// CPU changes.
    pub migrations: u64,
    /// The longest time that one of its workers wanted to run and did not; `null` where no worker measures it.
    pub longest_gap_seconds: Option<f64>,
    /// The least time on CPUs of a worker; `workers` has each.
    pub least_worker_on_cpu_seconds: f64,
    /// The most.
    pub most_worker_on_cpu_seconds: f64,
    /// Their difference, of the mean.
    pub worker_spread: f64,
    /// CPUs on which its workers ran.
    pub cpus_used: CpuSet,
}

/// A worker over all windows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkerSummary {
    /// Its name, as in `a/0`.
    pub name: String,
    /// Its group.
    pub group: String,
    /// Its process id.
    pub pid: u32,
    /// What it does.
    pub work: String,
    /// Its nice value.
    pub nice: i8,
    /// How many tasks it had at the most; 0 where that was not counted.
    pub tasks: u32,
    /// The class that scheduled it last: `fair`, `ext`, `real_time`, `deadline`; `null` where that is not known.
    pub class: Option<SchedClass>,
    /// Work units done.
    pub work_units: u64,
    /// Time on CPUs.
    pub on_cpu_seconds: f64,
    /// Time runnable but waiting.
    pub run_delay_seconds: f64,
    /// CPU changes.
    pub migrations: u64,
    /// The longest time that it wanted to run and did not; `null` for a program.
    pub longest_gap_seconds: Option<f64>,
    /// CPUs on which it ran.
    pub cpus_used: CpuSet,
    /// How it ended, as in `exit code 0`; `null` if it did not.
    pub exit: Option<String>,
}

/// An answer to a query.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerSummary {
    /// When, since boot.
    pub guest_seconds: f64,
    /// The query.
    pub query: String,
    /// The answer, as a tree.
    pub answer: Value,
}

/// A check and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckSummary {
    /// Its name.
    pub check: String,
    /// What it was judged from.
    pub source: Source,
    /// Its outcome.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// The evidence behind it, a line each.
    pub details: Vec<String>,
}

/// What the monitor sampled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SamplesSummary {
    /// Samples taken.
    pub taken: u64,
    /// Those of them that the record has; what follows is of these.
    pub kept: u64,
    /// Samples that could not be taken, or not whole.
    pub incomplete: u64,
    /// Why not, the last time.
    pub why_incomplete: Option<String>,
    /// The greatest difference between the numbers of tasks that two CPUs had to run.
    pub imbalance: Option<ImbalanceSummary>,
    /// The most tasks in each CPU's local DSQ.
    pub local_dsqs: BTreeMap<u32, u64>,
    /// The most tasks in each DSQ that a scheduler has created.
    pub dsqs: BTreeMap<String, u64>,
    /// What the kernel counted in all windows together.
    pub counted: Counts,
}

/// An imbalance between two CPUs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImbalanceSummary {
    /// When, since boot.
    pub guest_seconds: f64,
    /// The most tasks that a CPU had to run.
    pub most: u64,
    /// The fewest.
    pub least: u64,
}

/// A failure that was detected while it happened; the record has the kernel as it was then.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaughtSummary {
    /// Its tag in the record.
    pub tag: String,
    /// When, since boot.
    pub guest_seconds: f64,
    /// What set it off.
    pub trigger: String,
    /// What explains it at once.
    pub headline: Vec<String>,
    /// The tasks that it is about, by their process ids.
    pub tasks: Vec<i64>,
}

/// How the machine ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndSummary {
    /// In a word: `powered_off`, `guest_panic`, …
    #[serde(flatten)]
    pub end: record::End,
    /// In a sentence.
    pub text: String,
}

/// The JSON view of a model.
pub fn of(model: &Model<'_>) -> Summary {
    let headline = &model.headline;
    Summary {
        name: headline.name.to_owned(),
        verdict: headline.verdict,
        record_hash: model.hash.to_string(),
        seed: headline.seed,
        kernel: headline.kernel.clone(),
        topology: headline.topology.to_string(),
        scheduler: scheduler(headline.scheduler),
        guest_seconds: instant(model.ended_at),
        host_seconds: model.host.seconds,
        groups: model.groups.iter().map(group).collect(),
        workers: model.workers.iter().map(worker).collect(),
        cgroup_modes: model.cgroup_modes.iter().map(|mode| (*mode).to_owned()).collect(),
        checks: model.checks.iter().map(check).collect(),
        samples: model.sampled.as_ref().map(samples),
        caught: model.dumps.iter().map(caught).collect(),
        answers: model.observations.iter().map(answer).collect(),
        conclusions: model.history.conclusions().map(str::to_owned).collect(),
        end: EndSummary {
            end: model.end.clone(),
            text: model.end.to_string(),
        },
        replay: model.replay.map(str::to_owned),
        replay_record: model.replay_record.clone(),
    }
}

/// A check that changed when a record was judged again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeSummary {
    /// Its name.
    pub check: String,
    /// Its recorded verdict; `null` where the record was not judged by it.
    pub recorded: Option<Verdict>,
    /// Its verdict now; `null` where it is not judged any more.
    pub judged: Option<Verdict>,
}

/// The JSON view of changes.
pub fn changes(changes: &[Change<'_>]) -> Vec<ChangeSummary> {
    let changes = changes.iter().map(|change| {
        let [recorded, judged] = change.verdicts();
        ChangeSummary {
            check: change.check.to_owned(),
            recorded,
            judged,
        }
    });
    changes.collect()
}

fn group(row: &GroupRow<'_>) -> GroupSummary {
    GroupSummary {
        name: row.name.to_string(),
        work: row.works.join(" + "),
        workers: row.workers,
        tasks: row.tasks,
        cpuset: row.cpuset.cloned().unwrap_or_default(),
        weight: row.weight.get(),
        work_units: row.work_units,
        on_cpu_seconds: seconds(row.on_cpu),
        share: row.share.fraction(),
        run_delay_seconds: seconds(row.run_delay),
        migrations: row.migrations,
        longest_gap_seconds: row.longest_gap.map(seconds),
        least_worker_on_cpu_seconds: seconds(row.least_on_cpu),
        most_worker_on_cpu_seconds: seconds(row.most_on_cpu),
        worker_spread: row.worker_spread().fraction(),
        cpus_used: row.cpus_used.clone(),
    }
}

fn worker(row: &WorkerRow<'_>) -> WorkerSummary {
    WorkerSummary {
        name: row.id.to_string(),
        group: row.id.group.to_string(),
        pid: row.pid,
        work: row.work.to_owned(),
        nice: row.nice,
        tasks: row.tasks,
        class: row.class,
        work_units: row.work_units,
        on_cpu_seconds: seconds(row.on_cpu),
        run_delay_seconds: seconds(row.run_delay),
        migrations: row.migrations,
        longest_gap_seconds: row.longest_gap.map(seconds),
        cpus_used: row.cpus_used.clone(),
        exit: row.exit.map(|exit| exit.to_string()),
    }
}

fn answer(observation: &Observation) -> AnswerSummary {
    AnswerSummary {
        guest_seconds: instant(observation.at),
        query: observation.asked.clone(),
        answer: observation.seen.clone(),
    }
}

fn check(check: &record::CheckResult) -> CheckSummary {
    CheckSummary {
        check: check.check.clone(),
        source: check.source,
        verdict: check.verdict,
        reason: check.reason.clone(),
        details: check.details.clone(),
    }
}

fn samples(sampled: &Sampled) -> SamplesSummary {
    let Sampled { taken, kept, numbers } = sampled;
    SamplesSummary {
        taken: *taken,
        kept: *kept,
        incomplete: numbers.incomplete,
        why_incomplete: numbers.why_incomplete.clone(),
        imbalance: numbers.imbalance.map(|imbalance| ImbalanceSummary {
            guest_seconds: instant(imbalance.at),
            most: imbalance.most,
            least: imbalance.least,
        }),
        local_dsqs: numbers.local_dsqs.clone(),
        dsqs: numbers.dsqs.clone(),
        counted: numbers.counted.clone(),
    }
}

fn caught(dump: &Dump) -> CaughtSummary {
    CaughtSummary {
        tag: dump.snapshot.tag.to_string(),
        guest_seconds: instant(dump.snapshot.at),
        trigger: dump.trigger.to_string(),
        headline: dump.headline.clone(),
        tasks: dump.tasks.clone(),
    }
}

fn seconds(span: Nanos) -> f64 {
    span.as_secs_f64()
}

fn instant(at: GuestTime) -> f64 {
    at.0.as_secs_f64()
}
