//! Looking at the guest's kernel: `observe` decides, and reaches the machine by a port.

use std::sync::Arc;
use std::time::Instant;

use introspect::{DebugInfo, GuestKernel, Placement};
use machine::{Ability, HookHit, HookId, Instrument, MachineError, Requirement, WatchId, When};
use observe::{
    AfterHit, HitAction, HitFilter, InstrumentError, Look, LookError, Observer, RawHit, SnapshotError,
};
use record::{DumpTrigger, End, Series, Snapshot, Tag};
use spec::{GuestTime, Nanos};
use wire::kernel_op::{KernelOpReply, KernelOpRequest};

use super::{Session, SessionError};
use crate::port::FrozenMachine;
use crate::watchdog::Clock;

impl Session {
    /// Gives names and types of the guest's kernel, without which it cannot be looked at. From now on, failures that the
    /// kernel reports are dumped at their instants.
    pub fn set_debug_info(&mut self, info: Arc<DebugInfo>) {
        let (observer, mut port) = self.observer();
        observer.set_debug_info(info, &mut port);
        if self.scheduler_runs() {
            self.watch_scheduler();
        }
    }

    /// Tells where the guest's kernel lies, which is the same in all forks of one machine.
    pub fn set_placement(&mut self, place: Placement) {
        self.observer.set_placement(place);
    }

