//! Looking at the guest's kernel while a run goes on.
//!
//! ```text
//!  tick ──────────► queries whose time has come, snapshots that are due, the monitor's sampler, tasks that are stuck
//!  hook, watch ───► instruments: whose is it? ─┬─ the user's: counted, logged, looked, shot, called, stopped
//!                                              └─ the detector's: a dump
//!  both ──────────► Observed, when the run is over
//! ```
//! The guest stands still meanwhile and does not notice: looking changes no execution. What was seen is beside the
//! evidence, and not part of the record's hash.

mod detector;
mod instruments;
mod ops;
mod queries;
mod snapshots;
mod view;

use std::sync::Arc;

use guestmem::PhysMem;
use introspect::{DebugInfo, GuestKernel, Query};
use machine::Machine;
use observe::call_history::Sites;
use observe::monitor::Monitor;
use observe::periodic::TooManySnapshots;
use observe::{BoundedVec, STORED_EVENTS};
use record::{Dump, Observation, Series, Snapshot, Tag, Value};
use spec::{GuestTime, Nanos};
use wire::kernel_op::{KernelOpReply, KernelOpRequest};

pub use instruments::{Hit, HitAction, HitFilter, HitFn, HitKind, InstrumentError};
pub use snapshots::NoRoom;
pub use view::LookError;

use detector::Stop;
pub(crate) use detector::{FailureDetector, ProbePoint, Trigger};
pub(crate) use instruments::{Instruments, Owner, RawHit};
use queries::PendingQueries;
use snapshots::SnapshotKeeper;
use view::View;

/// All that was seen of a run beside its evidence.
#[derive(Debug, Default)]
pub struct Observed {
    /// Answers and hits, by their times.
    pub observations: Vec<Observation>,
    /// Snapshots, the oldest first.
    pub snapshots: Vec<Snapshot>,
    /// What failures looked like at their instants.
    pub dumps: Vec<Dump>,
    /// Where calls can be traced that lead to the first of them, in another execution of the same run.
    pub sites: Option<Sites>,
    /// What the monitor sampled, if there was one.
    pub series: Option<Series>,
}

/// Looks.
pub(crate) struct Observer {
    view: View,
    window: Window,
    /// How long the workers had run before the window that is open.
    ran: Nanos,
    queries: PendingQueries,
    pub(crate) snapshots: SnapshotKeeper,
    monitor: Option<Monitor>,
    pub(crate) detector: FailureDetector,
    pub(crate) instruments: Instruments,
    seen: BoundedVec<Observation>,
}

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
            queries: PendingQueries::default(),
            snapshots: SnapshotKeeper::default(),
            monitor: None,
            detector: FailureDetector::default(),
            instruments: Instruments::default(),
            seen: BoundedVec::new(STORED_EVENTS),
        }
    }
}

impl Observer {
    pub(crate) fn set_debug_info(&mut self, info: Arc<DebugInfo>) {
        self.view.set_debug_info(info);
    }

    pub(crate) fn kernel<'m>(&'m mut self, memory: &'m dyn PhysMem) -> Result<GuestKernel<'m>, LookError> {
        self.view.kernel(memory)
    }

    /// Samples the runqueues from now on.
    pub(crate) fn monitor(&mut self) {
        self.monitor = Some(Monitor::default());
    }

    /// What the monitor has sampled so far, if there is one.
    pub(crate) fn series(&self) -> Option<&Series> {
        self.monitor.as_ref().map(Monitor::series)
    }

    pub(crate) fn query_at(&mut self, when: Nanos, query: Query) {
        self.queries.add(when, query);
    }

    pub(crate) fn snapshots(&mut self, count: usize) -> Result<(), TooManySnapshots> {
        self.snapshots.of_next_window(count)
    }

    /// The workers are told to run for so long.
    pub(crate) fn open(&mut self, memory: &dyn PhysMem, now: GuestTime, span: Nanos) {
        self.window = Window::Open;
        self.snapshots.open(span);
        if let (Some(monitor), Ok(kernel)) = (&mut self.monitor, self.view.kernel(memory)) {
            monitor.open(now, &kernel);
        }
    }

    /// The window is over, after that much time.
    pub(crate) fn close(&mut self, memory: &dyn PhysMem, now: GuestTime, span: Nanos) {
        self.window = Window::Closed;
        if let (Some(monitor), Ok(kernel)) = (&mut self.monitor, self.view.kernel(memory)) {
            monitor.close(now, &kernel);
        }
        self.ran.0 = self.ran.0.saturating_add(span.0);
    }

    /// Does what is due at this tick.
    pub(crate) fn tick(&mut self, machine: &dyn Machine, now: GuestTime) {
        let since = match self.window {
            Window::Closed => None,
            Window::Open => Some(now),
            Window::Since(since) => Some(since),
        };
        let Ok(kernel) = self.view.kernel(machine.memory()) else {
            return;
        };
        let stop = Stop {
            machine,
            kernel: &kernel,
            now,
            cpu: None,
        };
        self.detector.tick(stop);
        let Some(since) = since else { return };
        self.window = Window::Since(since);
        let ran = Nanos(self.ran.0.saturating_add(now.0.0.saturating_sub(since.0.0)));
        for seen in self.queries.due(ran, now, &kernel) {
            let _ = self.seen.push(seen);
        }
        self.snapshots.tick(since, now, &kernel);
        if let Some(monitor) = &mut self.monitor {
            for violation in monitor.tick(now, &kernel) {
                self.detector.monitored(violation, stop);
            }
        }
    }

