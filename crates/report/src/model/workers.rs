//! What each worker did, over all windows of a run.

use std::collections::BTreeMap;

use record::{EventKind, Evidence};
use spec::{CpuSet, ExitStatus, Nanos, SchedClass, WorkerId, WorkerReport};

/// A worker and the sums over its windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerRow<'r> {
    /// Its name.
    pub id: &'r WorkerId,
    /// Its process id.
    pub pid: u32,
    /// What it does.
    pub work: &'r str,
    /// Its nice value.
    pub nice: i8,
    /// The class that scheduled it at the end of the last window; `None` where that is not known.
    pub class: Option<SchedClass>,
    /// How many tasks it had at the most; 0 where that was not counted.
    pub tasks: u32,
    /// Work units done.
    pub work_units: u64,
    /// Time on CPUs.
    pub on_cpu: Nanos,
    /// Time runnable but waiting.
    pub run_delay: Nanos,
    /// CPU changes.
    pub migrations: u64,
    /// The longest time that it wanted to run and did not; `None` where it does not measure it.
    pub longest_gap: Option<Nanos>,
    /// The CPUs on which it ran.
    pub cpus_used: CpuSet,
    /// How it ended, if it did.
    pub exit: Option<ExitStatus>,
}

/// A row for each worker that reported, by group and number.
pub(super) fn rows(evidence: &Evidence) -> Vec<WorkerRow<'_>> {
    let spawned: BTreeMap<&WorkerId, (&str, i8)> = evidence
        .events
        .iter()
        .filter_map(|event| match &event.what {
            EventKind::Spawned { id, work, nice, .. } => Some((id, (work.as_str(), *nice))),
            _ => None,
        })
        .collect();
    let mut rows: BTreeMap<&WorkerId, WorkerRow<'_>> = BTreeMap::new();
    for report in evidence.windows.iter().flat_map(|window| &window.workers) {
        let (work, nice) = spawned.get(&report.id).copied().unwrap_or(("", 0));
        let row = rows.entry(&report.id).or_insert_with(|| WorkerRow {
            id: &report.id,
            pid: report.pid,
            work,
            nice,
            class: None,
            tasks: 0,
            work_units: 0,
            on_cpu: Nanos::ZERO,
            run_delay: Nanos::ZERO,
            migrations: 0,
            longest_gap: None,
            cpus_used: CpuSet::default(),
            exit: None,
        });
        row.add(report);
    }
    rows.into_values().collect()
}

impl WorkerRow<'_> {
    fn add(&mut self, report: &WorkerReport) {
        self.class = report.class;
        self.tasks = self.tasks.max(report.tasks);
        self.work_units += report.work_units;
        self.on_cpu.0 += report.on_cpu.0;
        self.run_delay.0 += report.run_delay.0;
        self.migrations += report.migrations;
        self.longest_gap = self.longest_gap.max(report.longest_gap.map(|gap| gap.span));
        self.cpus_used = self.cpus_used.iter().chain(report.cpus.iter()).collect();
        self.exit = report.exit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn a_row_sums_the_windows_of_a_worker() {
        let record = samples::record();
        let rows = rows(&record.evidence);
        assert_eq!(rows.len(), 3);
        let group = |name: &str| -> Nanos {
            let own = rows.iter().filter(|row| row.id.group.as_str() == name);
            Nanos(own.map(|row| row.on_cpu.0).sum())
        };
        assert_eq!(group("a"), Nanos::from_millis(3_200));
        assert_eq!(
            (rows[0].work, rows[0].nice, rows[0].class),
            ("spin", 0, Some(SchedClass::Ext))
        );
    }
}
