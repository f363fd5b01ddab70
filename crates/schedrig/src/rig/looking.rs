//! What a test's body can see of its guest's kernel, and be told of.

use machine::{HookId, Instrument, WatchId, When};
use record::Snapshot;
use session::{HitAction, HitFilter};

use super::Rig;
use crate::RigError;

impl Rig {
    /// Takes a snapshot of the kernel as it stands now, for the test and for the record; a run keeps 64. One with a tag
    /// that there is already takes the other's place.
    ///
    /// # Errors
    /// [`RigError::Snapshot`].
    pub fn snapshot(&mut self, tag: &str) -> Result<Snapshot, RigError> {
        self.see()?;
        Ok(self.session.snapshot(tag)?)
    }

    /// Has so many snapshots taken in the next [`Rig::run_for`], evenly over its time, the first and last tenth left out
    /// (`periodic_000` and so on). They are in the record.
    ///
    /// # Errors
    /// [`RigError::Snapshot`] for more than a thousand.
    pub fn snapshots(&mut self, count: usize) -> Result<(), RigError> {
        self.see()?;
        Ok(self.session.snapshots(count)?)
    }

    /// Watches a number of the kernel or of the scheduler's programs: `scx_root->exit_kind.counter`,
    /// `runqueues[1].nr_running`, `task[112].scx.dsq_vtime`, `nr_enqueued` (a variable of a BPF program), `jiffies_64`.
    /// At each store after which `when` holds, `act` is done; the guest stands still meanwhile and does not notice.
    ///
    /// # Errors
    /// [`RigError::Instrument`].
    pub fn watch(&mut self, what: &str, when: When, act: HitAction) -> Result<WatchId, RigError> {
        self.see()?;
        Ok(self.session.watch(what, when, act)?)
    }

    /// Hooks a function of the kernel, or a BPF program by its name: whenever it is entered as `only` says, `act` is done;
    /// the guest stands still meanwhile and does not notice.
    ///
    /// # Errors
    /// [`RigError::Instrument`].
    pub fn hook(&mut self, function: &str, only: HitFilter, act: HitAction) -> Result<HookId, RigError> {
        self.see()?;
        Ok(self.session.hook(function, only, act)?)
    }

    /// How often a watch's condition held.
    ///
    /// # Errors
    /// [`RigError::Instrument`].
    pub fn watch_hits(&mut self, watch: WatchId) -> Result<u64, RigError> {
        Ok(self.session.hits(Instrument::Watch(watch))?)
    }

    /// How often a hooked function was entered.
    ///
    /// # Errors
    /// [`RigError::Instrument`].
    pub fn hook_hits(&mut self, hook: HookId) -> Result<u64, RigError> {
        Ok(self.session.hits(Instrument::Hook(hook))?)
    }

    /// Takes a watch or a hook away.
    ///
    /// # Errors
    /// [`RigError::Instrument`].
    pub fn remove(&mut self, which: Instrument) -> Result<(), RigError> {
        Ok(self.session.remove(which)?)
    }

    /// Has the kernel's names and types at hand.
    pub(super) fn see(&mut self) -> Result<(), RigError> {
        self.session.set_debug_info(self.kernel.debug_info()?);
        Ok(())
    }
}
