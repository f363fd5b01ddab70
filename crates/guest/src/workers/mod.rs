//! All workers of the guest: one process each, one shared slot each.
//!
//! ```text
//! spawn   forks workers into a cgroup; they wait at their gates
//! window  what they did between two instants: the kernel's numbers and their own
//! ```

mod spawn;
mod window;

use std::io;

use rustix::process::{Pid, Signal, kill_process};
use spec::{ExitStatus, GuestTime, Nanos, WorkerId};
use workload::{Arena, Random, Slot};

use crate::fork;
use crate::plan::{self, Start};
use crate::proc::{Accounting, Census, Marks};

use window::Count;

/// The most workers in one guest; a report of all of them fits one message.
pub(crate) const MAX_WORKERS: usize = 4096;

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
    accounting: Accounting,
    /// It measures itself in its slot; a program does not.
    measures_itself: bool,
    /// Its gate is open.
    started: bool,
    /// What had been counted when the window began.
    before: Count,
    /// The marks that were read last.
    marks: Marks,
    exit: Option<ExitStatus>,
}

impl Workers {
    /// No workers yet.
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

    /// Are all of them at their gates, or beyond?
    pub(crate) fn all_arrived(&self) -> bool {
        let mut workers = self.slots().zip(&self.workers);
        workers.all(|(slot, worker)| worker.exit.is_some() || slot.has_arrived())
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

    /// Reaps the workers that have ended, once it has looked at the programs among them, and at their descendants that the
    /// agent is about to reap.
    pub(crate) fn reap(&mut self) {
        if !fork::has_ended_child() {
            return;
        }
        self.look();
        for worker in self.workers.iter_mut().filter(|worker| worker.exit.is_none()) {
            if let Ok(Some(status)) = fork::try_reap(worker.pid) {
                worker.exit = Some(status);
            }
        }
    }

    /// Kills all of them.
    pub(crate) fn kill(&self) {
        for worker in self.workers.iter().filter(|worker| worker.exit.is_none()) {
            let _ = kill_process(worker.pid, Signal::KILL);
        }
    }

    /// Have all of them ended, and been reaped?
    pub(crate) fn all_ended(&self) -> bool {
        self.workers.iter().all(|worker| worker.exit.is_some())
    }

    /// Somebody else reaped `pid`; it may have been a worker.
    pub(crate) fn ended(&mut self, pid: Pid, status: Option<ExitStatus>) {
        if let Some(worker) = self.workers.iter_mut().find(|worker| worker.pid == pid) {
            worker.exit = worker.exit.or(status);
        }
    }

    /// Looks at the workers that have descendants.
    fn look(&mut self) {
        let mut families = self.workers.iter_mut().map(|worker| &mut worker.accounting);
        let Some(first) = families.find(|accounting| accounting.needs_census()) else {
            return;
        };
        let census = Census::take();
        std::iter::once(first)
            .chain(families)
            .for_each(|accounting| accounting.look(&census));
    }

    /// The workers' slots, in their order.
    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.arena.slots().iter().take(self.workers.len())
    }
}

fn raw(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().cast_unsigned()
}
