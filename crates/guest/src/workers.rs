//! The crew: every worker spawned so far, and what is known of each.

use std::ffi::CString;
use std::io;
use std::path::Path;
use std::{fs, os::unix::fs::OpenOptionsExt};

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process, setpriority_process};
use rustix::thread::{name as thread_name, set_name};
use spec::{CpuSet, ExitStatus, GroupName, GuestTime, Nanos, Work, WorkerId, WorkerReport};
use wire::AgentError;
use workload::{Arena, Random, Reading, Slot, Team};

use crate::error::system;
use crate::fork::{self, Forked};
use crate::ostime;
use crate::plan::{self, Start};
use crate::proc::{Marks, ProcessFiles, SchedStat};
use crate::worker;

/// The most workers in one guest; a report of all of them fits one message.
pub(crate) const MAX_WORKERS: usize = 4096;

/// `TASK_COMM_LEN` less the final zero (include/linux/sched.h).
const COMM_LEN: usize = 15;

/// Between two commands that take no guest time less than this passes: marks that were read at the end of one
/// window are good for the begin of the next.
const FRESH: Nanos = Nanos::from_millis(1);

/// All workers and the memory shared with them.
pub(crate) struct Workers {
    arena: Arena,
    workers: Vec<Worker>,
    random: Random,
    /// When all marks had been read.
    marked: GuestTime,
}

struct Worker {
    id: WorkerId,
    pid: Pid,
    files: ProcessFiles,
    /// It keeps a diary in its slot; a program does not.
    has_telemetry: bool,
    /// Its gate is open.
    started: bool,
    /// What had been counted when the window began.
    before: Count,
    /// The marks that were read last.
    marks: Marks,
    exit: Option<ExitStatus>,
}

/// What kernel and worker had counted at an instant.
#[derive(Clone, Copy, Default)]
struct Count {
    times: SchedStat,
    migrations: u64,
    work_units: u64,
}

impl Workers {
    /// An empty crew.
    pub(crate) fn new() -> io::Result<Workers> {
        Ok(Workers {
            arena: Arena::new(MAX_WORKERS)?,
            workers: Vec::new(),
            random: Random::new(0),
            marked: GuestTime::default(),
        })
    }

    /// Seeds the start plans and the workers to come.
    pub(crate) fn seed(&mut self, seed: u64) {
        self.random = Random::new(seed);
    }

    /// Forks `count` workers into the cgroup at `directory`; they wait at their gates. All or none.
    pub(crate) fn spawn(
        &mut self,
        group: &GroupName,
        directory: &Path,
        work: &Work,
        count: u32,
        nice: i8,
    ) -> Result<Vec<(WorkerId, u32)>, AgentError> {
        self.check(work, count)?;
        let first = self.workers.len();
        let index = self
            .workers
            .iter()
            .filter(|worker| worker.id.group == *group)
            .count() as u32;
        for nth in 0..count {
            let id = WorkerId {
                group: group.clone(),
                index: index + nth,
            };
            if let Err(error) = self.spawn_one(id, directory, work, nth, nice) {
                for worker in self.workers.drain(first..) {
                    // Reaped with the orphans.
                    let _ = kill_process(worker.pid, Signal::KILL);
                }
                return Err(error);
            }
        }
        let spawned = self.workers[first..].iter();
        Ok(spawned
            .map(|worker| (worker.id.clone(), raw(worker.pid)))
            .collect())
    }

    /// Are all of them at their gates, or beyond?
    pub(crate) fn all_arrived(&self) -> bool {
        let slots = (0..self.workers.len()).filter_map(|index| self.arena.slot(index));
        let mut workers = slots.zip(&self.workers);
        workers.all(|(slot, worker)| worker.exit.is_some() || slot.has_arrived())
    }

    /// Begins a window: notes what was counted before it. Returns when it began. The time that this takes is
    /// no part of any gap.
    pub(crate) fn begin_window(&mut self) -> GuestTime {
        let busy_since = ostime::now();
        let stale = busy_since.since(self.marked) > FRESH;
        for worker in self.workers.iter_mut().filter(|_| stale) {
            // Who is reaped has no numbers any more, and counts nothing either.
            worker.before.migrations = worker.files.migrations().unwrap_or(worker.before.migrations);
        }
        for (worker, slot) in self.workers.iter_mut().zip(slots(&self.arena)) {
            worker.before.times = worker.files.times().unwrap_or(worker.before.times);
            worker.before.work_units = slot.work_units();
        }
        let now = ostime::now();
        for slot in slots(&self.arena).take(self.workers.len()) {
            slot.begin_window();
            slot.forgive(busy_since, now);
        }
        now
    }

