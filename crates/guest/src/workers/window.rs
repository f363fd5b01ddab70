//! What the workers do in a window: the difference between what was counted at its end and when it began.

use std::io;

use spec::{GuestTime, Nanos, WorkerReport};
use workload::Reading;

use super::{Worker, Workers, raw};
use crate::ostime;
use crate::proc::{Accounting, SchedStat};

/// Between two commands that take no guest time less than this passes: marks that were read at the end of one
/// window are good for the begin of the next.
const FRESH: Nanos = Nanos::from_millis(1);

/// What kernel and worker had counted at an instant.
#[derive(Clone, Copy, Default)]
pub(super) struct Count {
    times: SchedStat,
    migrations: u64,
    work_units: u64,
}

impl Workers {
    /// Begins a window: notes what was counted before it. Returns when it began. The time that this takes is
    /// no part of any gap.
    pub(crate) fn begin_window(&mut self) -> GuestTime {
        let busy_since = ostime::now();
        if busy_since.since(self.marked) > FRESH {
            self.look();
            for worker in &mut self.workers {
                // A worker that is reaped has no numbers any more, and counts nothing either.
                worker.before.migrations = worker.accounting.migrations().unwrap_or(worker.before.migrations);
            }
        }
        self.look();
        for (worker, slot) in self.workers.iter_mut().zip(self.arena.slots()) {
            worker.before.times = worker.accounting.times().unwrap_or(worker.before.times);
            worker.before.work_units = slot.work_units();
        }
        let now = ostime::now();
        for slot in self.slots() {
            slot.begin_window();
            slot.forgive(busy_since, now);
        }
        now
    }

    /// What every worker did since the window began; the window ended at `to`, just now. The time that this
    /// takes is no part of any gap.
    pub(crate) fn reports(&mut self, to: GuestTime) -> Vec<WorkerReport> {
        // All at almost one instant: the times of tasks first, then what takes longer to read.
        let exact: Vec<(io::Result<SchedStat>, Reading)> = (self.workers.iter().zip(self.slots()))
            .map(|(worker, slot)| (worker.accounting.times(), slot.read()))
            .collect();
        self.look();
        let counts = self.workers.iter_mut().zip(exact).map(|(worker, (times, slot))| {
            let times = match &worker.accounting {
                Accounting::Task(_) => times,
                family @ Accounting::Family(_) => family.times(),
            };
            let mut now = Count {
                work_units: slot.work_units,
                ..worker.before
            };
            // A worker that was reaped before has no numbers any more: the last ones stay.
            if let (Ok(times), Ok(marks)) = (times, worker.accounting.marks()) {
                (now.times, now.migrations) = (times, marks.migrations);
                worker.marks = marks;
            }
            (now, slot)
        });
        let counts: Vec<(Count, Reading)> = counts.collect();
        self.reap();
        let workers = self.workers.iter_mut().zip(counts);
        let reports = workers
            .map(|(worker, (now, slot))| worker.report(now, slot, to))
            .collect();
        self.marked = ostime::now();
        for slot in self.slots() {
            slot.forgive(to, self.marked);
        }
        reports
    }
}

impl Worker {
    fn report(&mut self, now: Count, slot: Reading, to: GuestTime) -> WorkerReport {
        let before = std::mem::replace(&mut self.before, now);
        let last_cpu = self.marks.last_cpu;
        // A worker that has ended, or has not begun, does not want to run.
        let wants_since = slot.wants_since.filter(|_| self.exit.is_none() && self.started);
        let gap = workload::longest(slot.closed_gap, wants_since, to, last_cpu);
        let times = now.times;
        WorkerReport {
            id: self.id.clone(),
            pid: raw(self.pid),
            comm: self.marks.comm.clone(),
            work_units: now.work_units.saturating_sub(before.work_units),
            on_cpu: delta(times.on_cpu_ns, before.times.on_cpu_ns),
            run_delay: delta(times.run_delay_ns, before.times.run_delay_ns),
            timeslices: times.timeslices.saturating_sub(before.times.timeslices),
            migrations: now.migrations.saturating_sub(before.migrations),
            longest_gap: gap.filter(|_| self.measures_itself),
            cpus: if self.measures_itself {
                slot.cpus
            } else {
                self.marks.cpus.clone()
            },
            last_cpu,
            class: self.marks.class,
            tasks: self.marks.tasks,
            exit: self.exit,
        }
    }
}

fn delta(now: u64, before: u64) -> Nanos {
    Nanos(now.saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::{Signal, kill_process_group};
    use spec::work::Program;

    use super::*;
    use crate::testing::{PATIENCE, shell};

    #[test]
    fn a_programs_children_count_in_its_window() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("cgroup.procs"), "").unwrap();
        let mut workers = Workers::new().unwrap();
        let argv = shell("(while :; do :; done) & wait");
        let group = "g".parse().unwrap();
        let program = spec::Workers::new(Program { argv }, 1);
        workers.spawn(&group, directory.path(), &program).unwrap();
        let begin = workers.begin_window();
        workers.start(0, begin);
        // More than the shell itself ever runs.
        let (enough, mut on_cpu) = (Nanos::from_millis(100), Nanos::ZERO);
        while on_cpu < enough {
            workers.begin_window();
            std::thread::sleep(Duration::from_millis(50));
            let reports = workers.reports(ostime::now());
            on_cpu.0 += reports[0].on_cpu.0;
            assert_eq!((reports[0].longest_gap, reports[0].exit), (None, None));
            assert!(!reports[0].cpus.is_empty() && !reports[0].comm.is_empty());
            assert!(ostime::now().since(begin) < PATIENCE, "{reports:?}");
        }
        kill_process_group(workers.workers[0].pid, Signal::KILL).unwrap();
    }
}
