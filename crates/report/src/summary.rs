//! A record in a few numbers: what `--json` prints and what the tables show.

use record::{Dump, EventKind, Record, Repro, Verdict};
use serde::Serialize;
use spec::{CpuSet, Nanos, WorkerReport};

/// A run in a few numbers. The field names are an interface: scripts read them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The run's name.
    pub name: String,
    /// The worst of the checks.
    pub verdict: Verdict,
    /// Equal for two runs if and only if they were the same execution.
    pub record_hash: String,
    /// The seed.
    pub seed: u64,
    /// The kernel.
    pub kernel: KernelSummary,
    /// As in `1n2l4c1t`.
    pub topology: String,
    /// The scheduler's program with its arguments, or `eevdf`.
    pub scheduler: String,
    /// Guest time at the end of the last window, in seconds since boot.
    pub guest_seconds: f64,
    /// Host time of the whole run in seconds; not part of the execution.
    pub host_seconds: f64,
    /// One for each cgroup.
    pub groups: Vec<GroupSummary>,
    /// One for each check.
    pub checks: Vec<CheckSummary>,
    /// Failures that were caught in the act.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caught: Vec<CaughtSummary>,
    /// How it came to that, in sentences; the calls are in the record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conclusions: Vec<String>,
}

/// Which kernel ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KernelSummary {
    /// As asked for.
    pub request: String,
    /// `uname -r`.
    pub release: String,
    /// The GNU build id.
    pub build_id: String,
}

/// A cgroup over all windows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupSummary {
    /// Its name.
    pub name: String,
    /// What its workers do.
    pub work: String,
    /// How many workers.
    pub workers: usize,
    /// Its cpuset; empty = all CPUs.
    pub cpuset: CpuSet,
    /// `cpu.weight`.
    pub weight: u32,
    /// Work units done.
    pub work_units: u64,
    /// On-CPU time in seconds.
    pub on_cpu_seconds: f64,
    /// Its part of all groups' on-CPU time, 0 to 1.
    pub share: f64,
    /// Time runnable but waiting, in seconds.
    pub run_delay_seconds: f64,
    /// CPU changes.
    pub migrations: u64,
    /// The longest time that one of its workers wanted to run and did not, in seconds.
    pub longest_gap_seconds: f64,
    /// Smallest and largest on-CPU time of its workers, in seconds.
    pub worker_on_cpu_seconds: [f64; 2],
    /// CPUs that its workers were seen on.
    pub cpus_used: CpuSet,
}

/// A check and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckSummary {
    /// Its name.
    pub check: String,
    /// Its outcome.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// A failure that was caught in the act; the record has the kernel as it was then.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaughtSummary {
    /// Its tag in the record.
    pub tag: String,
    /// When, in seconds of guest time since boot.
    pub guest_seconds: f64,
    /// What set it off.
    pub trigger: String,
    /// What explains it at once.
    pub headline: Vec<String>,
    /// The tasks that it is about, by their process ids.
    pub tasks: Vec<i64>,
}

impl Summary {
    /// The summary of a record.
    pub fn of(record: &Record) -> Summary {
        let plan = &record.plan;
        let scheduler = plan.scheduler.as_ref().map_or_else(
            || "eevdf".to_owned(),
            |scheduler| {
                [vec![scheduler.program.clone()], scheduler.args.clone()]
                    .concat()
                    .join(" ")
            },
        );
        let last = record.evidence.windows.last().map(|window| window.to);
        let last = last
            .or_else(|| record.evidence.events.last().map(|event| event.at))
            .unwrap_or_default();
        Summary {
            name: plan.name.clone(),
            verdict: record.verdict(),
            record_hash: record.hash.to_string(),
            seed: plan.seed,
            kernel: KernelSummary {
                request: plan.kernel.request.clone(),
                release: plan.kernel.release.clone(),
                build_id: plan.kernel.build_id.clone(),
            },
            topology: plan.topology.to_string(),
            scheduler,
            guest_seconds: last.0.as_secs_f64(),
            host_seconds: record.host.seconds,
            groups: groups(record),
            caught: record.dumps.iter().map(caught).collect(),
            conclusions: conclusions(record),
            checks: record
                .judgement
                .checks
                .iter()
                .map(|check| CheckSummary {
                    check: check.check.clone(),
                    verdict: check.verdict,
                    reason: check.reason.clone(),
                })
                .collect(),
        }
    }
}

fn caught(dump: &Dump) -> CaughtSummary {
    CaughtSummary {
        tag: dump.snapshot.tag.to_string(),
        guest_seconds: dump.snapshot.at.0.as_secs_f64(),
        trigger: dump.trigger.clone(),
        headline: dump.headline.clone(),
        tasks: dump.tasks.clone(),
    }
}

fn conclusions(record: &Record) -> Vec<String> {
    match &record.repro {
        Some(Repro::Traced(trace)) if trace.hash == record.hash => {
            let histories = trace.histories.iter();
            histories.filter_map(|chain| chain.conclusion.clone()).collect()
        }
        _ => Vec::new(),
    }
}

fn groups(record: &Record) -> Vec<GroupSummary> {
    let evidence = &record.evidence;
    let reports = || evidence.windows.iter().flat_map(|window| &window.workers);
    let all = Nanos(reports().map(|report| report.on_cpu.0).sum()).as_secs_f64();
    evidence
        .groups
        .iter()
        .map(|group| {
            let mine: Vec<&WorkerReport> = reports().filter(|report| report.id.group == group.name).collect();
            let sum = |of: fn(&WorkerReport) -> u64| mine.iter().map(|report| of(report)).sum::<u64>();
            let seconds = |of: fn(&WorkerReport) -> u64| Nanos(sum(of)).as_secs_f64();
            let on_cpu_seconds = seconds(|report| report.on_cpu.0);
            let longest = mine
                .iter()
                .filter_map(|report| report.longest_gap)
                .map(|gap| gap.span)
                .max();
            let mut per_worker = std::collections::BTreeMap::new();
            for report in &mine {
                *per_worker.entry(report.id.index).or_insert(0.0) += report.on_cpu.as_secs_f64();
            }
            let least = per_worker.values().copied().fold(f64::INFINITY, f64::min);
            let most = per_worker.values().copied().fold(0.0, f64::max);
            GroupSummary {
                name: group.name.to_string(),
                work: works(record, group.name.as_str()),
                workers: per_worker.len(),
                cpuset: group.cpus.clone().unwrap_or_default(),
                weight: group.weight.get(),
                work_units: sum(|report| report.work_units),
                on_cpu_seconds,
                share: if all > 0.0 { on_cpu_seconds / all } else { 0.0 },
                run_delay_seconds: seconds(|report| report.run_delay.0),
                migrations: sum(|report| report.migrations),
                longest_gap_seconds: longest.unwrap_or_default().as_secs_f64(),
                worker_on_cpu_seconds: [if least.is_finite() { least } else { 0.0 }, most],
                cpus_used: mine.iter().flat_map(|report| report.cpus.iter()).collect(),
            }
        })
        .collect()
}

fn works(record: &Record, group: &str) -> String {
    let mut works: Vec<&str> = record
        .evidence
        .events
        .iter()
        .filter_map(|event| match &event.what {
            EventKind::Spawned { id, work, .. } if id.group.as_str() == group => Some(work.as_str()),
            _ => None,
        })
        .collect();
    works.dedup();
    works.join(" + ")
}
