//! Looks at the guest's kernel while a run goes on, and decides what to look at, and when.
//!
//! ```text
//!  tick ──────────► queries and snapshots that are due, the monitor's sampler, tasks that are stuck
//!  hook, watch ───► whose? ─┬─ a test's: count, log, query, snapshot, call, stop
//!                           └─ the failure detector's: a dump
//!  both ──────────► Observed, at the end of the run
//! ```
//! The guest stands still meanwhile and does not notice: looking changes no execution. What is seen is kept beside the
//! evidence, and is no part of the record's hash. Whoever owns the machine calls the methods here, and hands over a
//! [`MachinePort`].

mod detector;
mod hit;
mod instruments;
mod looks;
mod ops;
mod snapshots;
mod view;

use std::sync::Arc;

use guestmem::{GuestVirt, PhysMem};
use introspect::{DebugInfo, GuestKernel, Placement};
use machine::{HookId, HookSpec, Instrument, Machine, MachineError, WatchId, When};
use record::{Dump, DumpTrigger, Observation, Series, Snapshot, Tag, Value};
use spec::{GuestTime, Nanos};
use wire::kernel_op::{KernelOpReply, KernelOpRequest};

use crate::call_history::Sites;
use crate::monitor::Monitor;
use crate::periodic::TooManySnapshots;
use crate::{BoundedVec, KernelVar, MAX_EVENTS, MAX_SNAPSHOTS, MachinePort};

pub use hit::{Hit, HitAction, HitFilter, HitFn, HitKind, RawHit};
pub use instruments::InstrumentError;
pub use looks::{Look, LookFn};
pub use snapshots::{NoRoom, Phase};
pub use view::LookError;

use detector::{FailureDetector, ProbePoint, Stop, Trigger};
use instruments::{Instruments, Owner, UserInstrument};
use looks::PendingLooks;
use snapshots::SnapshotKeeper;
use view::View;

/// All that was seen of a run beside its evidence.
#[derive(Debug, Default)]
pub struct Observed {
    /// Answers and hits, by their times.
    pub observations: Vec<Observation>,
    /// Snapshots, the oldest first.
    pub snapshots: Vec<Snapshot>,
    /// The kernel at the instants of failures.
    pub dumps: Vec<Dump>,
    /// Where calls can be traced that lead to the first failure, in another execution of the same run.
    pub sites: Option<Sites>,
    /// What the monitor sampled, if there was one.
    pub series: Option<Series>,
}

/// What happens after a hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterHit {
    /// The guest runs on.
    RunOn,
    /// The run ends here.
    EndRun,
}

/// Looks at the kernel of one run.
pub struct Observer {
    view: View,
    window: Window,
    /// How long the workers had run before the window that is open.
    ran: Nanos,
    looks: PendingLooks,
    snapshots: SnapshotKeeper,
    monitor: Option<Monitor>,
    detector: FailureDetector,
    instruments: Instruments,
    seen: BoundedVec<Observation>,
}

/// The time for which workers are told to run.
#[derive(Debug)]
enum Window {
    Closed,
    /// Opened, and no tick was seen yet.
    Open,
    Since(GuestTime),
}

impl Default for Observer {
    fn default() -> Self {
        Observer {
            view: View::default(),
            window: Window::Closed,
            ran: Nanos::ZERO,
            looks: PendingLooks::default(),
            snapshots: SnapshotKeeper::default(),
            monitor: None,
            detector: FailureDetector::default(),
            instruments: Instruments::default(),
            seen: BoundedVec::new(MAX_EVENTS),
        }
    }
}

/// What is told before and between windows.
impl Observer {
    /// An observer of a duplicate of the machine that this one observes: it knows the same kernel, has the same samples, has
    /// observed nothing else, and takes away the hooks and watches that the duplicate has from its original.
    ///
    /// # Errors
    /// The machine's.
    pub fn anew(&self, machine: &mut dyn Machine) -> Result<Observer, MachineError> {
        for which in self.instruments.all() {
            machine.remove(which)?;
        }
        Ok(Observer {
            view: self.view.clone(),
            ran: self.ran,
            monitor: self.monitor.clone(),
            ..Observer::default()
        })
    }

    /// Takes names and types of the guest's kernel. From now on, problems that the kernel reports are dumped.
    pub fn set_debug_info(&mut self, info: Arc<DebugInfo>, port: &mut dyn MachinePort) {
        self.view.set_debug_info(info);
        if self.instruments.of_detector(&[Trigger::Printk]).is_empty() {
            self.probe(port, FailureDetector::probe_points);
        }
    }