    /// The guest's kernel as it stands now: between two commands nothing in it moves.
    ///
    /// # Errors
    /// [`LookError`] when it is not found in the guest's memory.
    pub fn kernel(&mut self) -> Result<GuestKernel<'_>, LookError> {
        self.observer.kernel(self.machine.memory())
    }

    /// Samples the runqueues from now on, at the clock's ticks ([`crate::GuestClock::every`]).
    pub fn monitor(&mut self) {
        self.observer.monitor();
    }

    /// What the monitor has sampled so far; `None` without a monitor.
    pub fn series(&self) -> Option<&Series> {
        self.observer.series()
    }

    /// Has a look when the workers have run for that much guest time, in all windows together; to the tick, if the clock is a
    /// fine one ([`crate::GuestClock::finely`]).
    pub fn look_at(&mut self, when: Nanos, look: Look) {
        self.observer.look_at(when, look);
    }

    /// Has a look now.
    pub fn look(&mut self, look: &Look) {
        let began = Instant::now();
        self.observer.look(self.machine.memory(), self.now, look);
        self.host_deadline += began.elapsed();
    }

    /// Reads or writes the guest's kernel as it stands now, and adds what was done to the observations. A write of a test is
    /// an op ([`Session::apply`]), so that a replay does it again; this is for reads.
    ///
    /// # Errors
    /// [`LookError`] where the kernel is not found; a batch that is refused is a reply.
    pub fn kernel_op(&mut self, request: &KernelOpRequest) -> Result<KernelOpReply, LookError> {
        self.observer.kernel_op(self.machine.memory(), self.now, request)
    }

    /// Takes a snapshot now. One with the same tag is replaced.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn snapshot(&mut self, tag: &str) -> Result<Snapshot, SnapshotError> {
        let tag = Tag::new(tag)?;
        self.observer.snapshot(self.machine.memory(), self.now, tag)
    }

    /// Takes so many snapshots while the workers run next, evenly over the time, to the tick.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn snapshots(&mut self, count: usize) -> Result<(), SnapshotError> {
        self.observer.snapshots(count)?;
        if let Some(clock) = self.clock.as_mut().filter(|_| count > 0) {
            clock.refine(self.machine.as_mut())?;
        }
        Ok(())
    }

    /// How many failures were dumped at their instants so far.
    pub fn caught(&self) -> usize {
        self.observer.caught()
    }

    /// Dumps a failure that is detected now; `what` is its tag.
    pub fn found(&mut self, what: &str, trigger: DumpTrigger) {
        let now = self.now;
        let (observer, port) = self.observer();
        observer.found(&port, now, what, trigger);
    }

    /// Watches the number at a kernel path: after each store to it for which `when` holds, `act` is done. The guest does
    /// not notice.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn watch(&mut self, path: &str, when: When, act: HitAction) -> Result<WatchId, InstrumentError> {
        self.require("a watch", Ability::Watches(1))?;
        let (observer, mut port) = self.observer();
        observer.watch(&mut port, path, when, act)
    }

    /// Hooks a function of the kernel, or a BPF program: at each entry that `only` admits, `act` is done. The guest does
    /// not notice.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn hook(
        &mut self,
        function: &str,
        only: HitFilter,
        act: HitAction,
    ) -> Result<HookId, InstrumentError> {
        self.require("a hook", Ability::LateHooks)?;
        let (observer, mut port) = self.observer();
        observer.hook(&mut port, function, only, act)
    }

    fn require(&self, of: &'static str, ability: Ability) -> Result<(), InstrumentError> {
        let requirement = Requirement {
            of,
            ability,
            otherwise: "choose another backend",
        };
        let required = self.machine.caps().require(&[requirement]);
        Ok(required.map_err(MachineError::from)?)
    }

    /// How often a hook or a watch was hit.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn hits(&mut self, which: Instrument) -> Result<u64, InstrumentError> {
        Ok(self.machine.hits(which)?)
    }

    /// Takes a hook or a watch away.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn remove(&mut self, which: Instrument) -> Result<(), InstrumentError> {
        let (observer, mut port) = self.observer();
        Ok(observer.remove(&mut port, which)?)
    }

    /// Whoever looks, and the machine to look at.
    pub(crate) fn observer(&mut self) -> (&mut Observer, FrozenMachine<'_>) {
        let port = FrozenMachine::new(self.machine.as_mut(), self.clock.as_ref(), self.now);
        (&mut self.observer, port)
    }

    /// The scheduler's program that starts may fail before it is attached.
    pub(super) fn watch_start_of_scheduler(&mut self) {
        let (observer, mut port) = self.observer();
        observer.scheduler_starts(&mut port);
    }

    /// The scheduler that is attached may fail from now on.
    pub(super) fn watch_scheduler(&mut self) {
        let (observer, mut port) = self.observer();
        observer.scheduler_attached(&mut port);
    }

    /// The memory in which a scheduler was may be another's when it is gone.
    pub(super) fn unwatch_scheduler(&mut self) {
        let (observer, mut port) = self.observer();
        observer.scheduler_detached(&mut port);
    }

    /// The clock has ticked.
    pub(super) fn ticked(&mut self, now: GuestTime) {
        let began = Instant::now();
        let samples = self.clock.as_mut().is_none_or(Clock::samples);
        let (observer, port) = self.observer();
        observer.tick(&port, now, samples);
        // The limit is for the guest. Who looks at it, a person for example, may take longer.
        self.host_deadline += began.elapsed();
    }

    /// A hook or a watch that is not the clock's was hit.
    pub(super) fn hit(&mut self, raw: RawHit, doing: &str) -> Result<(), SessionError> {
        let (observer, port) = self.observer();
        match observer.hit(&port, raw) {
            AfterHit::RunOn => self.resume(),
            AfterHit::EndRun => {
                let during = format!("while {doing}");
                Err(self.over(End::Stopped { during }))
            }
        }
    }

    /// Is it the clock's?
    pub(super) fn is_tick(&self, hit: &HookHit) -> bool {
        self.clock.as_ref().is_some_and(|clock| clock.is(hit.hook))
    }

    /// The guest's time at a tick.
    pub(super) fn time_of(&self, hit: &HookHit) -> Option<GuestTime> {
        let clock = self.clock.as_ref()?;
        clock.now(self.machine.memory(), &hit.registers).ok()
    }

    /// The guest has reported its time: that of its frozen instant, or a little before.
    pub(super) fn advance_clock(&mut self, at: GuestTime) {
        self.now = self.now.max(at);
        if let (Some(clock), Some(call)) = (&mut self.clock, &self.pending) {
            clock.calibrate(self.machine.memory(), &call.registers, at);
        }
    }
}
