//! A program that is a worker, with every process that descends from it.
//!
//! The program leads a session of its own, which its descendants inherit and keep when their parents end. A descendant
//! that makes another session is found by its parent, and from then on its session belongs to the family too. So a process
//! is missed only if it made a session and lost its parent between two looks.
//!
//! CPU time moves when a process ends: its parent, once it has waited for it, has the time in its own `cutime` and
//! `cstime`. What nobody of the family waits for (the program itself, which the agent reaps, and processes whose parents
//! have ended) would be lost; so the family keeps the last numbers of such a process. They are the final ones in a guest:
//! there the agent is the one who reaps, and it looks before it does. What a parent that ignores `SIGCHLD` does not wait for
//! is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::Pid;

use super::census::Process;
use super::text::{self, Sched, SchedStat, Stat};
use super::{Census, Marks, parse_at};

/// The most threads of one family that are looked at; those beyond do not count.
const MAX_TASKS: usize = 4096;

/// The most times in one look that the family's sessions are searched for children with sessions of their own: each time
/// finds one generation.
const MAX_GENERATIONS: u32 = 16;

/// Nanoseconds in one unit of `cutime` and `cstime`: `USER_HZ` is 100 (include/asm-generic/param.h).
const NS_PER_USER_TICK: u64 = 10_000_000;

/// A worker's process, its descendants, and what they have done so far.
#[derive(Debug)]
pub(crate) struct Family {
    /// The worker's process id.
    worker: u32,
    /// Its process has made its session.
    leads: bool,
    /// None of its processes is left. Their ids may be others' from now on.
    ended: bool,
    /// The sessions whose processes belong to it.
    sessions: BTreeSet<u32>,
    /// The processes that were there at the last look, by their ids.
    processes: BTreeMap<u32, Seen>,
    /// Their threads, by their ids.
    tasks: BTreeMap<u32, Task>,
    /// CPU time of ended processes that nobody of the family has waited for.
    retired_ns: u64,
    /// What all threads have done so far.
    total: SchedStat,
    marks: Marks,
}

/// A process at the last look.
#[derive(Debug, Clone, Copy)]
struct Seen {
    parent: u32,
    /// CPU time of all of its threads.
    own_ns: u64,
    /// CPU time of the children that it has waited for.
    children_ns: u64,
}

impl Seen {
    fn on_cpu_ns(&self) -> u64 {
        self.own_ns.saturating_add(self.children_ns)
    }
}

/// A thread at the last look.
#[derive(Debug, Clone, Copy)]
struct Task {
    process: u32,
    processor: u32,
    times: SchedStat,
    migrations: u64,
}

impl Family {
    /// The family of a worker that was just forked.
    pub(super) fn of(worker: Pid) -> Family {
        let worker = worker.as_raw_nonzero().get().cast_unsigned();
        Family {
            worker,
            leads: false,
            ended: false,
            sessions: BTreeSet::from([worker]),
            processes: BTreeMap::new(),
            tasks: BTreeMap::new(),
            retired_ns: 0,
            total: SchedStat::default(),
            marks: Marks::default(),
        }
    }

    /// Has the family ended, so that looking shows nothing new?
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Looks at every process of the family that is there.
    pub(super) fn look(&mut self, census: &Census) {
        if self.ended {
            return;
        }
        self.update_sessions(census);
        let found = census.processes().iter().filter(|process| self.has(process));
        let seen: Vec<(u32, Stat, Seen)> = found
            .filter_map(|process| see(process.pid).map(|(stat, seen)| (process.pid, stat, seen)))
            .collect();
        self.ended = seen.is_empty() && !self.processes.is_empty();
        self.look_at_tasks(&seen);
        if let Some((_, stat, _)) = seen.iter().find(|(pid, ..)| *pid == self.worker) {
            self.marks.comm.clone_from(&stat.comm);
            self.marks.last_cpu = stat.processor;
        }
        self.replace_processes(seen.into_iter().map(|(pid, _, seen)| (pid, seen)).collect());
    }

    /// Times and timeslices up to the last look. They never run backwards.
    pub(super) fn times(&self) -> SchedStat {
        self.total
    }

    /// Where the threads were at the last look, and the migrations of those that are still there.
    pub(super) fn marks(&mut self) -> Marks {
        self.migrations();
        let sched = parse_at(&format!("{}/sched", self.worker), text::sched);
        self.marks.class = sched.ok().map(|sched| sched.class);
        self.marks.clone()
    }

    /// Times that its threads changed CPU.
    pub(super) fn migrations(&mut self) -> u64 {
        for (tid, task) in &mut self.tasks {
            let path = format!("{}/task/{tid}/sched", task.process);
            if let Ok(Sched { migrations, .. }) = parse_at(&path, text::sched) {
                self.marks.migrations += migrations.saturating_sub(task.migrations);
                task.migrations = migrations;
            }
        }
        self.marks.migrations
    }

    fn has(&self, process: &Process) -> bool {
        self.sessions.contains(&process.session) || (process.pid == self.worker && !self.leads)
    }