    /// Takes the kernel's place, where somebody has found it in the same memory before.
    pub fn set_placement(&mut self, place: Placement) {
        self.view.set_placement(place);
    }

    /// The build that the guest's kernel should be, where it is known.
    pub fn info(&self) -> Option<&DebugInfo> {
        self.view.info()
    }

    /// The kernel in this memory, whose guest stands still.
    ///
    /// # Errors
    /// [`LookError`].
    pub fn kernel<'m>(&'m mut self, memory: &'m dyn PhysMem) -> Result<GuestKernel<'m>, LookError> {
        self.view.kernel(memory)
    }

    /// Samples the runqueues from now on.
    pub fn monitor(&mut self) {
        self.monitor.get_or_insert_default();
    }

    /// What the monitor has sampled so far, if there is one.
    pub fn series(&self) -> Option<&Series> {
        self.monitor.as_ref().map(Monitor::series)
    }

    /// Has a look when the workers have run for so long, in all windows together.
    pub fn look_at(&mut self, when: Nanos, look: Look) {
        self.looks.add(when, look);
    }

    /// Takes so many snapshots of the next window.
    ///
    /// # Errors
    /// [`TooManySnapshots`].
    pub fn snapshots(&mut self, count: usize) -> Result<(), TooManySnapshots> {
        self.snapshots.of_next_window(count)
    }

    /// A window opens: the workers are told to run for so long.
    pub fn open(&mut self, memory: &dyn PhysMem, now: GuestTime, span: Nanos) {
        self.window = Window::Open;
        self.snapshots.open(span);
        if let (Some(monitor), Ok(kernel)) = (&mut self.monitor, self.view.kernel(memory)) {
            monitor.open(now, &kernel);
        }
    }

    /// The window closes, after that much time.
    pub fn close(&mut self, memory: &dyn PhysMem, now: GuestTime, span: Nanos) {
        self.window = Window::Closed;
        if let (Some(monitor), Ok(kernel)) = (&mut self.monitor, self.view.kernel(memory)) {
            monitor.close(now, &kernel);
        }
        self.ran.0 = self.ran.0.saturating_add(span.0);
    }

    /// A program of the guest has marked a phase of its scenario.
    pub fn phase(&mut self, phase: Phase, at: GuestTime, memory: &dyn PhysMem) {
        let root = || Some(snapshots::root_of(&self.view.kernel(memory).ok()?));
        self.snapshots.phase(phase, at, root);
    }

    /// Has a look now.
    pub fn look(&mut self, memory: &dyn PhysMem, now: GuestTime, look: &Look) {
        let seen = match self.view.kernel(memory) {
            Ok(kernel) => look.take(now, &kernel),
            Err(error) => Some(look.observation(now, Value::missing(&error))),
        };
        if let Some(seen) = seen {
            self.note(seen);
        }
    }

    /// Carries a kernel op out now.
    ///
    /// # Errors
    /// [`LookError`].
    pub fn kernel_op(
        &mut self,
        memory: &dyn PhysMem,
        now: GuestTime,
        request: &KernelOpRequest,
    ) -> Result<KernelOpReply, LookError> {
        let kernel = self.view.kernel(memory)?;
        let reply = introspect::ops::perform(&kernel, request);
        self.note(ops::observation(now, request, &reply));
        Ok(reply)
    }

    /// Takes a snapshot now. One with the same tag is replaced.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn snapshot(
        &mut self,
        memory: &dyn PhysMem,
        now: GuestTime,
        tag: Tag,
    ) -> Result<Snapshot, SnapshotError> {
        let kernel = self.view.kernel(memory)?;
        Ok(self.snapshots.take(tag, now, &kernel)?)
    }

    /// Records an observation. How many had no room is recorded at the end.
    pub fn note(&mut self, seen: Observation) {
        let _ = self.seen.push(seen);
    }

    /// How many failures were dumped so far.
    pub fn caught(&self) -> usize {
        self.detector.caught()
    }

    /// Dumps a failure that was detected elsewhere; `what` is its tag.
    pub fn found(&mut self, port: &dyn MachinePort, now: GuestTime, what: &str, trigger: DumpTrigger) {
        if let Ok(kernel) = self.view.kernel(port.memory()) {
            let stop = Stop {
                port,
                kernel: &kernel,
                now,
                cpu: None,
            };
            self.detector.found(what, trigger, stop);
        }
    }
}