    /// Plans the starts of those who wait at their gates in a window of `span`.
    pub(crate) fn plan_starts(&mut self, span: Nanos) -> Vec<Start> {
        let waiting: Vec<usize> = (0..self.workers.len())
            .filter(|index| !self.workers[*index].started)
            .collect();
        let mut starts = plan::starts(&mut self.random, waiting.len(), span);
        for start in &mut starts {
            start.worker = waiting[start.worker];
        }
        starts
    }

    /// Opens one worker's gate.
    pub(crate) fn start(&mut self, worker: usize, now: GuestTime) {
        if let (Some(worker), Some(slot)) = (self.workers.get_mut(worker), self.arena.slot(worker)) {
            worker.started = true;
            slot.open(now);
        }
    }

    /// What every worker did since the window began; the window ended at `to`, just now. The time that this
    /// takes is no part of any gap.
    pub(crate) fn reports(&mut self, to: GuestTime) -> Vec<WorkerReport> {
        // All at almost one instant: the times first, then what takes longer to read.
        let exact: Vec<(io::Result<SchedStat>, Reading)> = (self.workers.iter().zip(slots(&self.arena)))
            .map(|(worker, slot)| (worker.files.times(), slot.read()))
            .collect();
        let counts = self.workers.iter_mut().zip(exact).map(|(worker, (times, slot))| {
            let mut now = Count {
                work_units: slot.work_units,
                ..worker.before
            };
            // Who was reaped before has no numbers any more: the last ones stay.
            if let (Ok(times), Ok(marks)) = (times, worker.files.marks()) {
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
        for slot in slots(&self.arena).take(self.workers.len()) {
            slot.forgive(to, self.marked);
        }
        reports
    }

    /// Reaps the workers that have ended.
    pub(crate) fn reap(&mut self) {
        for worker in self.workers.iter_mut().filter(|worker| worker.exit.is_none()) {
            if let Ok(Some(status)) = fork::try_reap(worker.pid) {
                worker.exit = Some(status);
            }
        }
    }

    /// Somebody else reaped `pid`; it may have been a worker.
    pub(crate) fn ended(&mut self, pid: Pid, status: Option<ExitStatus>) {
        if let Some(worker) = self.workers.iter_mut().find(|worker| worker.pid == pid) {
            worker.exit = worker.exit.or(status);
        }
    }

    fn check(&self, work: &Work, count: u32) -> Result<(), AgentError> {
        let free = self.arena.capacity() - self.workers.len();
        if count as usize > free {
            return Err(AgentError::State(format!(
                "{count} more workers are too many: a guest has at most {MAX_WORKERS}, and {free} are left"
            )));
        }
        work.check(count)
            .map_err(|error| AgentError::State(error.to_string()))?;
        if let Work::Program(program) = work
            && let Some(path) = program.argv.first()
        {
            access(path.as_str(), Access::EXEC_OK).map_err(system(format!("execute {path}")))?;
        }
        Ok(())
    }

    /// The generator of a worker that draws. One that does not costs no number: spawning it changes nothing
    /// for the others.
    fn random_for(&mut self, work: &Work) -> Option<Random> {
        work.is_random().then(|| self.random.split())
    }

    fn spawn_one(
        &mut self,
        id: WorkerId,
        directory: &Path,
        work: &Work,
        nth: u32,
        nice: i8,
    ) -> Result<(), AgentError> {
        let slot = self.workers.len();
        let doing = |what: &str| format!("{what} of worker {id}");
        let work_type = work.work_type();
        let random = self.random_for(work);
        let pid = {
            // The name is set before the fork so that even a worker that never runs has it.
            let _name = Renamed::to(&comm(&id));
            match fork::fork().map_err(system(doing("fork")))? {
                Forked::Child => worker::main(Team::of(&self.arena, slot, nth, work_type.team), work, random),
                Forked::Parent(pid) => pid,
            }
        };
        let set_up = || {
            join(directory, pid).map_err(system(format!("move worker {id} into {}", directory.display())))?;
            setpriority_process(Some(pid), nice.into()).map_err(system(doing("set the nice value")))?;
            ProcessFiles::open(pid).map_err(system(doing("open the accounting")))
        };
        match set_up() {
            Ok(files) => {
                self.workers.push(Worker {
                    id,
                    pid,
                    files,
                    has_telemetry: work_type.measures_itself,
                    started: false,
                    before: Count::default(),
                    marks: Marks::default(),
                    exit: None,
                });
                Ok(())
            }
            Err(error) => {
                let _ = kill_process(pid, Signal::KILL);
                Err(error)
            }
        }
    }
}

impl Worker {
    fn report(&mut self, now: Count, slot: Reading, to: GuestTime) -> WorkerReport {
        let before = std::mem::replace(&mut self.before, now);
        let last_cpu = self.marks.stat.processor;
        // Who has ended, or has not begun, does not want to run.
        let wants_since = slot.wants_since.filter(|_| self.exit.is_none() && self.started);
        let gap = workload::longest(slot.closed_gap, wants_since, to, last_cpu);
        let times = now.times;
        WorkerReport {
            id: self.id.clone(),
            pid: raw(self.pid),
            comm: self.marks.stat.comm.clone(),
            work_units: now.work_units.saturating_sub(before.work_units),
            on_cpu: delta(times.on_cpu_ns, before.times.on_cpu_ns),
            run_delay: delta(times.run_delay_ns, before.times.run_delay_ns),
            timeslices: times.timeslices.saturating_sub(before.times.timeslices),
            migrations: now.migrations.saturating_sub(before.migrations),
            longest_gap: gap.filter(|_| self.has_telemetry),
            cpus: if self.has_telemetry {
                slot.cpus
            } else {
                CpuSet::from_iter([last_cpu])
            },
            last_cpu,
            exit: self.exit,
        }
    }
}

/// The agent's own name, back again when dropped.
struct Renamed(Option<CString>);

impl Renamed {
    fn to(name: &str) -> Renamed {
        let own = thread_name().ok();
        if let Ok(name) = CString::new(name) {
            let _ = set_name(&name);
        }
        Renamed(own)
    }
}

impl Drop for Renamed {
    fn drop(&mut self) {
        if let Some(own) = &self.0 {
            let _ = set_name(own);
        }
    }
}

/// `group/index`, the group cut so that the index is whole.
fn comm(id: &WorkerId) -> String {
    let index = format!("/{}", id.index);
    let group = id.group.as_str();
    format!("{}{index}", &group[..group.len().min(COMM_LEN - index.len())])
}

fn slots(arena: &Arena) -> impl Iterator<Item = &Slot> {
    (0..arena.capacity()).map_while(|index| arena.slot(index))
}

fn join(directory: &Path, pid: Pid) -> io::Result<()> {
    use std::io::Write;
    let procs = directory.join("cgroup.procs");
    // Not created where it is missing: that is no cgroup.
    let mut procs = fs::OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_CLOEXEC)
        .open(procs)?;
    procs.write_all(raw(pid).to_string().as_bytes())
}

fn raw(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().cast_unsigned()
}

fn delta(now: u64, before: u64) -> Nanos {
    Nanos(now.saturating_sub(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tasks_name_fits_and_keeps_its_number() {
        let check = |group: &str, index, expect: &str| {
            let id = WorkerId {
                group: group.parse().unwrap(),
                index,
            };
            assert_eq!(comm(&id), expect);
            assert!(comm(&id).len() <= COMM_LEN);
        };
        check("a", 0, "a/0");
        check("a-rather-long-group-name", 17, "a-rather-lon/17");
        check("exactly-eleven1", u32::MAX, "exac/4294967295");
    }

    fn seeded(seed: u64) -> Workers {
        let mut workers = Workers::new().unwrap();
        workers.seed(seed);
        workers
    }

    #[test]
    fn work_without_jitter_draws_nothing() {
        let mut workers = seeded(7);
        for work in ["spin", "pingpong", "burst", "burst/4ms/1ms/0%"] {
            assert_eq!(workers.random_for(&work.parse().unwrap()), None, "{work}");
        }
        let argv = vec!["/bin/true".to_owned()];
        assert_eq!(workers.random_for(&spec::work::Program { argv }.into()), None);
        assert_eq!(workers.random, Random::new(7));
    }

    #[test]
    fn each_worker_with_jitter_gets_a_generator_of_its_own_from_the_seed() {
        let work: Work = "burst/4ms/1ms/20%".parse().unwrap();
        let generators = |seed| {
            let mut workers = seeded(seed);
            [(); 3].map(|()| workers.random_for(&work).unwrap())
        };
        let [first, second, third] = generators(7);
        assert!(first != second && second != third && first != third);
        assert_eq!(generators(7), [first, second, third]);
        assert_ne!(generators(7), generators(8));
    }
}