    /// A hook or a watch that is not the clock's was hit. `true`: the run is to end here.
    pub(crate) fn hit(
        &mut self,
        machine: &dyn Machine,
        raw: RawHit,
        time: impl FnOnce(&GuestKernel<'_>) -> GuestTime,
    ) -> bool {
        let Ok(kernel) = self.view.kernel(machine.memory()) else {
            return false;
        };
        let cpu = raw.cpu(&kernel);
        let stop = |now: GuestTime| Stop {
            machine,
            kernel: &kernel,
            now,
            cpu,
        };
        match self.instruments.owner(raw.which()) {
            None => false,
            Some(Owner::FailureDetector(trigger)) => {
                let trigger = *trigger;
                self.detector.hit(trigger, stop(time(&kernel)), &raw.arguments());
                false
            }
            Some(Owner::User {
                name,
                function,
                only,
                act,
            }) => {
                let Some(hit) = raw.describe(time(&kernel), name, function.as_ref(), only, &kernel) else {
                    return false;
                };
                let mut note = |asked: String, seen: Value| {
                    // How many had no room is told at the end.
                    let _ = self.seen.push(Observation {
                        at: hit.at,
                        asked,
                        seen,
                    });
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
                        let trigger = format!("stopped as asked: {} was hit", hit.asked());
                        self.detector.found("stop", trigger, stop(hit.at));
                        return true;
                    }
                }
                false
            }
        }
    }

    /// Asks now.
    pub(crate) fn observe(&mut self, memory: &dyn PhysMem, now: GuestTime, query: &Query) {
        let seen = match self.view.kernel(memory) {
            Ok(kernel) => query.answer(&kernel),
            Err(error) => Value::missing(&error),
        };
        let _ = self.seen.push(Observation {
            at: now,
            asked: query.to_string(),
            seen,
        });
    }

    /// Carries a kernel op out now.
    pub(crate) fn kernel_op(
        &mut self,
        memory: &dyn PhysMem,
        now: GuestTime,
        request: &KernelOpRequest,
    ) -> Result<KernelOpReply, LookError> {
        let kernel = self.view.kernel(memory)?;
        let reply = introspect::ops::perform(&kernel, request);
        let _ = self.seen.push(ops::observation(now, request, &reply));
        Ok(reply)
    }

    /// A program of the guest has marked a phase.
    pub(crate) fn phase(&mut self, action: &observe::dispatch::Action, at: GuestTime) {
        self.snapshots.phase(action, at);
    }

    /// Notes what was seen otherwise.
    pub(crate) fn note(&mut self, seen: Observation) {
        let _ = self.seen.push(seen);
    }

    /// The build that the guest's kernel should be, where it is known.
    pub(crate) fn info(&self) -> Option<&DebugInfo> {
        self.view.info()
    }

    /// Takes a snapshot now.
    pub(crate) fn snapshot(
        &mut self,
        memory: &dyn PhysMem,
        now: GuestTime,
        tag: Tag,
    ) -> Result<Snapshot, SnapshotError> {
        let kernel = self.view.kernel(memory)?;
        Ok(self.snapshots.take(tag, now, &kernel)?)
    }

    /// Has a failure that is seen now dumped.
    pub(crate) fn found(&mut self, machine: &dyn Machine, now: GuestTime, what: &str, trigger: String) {
        if let Ok(kernel) = self.view.kernel(machine.memory()) {
            let stop = Stop {
                machine,
                kernel: &kernel,
                now,
                cpu: None,
            };
            self.detector.found(what, trigger, stop);
        }
    }

    /// All that was seen, with all that had no room; `console` is the whole console.
    pub(crate) fn take(&mut self, now: GuestTime, console: &str) -> Observed {
        let mut observations = self.seen.drain();
        observations.extend(self.queries.never(self.ran, now));
        observations.sort_by_key(|observation| observation.at);
        let (snapshots, no_room) = self.snapshots.drain();
        let sites = self.detector.sites.take();
        let (dumps, suppressed) = self.detector.take(console);
        let lost = [
            ("observations", self.seen.refused(), STORED_EVENTS),
            ("snapshots", no_room, observe::STORED_SNAPSHOTS),
            ("failure dumps", suppressed, detector::MOST_DUMPS),
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
    /// There is no room.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// Too many are to be taken.
    #[error(transparent)]
    TooMany(#[from] TooManySnapshots),
    /// The machine cannot be looked at in every tick.
    #[error(transparent)]
    Machine(#[from] machine::MachineError),
    /// The name is none.
    #[error(transparent)]
    Tag(#[from] record::TagError),
}