/// Hooks and watches.
impl Observer {
    /// Watches the number at a kernel path: after each store to it for which `when` holds, `act` is done.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn watch(
        &mut self,
        port: &mut dyn MachinePort,
        path: &str,
        when: When,
        act: HitAction,
    ) -> Result<WatchId, InstrumentError> {
        let var = KernelVar::find(&self.view.kernel(port.memory())?, path)?;
        self.watch_var(port, &var, when, act)
    }

    /// Watches a number whose place is known.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn watch_var(
        &mut self,
        port: &mut dyn MachinePort,
        var: &KernelVar,
        when: When,
        act: HitAction,
    ) -> Result<WatchId, InstrumentError> {
        let now = var.read(&self.view.kernel(port.memory())?)?;
        Ok(self.instruments.watch(port, var, now, when, act)?)
    }

    /// Hooks a function of the kernel, or a BPF program: at each entry that the filter admits, `act` is done.
    ///
    /// # Errors
    /// [`InstrumentError`].
    pub fn hook(
        &mut self,
        port: &mut dyn MachinePort,
        function: &str,
        only: HitFilter,
        act: HitAction,
    ) -> Result<HookId, InstrumentError> {
        let kernel = self.view.kernel(port.memory())?;
        let found = instruments::find_function(&kernel, function, &only)?;
        Ok(self.instruments.hook(port, found, only, act)?)
    }

    /// Hooks any instruction, of which no arguments are told.
    ///
    /// # Errors
    /// The machine's.
    pub fn hook_at(
        &mut self,
        port: &mut dyn MachinePort,
        at: GuestVirt,
        act: HitAction,
    ) -> Result<HookId, MachineError> {
        let user = UserInstrument {
            name: at.to_string(),
            function: None,
            only: HitFilter::Always,
            act,
        };
        self.instruments.hook_at(port, at, user)
    }

    /// Takes a hook or a watch away.
    ///
    /// # Errors
    /// The machine's.
    pub fn remove(&mut self, port: &mut dyn MachinePort, which: Instrument) -> Result<(), MachineError> {
        self.instruments.remove(port, which)
    }

    /// A scheduler's program starts: that it is ended before it is attached is detected from now on.
    pub fn scheduler_starts(&mut self, port: &mut dyn MachinePort) {
        self.scheduler_detached(port);
        self.detector.starting();
        self.probe(port, FailureDetector::starting_probe_points);
    }

    /// A scheduler is attached: its failures are detected from now on.
    pub fn scheduler_attached(&mut self, port: &mut dyn MachinePort) {
        self.scheduler_detached(port);
        self.detector.attached();
        self.probe(port, FailureDetector::scheduler_probe_points);
    }

    /// The scheduler is gone, or is about to be stopped: its memory may then be used for something else.
    pub fn scheduler_detached(&mut self, port: &mut dyn MachinePort) {
        self.detector.detached();
        for which in self
            .instruments
            .of_detector(&[Trigger::ExitKind, Trigger::Ending])
        {
            if let Err(error) = self.instruments.remove(port, which) {
                tracing::debug!(%error, "a probe of the failure detector stays");
            }
        }
    }

    /// Sets probes of the failure detector, as far as the kernel can be looked at and the machine takes them.
    fn probe(
        &mut self,
        port: &mut dyn MachinePort,
        probe_points: impl Fn(&GuestKernel<'_>) -> Vec<(Trigger, ProbePoint)>,
    ) {
        let probe_points = match self.view.kernel(port.memory()) {
            Ok(kernel) => probe_points(&kernel),
            Err(error) => {
                tracing::debug!(%error, "failures are not detected at their instants");
                return;
            }
        };
        for (trigger, point) in probe_points {
            let set = match point {
                ProbePoint::Hook(at) => port.hook(at, HookSpec::ALWAYS).map(Instrument::Hook),
                ProbePoint::Watch(var, now) => {
                    let spec = instruments::watch_spec(&var, now, FailureDetector::when(), 1);
                    port.watch(var.at, spec).map(Instrument::Watch)
                }
            };
            match set {
                Ok(which) => self.instruments.add(which, Owner::FailureDetector(trigger)),
                Err(error) => tracing::debug!(%error, ?trigger, "a probe of the failure detector is not set"),
            }
        }
    }
}

