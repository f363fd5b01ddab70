//! The snapshots of a run: those that somebody asks for, and the periodic ones.

use introspect::GuestKernel;
use introspect::sched::Scx;
use record::{Observation, Snapshot, Tag, Value};
use spec::{GuestTime, Nanos};

use crate::periodic::{self, Deferral, Due, Periodic, Step, TooManySnapshots};
use crate::{Full, MAX_SNAPSHOTS, Put, TaggedVec, snapshot};

/// Snapshots.
#[derive(Debug)]
pub(super) struct SnapshotKeeper {
    kept: TaggedVec<Snapshot>,
    periodic: Option<Periodic>,
    /// How many are to be taken of the next window.
    next: usize,
    /// How many were taken of all windows.
    numbered: usize,
    /// How many were due in windows that are over, or had no tick, and were not taken.
    missed: usize,
    /// Why the last one was put off.
    deferred: Option<Deferral>,
}

/// What a program of the guest reports of its scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The scenario begins. Only the first beginning counts.
    Started,
    /// The scenario pauses: the time until it resumes does not count.
    Paused,
    /// The scenario resumes.
    Resumed,
    /// Another scheduler has taken over: periodic snapshots go on with it.
    SchedulerSwapped,
}

/// A snapshot had no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no room for the snapshot `{tag}`: a run keeps {most}; reuse the tag of one that is not needed any more"
)]
pub struct NoRoom {
    /// Its tag.
    pub tag: Tag,
    /// How many are kept.
    pub most: usize,
}

impl Default for SnapshotKeeper {
    fn default() -> Self {
        SnapshotKeeper {
            kept: TaggedVec::new(MAX_SNAPSHOTS),
            periodic: None,
            next: 0,
            numbered: 0,
            missed: 0,
            deferred: None,
        }
    }
}

impl SnapshotKeeper {
    /// So many are to be taken of the next window.
    pub(super) fn of_next_window(&mut self, count: usize) -> Result<(), TooManySnapshots> {
        Periodic::new(count, Nanos::ZERO)?;
        self.next = count;
        Ok(())
    }

    /// A window begins, and will last so long.
    pub(super) fn open(&mut self, span: Nanos) {
        self.finish_window();
        let count = std::mem::take(&mut self.next);
        self.periodic = (count > 0).then(|| Periodic::new(count, span).ok()).flatten();
    }

    /// A program of the guest has marked a phase of its scenario.
    pub(super) fn phase(&mut self, phase: Phase, at: GuestTime, root: impl FnOnce() -> Option<u64>) {
        let Some(periodic) = &mut self.periodic else {
            return;
        };
        match phase {
            Phase::Started => periodic.anchored(at),
            Phase::Paused => periodic.paused(at),
            Phase::Resumed => periodic.resumed(at),
            Phase::SchedulerSwapped => {
                if let Some(root) = root() {
                    periodic.bound(root);
                }
            }
        }
    }

    /// Takes what is due.
    pub(super) fn tick(&mut self, since: GuestTime, now: GuestTime, kernel: &GuestKernel<'_>) {
        let Some(periodic) = &mut self.periodic else {
            return;
        };
        let root = root_of(kernel);
        // The scheduler that is loaded when the window begins is the one that the snapshots are about.
        if since == now {
            periodic.bound(root);
        }
        periodic.anchored(since);
        periodic.ready(since);
        loop {
            let due = match periodic.step(now, root) {
                Step::Take(due) => due,
                Step::Defer(why) => {
                    self.deferred = Some(why);
                    return;
                }
                Step::Wait(_) | Step::Done => return,
            };
            periodic.taken();
            let Ok(tag) = Tag::new(periodic::tag(self.numbered)) else {
                return;
            };
            self.numbered += 1;
            let mut taken = snapshot(kernel, tag.clone(), now);
            if let Value::Tree(entries) = &mut taken.seen {
                entries.push(("periodic".into(), due_value(&due)));
            }
            // The number of those that had no room is recorded at the end.
            let _ = self.kept.put(tag, taken);
        }
    }

    /// Takes one now. With a tag that there is already, it takes the other's place.
    pub(super) fn take(
        &mut self,
        tag: Tag,
        now: GuestTime,
        kernel: &GuestKernel<'_>,
    ) -> Result<Snapshot, NoRoom> {
        let taken = snapshot(kernel, tag.clone(), now);
        match self.kept.put(tag, taken.clone()) {
            Ok(Put::Stored | Put::Replaced(_)) => Ok(taken),
            Err(Full { most, item: (tag, _) }) => Err(NoRoom { tag, most }),
        }
    }

    /// What the record says of periodic snapshots that were not taken; `None` where all were.
    pub(super) fn missed(&mut self, now: GuestTime) -> Option<Observation> {
        self.finish_window();
        let missed = std::mem::take(&mut self.missed);
        let why = match self.deferred.take() {
            Some(why) => why.to_string(),
            None => "the window was over before their time".to_owned(),
        };
        (missed > 0).then(|| Observation {
            at: now,
            asked: "periodic snapshots that were not taken".to_owned(),
            seen: Value::Missing(format!("{missed}: {why}")),
        })
    }

    fn finish_window(&mut self) {
        let missing = self.periodic.take().map_or(0, |periodic| periodic.missing());
        self.missed = self.missed.saturating_add(missing);
    }

    /// How many are kept.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.kept.len()
    }

    /// All, the oldest first, and how many had no room.
    pub(super) fn drain(&mut self) -> (Vec<Snapshot>, u64) {
        let kept = self.kept.drain().into_iter().map(|(_, snapshot)| snapshot);
        (kept.collect(), self.kept.refused())
    }
}

/// For which instant a periodic snapshot is, and how long the scenario had run by then, without its pauses.
fn due_value(due: &Due) -> Value {
    Value::tree([
        ("boundary", Value::Time(due.boundary.0.0.cast_signed())),
        ("elapsed", Value::Time(due.elapsed.0.cast_signed())),
    ])
}

/// The address of the scheduler that is loaded; 0 for none.
pub(super) fn root_of(kernel: &GuestKernel<'_>) -> u64 {
    let root = Scx::of(kernel).root().ok().flatten();
    root.map_or(0, |root| root.object().address().0)
}