    /// Takes in the sessions that processes of the family have made, and forgets those that have ended.
    fn update_sessions(&mut self, census: &Census) {
        let there: BTreeSet<u32> = census.processes().iter().map(|process| process.session).collect();
        self.leads |= there.contains(&self.worker);
        self.sessions
            .retain(|session| there.contains(session) || !self.leads);
        for _ in 0..MAX_GENERATIONS {
            let pids = census.processes().iter().filter(|process| self.has(process));
            let pids: BTreeSet<u32> = pids.map(|process| process.pid).collect();
            let made: Vec<u32> = census
                .processes()
                .iter()
                .filter(|process| process.session != 0 && !self.has(process))
                .filter(|process| process.parent().is_some_and(|parent| pids.contains(&parent)))
                .map(|process| process.session)
                .collect();
            if made.is_empty() {
                return;
            }
            self.sessions.extend(made);
        }
    }

    /// Adds up what the threads have done since the last look.
    fn look_at_tasks(&mut self, seen: &[(u32, Stat, Seen)]) {
        let mut tasks = BTreeMap::new();
        let threads = seen.iter().flat_map(|(pid, stat, _)| threads(*pid, stat));
        for (tid, process, processor) in threads.take(MAX_TASKS) {
            let Ok(times) = parse_at(&format!("{process}/task/{tid}/schedstat"), text::schedstat) else {
                continue;
            };
            // A thread that has run less than the last time is another one with the same id.
            let last = self
                .tasks
                .get(&tid)
                .filter(|last| last.times.on_cpu_ns <= times.on_cpu_ns);
            let before = last.map_or_else(SchedStat::default, |last| last.times);
            self.total.run_delay_ns += times.run_delay_ns.saturating_sub(before.run_delay_ns);
            self.total.timeslices += times.timeslices.saturating_sub(before.timeslices);
            let task = Task {
                process,
                processor,
                times,
                migrations: last.map_or(0, |last| last.migrations),
            };
            tasks.insert(tid, task);
        }
        if !tasks.is_empty() {
            self.marks.cpus = tasks.values().map(|task| task.processor).collect();
        }
        let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        self.marks.tasks = self.marks.tasks.max(count);
        self.tasks = tasks;
    }

    /// Replaces what was seen at the last look, and adds up CPU time.
    fn replace_processes(&mut self, processes: BTreeMap<u32, Seen>) {
        let last = std::mem::replace(&mut self.processes, processes);
        let gone = last.iter().filter(|(pid, seen)| {
            // A process that has run less than the last time is another one with the same id.
            self.processes.get(pid).is_none_or(|now| now.own_ns < seen.own_ns)
        });
        let unwaited = gone.filter(|(_, seen)| !last.contains_key(&seen.parent));
        self.retired_ns = unwaited
            .map(|(_, seen)| seen.on_cpu_ns())
            .fold(self.retired_ns, u64::saturating_add);
        let there = self.processes.values().map(Seen::on_cpu_ns);
        let on_cpu_ns = there.fold(self.retired_ns, u64::saturating_add);
        self.total.on_cpu_ns = self.total.on_cpu_ns.max(on_cpu_ns);
    }
}

/// The numbers of one process; `None` once it is gone.
fn see(pid: u32) -> Option<(Stat, Seen)> {
    // First what it had from its children: a child that ends in between is then missing in this look, and in the next one
    // where it belongs; the other way round it would count twice.
    let stat = parse_at(&format!("{pid}/stat"), text::stat).ok()?;
    let seen = Seen {
        parent: stat.parent,
        own_ns: cpu_clock(pid)?,
        children_ns: stat.children_ticks.saturating_mul(NS_PER_USER_TICK),
    };
    Some((stat, seen))
}

/// The threads of a process: id, process id, CPU.
fn threads(pid: u32, stat: &Stat) -> Vec<(u32, u32, u32)> {
    if stat.threads <= 1 {
        return vec![(pid, pid, stat.processor)];
    }
    let entries = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let tids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let threads = tids.take(MAX_TASKS).filter_map(|tid: u32| {
        let stat = parse_at(&format!("{pid}/task/{tid}/stat"), text::stat).ok()?;
        Some((tid, pid, stat.processor))
    });
    threads.collect()
}

/// The process CPU clock: nanoseconds that all of its threads have run, the ended ones included, those that run now up to the
/// last tick of their CPU (`thread_group_cputime` in kernel/sched/cputime.c). A zombie has it too.
fn cpu_clock(pid: u32) -> Option<u64> {
    let (mut clock, mut time) = (
        0,
        libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
    );
    // SAFETY: `clock` is valid for a write.
    if unsafe { libc::clock_getcpuclockid(pid.try_into().ok()?, &raw mut clock) } != 0 {
        return None;
    }
    // SAFETY: `time` is valid for a write.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return None;
    }
    let (secs, nanos) = (time.tv_sec.cast_unsigned(), time.tv_nsec.cast_unsigned());
    Some(secs.saturating_mul(1_000_000_000).saturating_add(nanos))
}

#[cfg(test)]
mod tests;