/// What the machine reports while the guest runs.
impl Observer {
    /// Does what is due at this tick of the guest's clock. `samples`: the monitor takes a sample, and the failure detector has a
    /// look, at this one; which ones these are must not depend on how often anybody else looks.
    pub fn tick(&mut self, port: &dyn MachinePort, now: GuestTime, samples: bool) {
        let since = match self.window {
            Window::Closed => None,
            Window::Open => Some(now),
            Window::Since(since) => Some(since),
        };
        let Ok(kernel) = self.view.kernel(port.memory()) else {
            return;
        };
        let stop = Stop {
            port,
            kernel: &kernel,
            now,
            cpu: None,
        };
        if samples {
            self.detector.tick(stop);
        }
        let Some(since) = since else { return };
        self.window = Window::Since(since);
        let ran = Nanos(self.ran.0.saturating_add(now.0.0.saturating_sub(since.0.0)));
        for seen in self.looks.due(ran, now, &kernel) {
            let _ = self.seen.push(seen);
        }
        self.snapshots.tick(since, now, &kernel);
        if let Some(monitor) = self.monitor.as_mut().filter(|_| samples) {
            for violation in monitor.tick(now, &kernel) {
                self.detector.monitored(violation, stop);
            }
        }
    }

    /// A hook or a watch was hit.
    pub fn hit(&mut self, port: &dyn MachinePort, raw: RawHit) -> AfterHit {
        let Ok(kernel) = self.view.kernel(port.memory()) else {
            return AfterHit::RunOn;
        };
        let stop = |now: GuestTime, cpu: Option<u32>| Stop {
            port,
            kernel: &kernel,
            now,
            cpu,
        };
        let user = match self.instruments.owner(raw.which()) {
            None => return AfterHit::RunOn,
            Some(Owner::FailureDetector(trigger)) => {
                let stop = stop(port.now(&kernel), raw.cpu(&kernel));
                self.detector.hit(*trigger, stop, &raw.arguments());
                return AfterHit::RunOn;
            }
            Some(Owner::User(user)) => user,
        };
        let UserInstrument {
            name,
            function,
            only,
            act,
        } = user;
        let Some(hit) = raw.describe(port.now(&kernel), name, function.as_ref(), only, &kernel) else {
            return AfterHit::RunOn;
        };
        let mut note = |asked: String, seen: Value| {
            let at = hit.at;
            let _ = self.seen.push(Observation { at, asked, seen });
        };
        match act {
            HitAction::Count => {}
            HitAction::Log => note(hit.asked(), hit.value()),
            HitAction::Query(queries) => {
                note(hit.asked(), hit.value());
                for query in queries {
                    note(format!("{query} at {}", hit.asked()), query.answer(&kernel));
                }
            }
            HitAction::Snapshot(tag) => {
                note(hit.asked(), hit.value());
                let _ = self.snapshots.take(tag.clone(), hit.at, &kernel);
            }
            HitAction::Call(function) => function(&hit, &kernel),
            HitAction::Stop => {
                note(hit.asked(), hit.value());
                let trigger = DumpTrigger::Stopped { asked: hit.asked() };
                self.detector.found("stop", trigger, stop(hit.at, hit.cpu));
                return AfterHit::EndRun;
            }
        }
        AfterHit::RunOn
    }

    /// All that was seen, and how much had no room; `console` is the whole console.
    pub fn take(&mut self, now: GuestTime, console: &str) -> Observed {
        let mut observations = self.seen.drain();
        observations.extend(self.looks.never(self.ran, now));
        observations.extend(self.snapshots.missed(now));
        observations.sort_by_key(|observation| observation.at);
        let (snapshots, no_room) = self.snapshots.drain();
        let sites = self.detector.sites.take();
        let (dumps, suppressed) = self.detector.take(console);
        let lost = [
            ("observations", self.seen.refused(), MAX_EVENTS),
            ("snapshots", no_room, MAX_SNAPSHOTS),
            ("failure dumps", suppressed, detector::MAX_DUMPS),
        ];
        for (what, count, most) in lost {
            if count > 0 {
                observations.push(Observation {
                    at: now,
                    asked: format!("{what} that are not shown"),
                    seen: Value::Missing(format!("{count} more; {most} are kept")),
                });
            }
        }
        Observed {
            observations,
            snapshots,
            dumps,
            sites,
            series: self.monitor.take().map(Monitor::into_series),
        }
    }
}

/// A snapshot could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The guest's kernel cannot be looked at.
    #[error(transparent)]
    Look(#[from] LookError),
    /// The run keeps no more.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// More are asked for than there are tags.
    #[error(transparent)]
    TooMany(#[from] TooManySnapshots),
    /// The machine does not stop at every tick of the clock.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The tag is none.
    #[error(transparent)]
    Tag(#[from] record::TagError),
}

#[cfg(test)]
mod tests;
