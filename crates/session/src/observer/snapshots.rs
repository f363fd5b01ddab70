//! The snapshots of a run, those that are taken at times too.

use introspect::GuestKernel;
use introspect::sched::Scx;
use observe::dispatch::Action;
use observe::periodic::{self, Periodic, Step, TooManySnapshots};
use observe::{Full, Put, STORED_SNAPSHOTS, TaggedVec, snapshot};
use record::{Snapshot, Tag};
use spec::{GuestTime, Nanos};

/// Snapshots.
#[derive(Debug)]
pub(crate) struct SnapshotKeeper {
    kept: TaggedVec<Snapshot>,
    periodic: Option<Periodic>,
    /// How many are to be taken of the next window.
    next: usize,
    /// How many were taken of all windows.
    numbered: usize,
}

/// A snapshot had no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no room for the snapshot `{tag}`: a run keeps {most}; give one that is not needed any more the same tag"
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
            kept: TaggedVec::new(STORED_SNAPSHOTS),
            periodic: None,
            next: 0,
            numbered: 0,
        }
    }
}

impl SnapshotKeeper {
    /// So many are to be taken of the next window.
    pub(crate) fn of_next_window(&mut self, count: usize) -> Result<(), TooManySnapshots> {
        Periodic::new(count, Nanos::ZERO)?;
        self.next = count;
        Ok(())
    }

    /// A window begins, and will last so long.
    pub(crate) fn open(&mut self, span: Nanos) {
        let count = std::mem::take(&mut self.next);
        self.periodic = (count > 0).then(|| Periodic::new(count, span).ok()).flatten();
    }

    /// A program of the guest has marked a phase: pauses do not count.
    pub(crate) fn phase(&mut self, action: &Action, at: GuestTime) {
        if let Some(periodic) = &mut self.periodic {
            action.tell(periodic, at);
        }
    }

    /// Takes what is due.
    pub(crate) fn tick(&mut self, since: GuestTime, now: GuestTime, kernel: &GuestKernel<'_>) {
        let Some(periodic) = &mut self.periodic else {
            return;
        };
        let root = root_of(kernel);
        // Whatever schedules when the window begins is what it is about.
        if since == now {
            periodic.bound(root);
        }
        periodic.anchored(since);
        periodic.ready(since);
        while let Step::Take(_) = periodic.step(now, root) {
            periodic.taken();
            let Ok(tag) = Tag::new(periodic::tag(self.numbered)) else {
                return;
            };
            self.numbered += 1;
            // How many had no room is told at the end.
            let _ = self.kept.put(tag.clone(), snapshot(kernel, tag, now));
        }
    }

    /// Takes one now. With a tag that there is already, it takes the other's place.
    pub(crate) fn take(
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

    /// All, the oldest first, and how many had no room.
    pub(crate) fn drain(&mut self) -> (Vec<Snapshot>, u64) {
        let kept = self.kept.drain().into_iter().map(|(_, snapshot)| snapshot);
        (kept.collect(), self.kept.refused())
    }
}

/// Which scheduler is loaded: its address, 0 for none.
fn root_of(kernel: &GuestKernel<'_>) -> u64 {
    let root = Scx::of(kernel).root().ok().flatten();
    root.map_or(0, |root| root.object().address().0)
}
