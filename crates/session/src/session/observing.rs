//! Looking at the guest's kernel.

use std::sync::Arc;

use introspect::{DebugInfo, Function, GuestKernel, Query};
use machine::{
    Ability, HookHit, HookId, HookSpec, Instrument, MachineError, Requirement, WatchId, WatchSpec, When,
    Width,
};
use observe::KernelVar;
use record::{End, Series, Snapshot, Tag};
use spec::{GuestTime, Nanos};
use wire::kernel_op::{KernelOpReply, KernelOpRequest};

use super::{Session, SessionError};
use crate::observer::{
    FailureDetector, HitAction, HitFilter, InstrumentError, LookError, Owner, ProbePoint, RawHit,
    SnapshotError, Trigger,
};

impl Session {
    /// Tells names and types of the guest's kernel, without which it cannot be looked at. From now on, failures that the
    /// kernel tells of are caught in the act.
    pub fn set_debug_info(&mut self, info: Arc<DebugInfo>) {
        self.observer.set_debug_info(info);
        if self
            .observer
            .instruments
            .of_detector(&[Trigger::Printk])
            .is_empty()
        {
            self.post(FailureDetector::probe_points);
        }
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

    /// Has the question asked when the workers have run for that much guest time, in all windows together; to the tick,
    /// if the clock is a fine one ([`crate::GuestClock::finely`]).
    pub fn query_at(&mut self, when: Nanos, query: Query) {
        self.observer.query_at(when, query);
    }

    /// Asks now.
    pub fn observe(&mut self, query: &Query) {
        self.observer.observe(self.machine.memory(), self.now, query);
    }

    /// Reads or writes the guest's kernel as it stands now, and adds what was done to the observations. A write of a test is
    /// an op ([`Session::apply`]), so that a replay does it again; this is for reads.
    ///
    /// # Errors
    /// [`LookError`] where the kernel is not found; a batch that is refused is a reply.
    pub fn kernel_op(&mut self, request: &KernelOpRequest) -> Result<KernelOpReply, LookError> {
        self.observer.kernel_op(self.machine.memory(), self.now, request)
    }

    /// Takes a snapshot now; with a tag that there is already, it takes the other's place.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn snapshot(&mut self, tag: &str) -> Result<Snapshot, SnapshotError> {
        let tag = Tag::new(tag)?;
        self.observer.snapshot(self.machine.memory(), self.now, tag)
    }

    /// Has so many snapshots taken while the workers run next, evenly over the time, to the tick.
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

    /// How many failures were caught in the act so far.
    pub fn caught(&self) -> usize {
        self.observer.detector.caught()
    }

    /// Has a failure dumped that is seen now.
    pub fn found(&mut self, what: &str, trigger: String) {
        self.observer
            .found(self.machine.as_ref(), self.now, what, trigger);
    }

    /// Watches a number of the kernel or of its programs: at each store to it after which the condition holds, does what
    /// is to be done. The guest does not notice.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn watch(&mut self, what: &str, when: When, act: HitAction) -> Result<WatchId, InstrumentError> {
        let place = KernelVar::find(&self.kernel()?, what)?;
        self.watch_var(&place, when, act)
    }

    /// The same for a place that is known.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn watch_var(
        &mut self,
        place: &KernelVar,
        when: When,
        act: HitAction,
    ) -> Result<WatchId, InstrumentError> {
        self.require("a watch", Ability::Watches(1))?;
        let current = place.read(&self.kernel()?)?;
        let spec = WatchSpec {
            width: width(place),
            when,
            every: u64::from(!matches!(act, HitAction::Count)),
            current,
        };
        let watch = self.machine.watch(place.at, spec)?;
        let owner = Owner::User {
            name: place.name.clone(),
            function: None,
            only: HitFilter::Always,
            act,
        };
        self.observer.instruments.add(Instrument::Watch(watch), owner);
        Ok(watch)
    }

    /// Hooks a function of the kernel, or a BPF program: each time it is entered as `only` says, does what is to be done.
    /// The guest does not notice.
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
        let found = Function::find(&self.kernel()?, function)?;
        if let HitFilter::Argument(wanted, _) = &only {
            let there = found.parameters(&self.kernel()?);
            if !there.contains(wanted) {
                return Err(InstrumentError::Argument {
                    function: function.to_owned(),
                    wanted: wanted.clone(),
                    there,
                });
            }
        }
        let spec = HookSpec {
            every: u64::from(!matches!(act, HitAction::Count)),
        };
        let hook = self.machine.hook(found.at, spec)?;
        let owner = Owner::User {
            name: function.to_owned(),
            function: Some(found),
            only,
            act,
        };
        self.observer.instruments.add(Instrument::Hook(hook), owner);
        Ok(hook)
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
        self.machine.remove(which)?;
        self.observer.instruments.remove(which);
        Ok(())
    }

    /// Sees to it that the failures of the scheduler that is attached are caught in the act.
    pub(super) fn watch_scheduler(&mut self) {
        self.unwatch_scheduler();
        self.observer.detector.attached();
        self.post(FailureDetector::scheduler_probe_points);
    }

    /// The memory in which a scheduler was may be another's when it is gone.
    pub(super) fn unwatch_scheduler(&mut self) {
        self.observer.detector.detached();
        for which in self
            .observer
            .instruments
            .of_detector(&[Trigger::ExitKind, Trigger::Ending])
        {
            if let Err(error) = self.remove(which) {
                tracing::debug!(%error, "the scheduler is guarded on");
            }
        }
    }

    /// Posts the guard, where the kernel can be looked at and the machine has what it needs.
    fn post(&mut self, probe_points: impl Fn(&GuestKernel<'_>) -> Vec<(Trigger, ProbePoint)>) {
        let probe_points = match self.kernel() {
            Ok(kernel) => probe_points(&kernel),
            Err(error) => {
                tracing::debug!(%error, "not guarded");
                return;
            }
        };
        for (trigger, post) in probe_points {
            let posted = match post {
                ProbePoint::Hook(at) => self.machine.hook(at, HookSpec::ALWAYS).map(Instrument::Hook),
                ProbePoint::Watch(place, now) => {
                    let spec = WatchSpec {
                        width: width(&place),
                        when: FailureDetector::when(),
                        every: 1,
                        current: now,
                    };
                    self.machine.watch(place.at, spec).map(Instrument::Watch)
                }
            };
            match posted {
                Ok(which) => self
                    .observer
                    .instruments
                    .add(which, Owner::FailureDetector(trigger)),
                Err(error) => tracing::debug!(%error, ?trigger, "not guarded"),
            }
        }
    }

    /// A hook or a watch that is not the clock's was hit.
    pub(super) fn hit(&mut self, raw: RawHit, doing: &str) -> Result<(), SessionError> {
        let (clock, now) = (self.clock.as_ref(), self.now);
        let time = |kernel: &GuestKernel<'_>| clock.and_then(|clock| clock.read(kernel)).unwrap_or(now);
        if self.observer.hit(self.machine.as_ref(), raw, time) {
            let during = format!("while {doing}");
            return Err(self.over(End::Stopped { during }));
        }
        self.resume()
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

    /// The guest has told its time: that of its frozen instant, or a little before.
    pub(super) fn advance_clock(&mut self, at: GuestTime) {
        self.now = self.now.max(at);
        if let (Some(clock), Some(call)) = (&mut self.clock, &self.pending) {
            clock.calibrate(self.machine.memory(), &call.registers, at);
        }
    }
}

/// A place is never of another width.
fn width(place: &KernelVar) -> Width {
    Width::of(place.bytes).unwrap_or(Width::Eight)
}
