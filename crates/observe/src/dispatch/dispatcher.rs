//! The state machine itself: see the picture of the module above.

use std::sync::Arc;

use kimage::BuildId;
use spec::Nanos;
use wire::frame::{self, Frame, FrameError, Received};
use wire::kernel_op::{KernelOpRequest, MAX_TAG};
use wire::phase::{self, KernelAddresses, Progress, Stage, Stimulus};
use wire::snapshot::SnapshotRequest;
use wire::{FrameKind, KernelOpFrame as _, PayloadLength, Sender, text};

use super::counts::count;
use super::lifecycle::same_kernel;
use super::{
    Action, Addresses, Bucket, Counts, Disposition, Evidence, Learned, Lifecycle, LinkedKernel, Phases,
    Refusal,
};

/// What is known before the run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup {
    /// How long the watchdog lets a scenario run; `None` without a watchdog.
    pub watchdog: Option<Nanos>,
    /// The kernel's file, for its slide.
    pub kernel: Option<LinkedKernel>,
    /// Its build id.
    pub build_id: Option<BuildId>,
}

/// Takes the frames of a run, and knows what they have told.
#[derive(Debug)]
pub struct Dispatcher {
    setup: Setup,
    phases: Phases,
    life: Lifecycle,
    addresses: Arc<Addresses>,
    bucket: Bucket,
    counts: Counts,
    /// Was it told that the system is up?
    ready: bool,
}

impl Dispatcher {
    /// At the beginning of a run.
    pub fn new(setup: Setup) -> Dispatcher {
        Dispatcher::with_bucket(setup, Bucket::default())
    }

    /// The same, with a bound of one's own for evidence.
    pub fn with_bucket(setup: Setup, bucket: Bucket) -> Dispatcher {
        Dispatcher {
            setup,
            phases: Phases::new(setup.watchdog),
            life: Lifecycle::default(),
            addresses: Arc::default(),
            bucket,
            counts: Counts::default(),
            ready: false,
        }
    }

    /// Takes the frame at the start of `bytes`; what follows it is not looked at. `now` is the guest's time.
    pub fn take(&mut self, bytes: &[u8], now: Nanos) -> Disposition {
        match frame::receive(bytes) {
            Ok(received) => self.take_received(received, now),
            Err(error) => {
                count(&mut self.counts.damaged);
                self.counted(error.into())
            }
        }
    }

    /// Takes a frame whose header was checked, as [`wire::assembler::Assembler`] gives it.
    pub fn take_received(&mut self, received: Received<'_>, now: Nanos) -> Disposition {
        let taken = self.sort(received, now);
        self.counted(taken)
    }

    /// When the scenario began, pauses and must be over; its step.
    pub fn phases(&self) -> &Phases {
        &self.phases
    }

    /// How far the run is.
    pub fn stage(&self) -> Stage {
        self.life.stage()
    }

    /// Where the kernel lies. Other threads may read it while frames are taken.
    pub fn addresses(&self) -> &Arc<Addresses> {
        &self.addresses
    }

    /// The evidence so far.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Takes all evidence out, the oldest first.
    pub fn drain(&mut self) -> Vec<Evidence> {
        self.bucket.drain()
    }

    /// How many frames came, and what became of them.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    fn counted(&mut self, taken: Disposition) -> Disposition {
        if taken.refused.is_some() {
            count(&mut self.counts.refused);
        }
        taken
    }

    fn sort(&mut self, received: Received<'_>, now: Nanos) -> Disposition {
        let Some(kind) = received.kind() else {
            count(&mut self.counts.unknown);
            return FrameError::UnknownKind { word: received.word }.into();
        };
        self.counts.came(kind);
        match kind.sender() {
            Sender::Program => (),
            Sender::Host => return Refusal::WrongWay { kind }.into(),
            Sender::Agent => return Refusal::OfTheAgent { kind }.into(),
        }
        let whole = received.check();
        if whole.is_err() {
            count(&mut self.counts.damaged);
        }
        // A scheduler's exit that is damaged is none at all: it must not end the run, nor be judged (D1).
        let kept = match whole {
            Err(_) if kind == FrameKind::SchedulerExit => Ok(()),
            _ => self.bucket.put(kind, now, received.payload, whole.is_ok()),
        };
        let mut taken = match whole.map_err(Refusal::from).and_then(of_right_length) {
            Ok(frame) => self.act(frame, now),
            Err(refused) => refused.into(),
        };
        if let Err(no_room) = kept {
            taken.refused.get_or_insert(no_room.into());
        }
        taken
    }

    /// A whole frame from a program, with a payload of the right length.
    fn act(&mut self, frame: Frame<'_>, now: Nanos) -> Disposition {
        self.life.saw(frame.kind);
        match frame.kind {
            FrameKind::SnapshotRequest => match SnapshotRequest::decode(frame.payload) {
                Ok(request) => Action::Snapshot(request).into(),
                Err(error) => error.into(),
            },
            FrameKind::KernelOpRequest => match KernelOpRequest::decode(frame) {
                Ok(request) => Action::KernelOp(with_short_tag(request)).into(),
                Err(error) => error.into(),
            },
            FrameKind::KernelAddresses => match KernelAddresses::decode(frame.payload) {
                Ok(told) => self.learn(&told),
                Err(error) => error.into(),
            },
            FrameKind::KernelBuildId => match BuildId::from_bytes(frame.payload) {
                Ok(guest) => match same_kernel(guest, self.setup.build_id) {
                    Ok(()) => Action::None.into(),
                    Err(wrong) => Action::FailRun(wrong).into(),
                },
                Err(error) => error.into(),
            },
            FrameKind::Lifecycle => match phase::Lifecycle::decode(frame.payload) {
                Ok(told) => {
                    let reached = self.life.advance(told.stage);
                    reached.map_or(Action::None, Action::Stage).into()
                }
                Err(error) => error.into(),
            },
            FrameKind::Progress => match Progress::decode(frame.payload) {
                Ok(progress) => Action::Progress(progress).into(),
                Err(error) => error.into(),
            },
            FrameKind::Stimulus => match Stimulus::decode(frame.payload) {
                Ok(stimulus) => {
                    self.phases.stepped(stimulus.step_index);
                    Action::Step(stimulus.step_index).into()
                }
                Err(error) => error.into(),
            },
            kind => self.plain(kind, now).into(),
        }
    }

    /// Frames that say all by their kind.
    fn plain(&mut self, kind: FrameKind, now: Nanos) -> Action {
        match kind {
            FrameKind::ScenarioStart => {
                self.phases.started(now);
                let anchor = self.phases.anchor().unwrap_or(now);
                Action::ScenarioStarted { anchor }
            }
            FrameKind::ScenarioPause => {
                self.phases.paused(now);
                Action::ScenarioPaused
            }
            FrameKind::ScenarioResume => {
                self.phases.resumed(now);
                Action::ScenarioResumed
            }
            FrameKind::ScenarioEnd => {
                self.phases.ended(now);
                Action::ScenarioEnded
            }
            FrameKind::SystemReady if self.ready => Action::None,
            FrameKind::SystemReady => {
                self.ready = true;
                Action::SystemReady
            }
            FrameKind::SchedulerExit => Action::EndRun,
            FrameKind::TeardownBarrier => Action::Acknowledge,
            FrameKind::MapWriteReady => Action::MapWriteReady,
            FrameKind::ReadinessWait => Action::ReadinessWait,
            FrameKind::SchedulerSwapped => Action::SchedulerSwapped,
            FrameKind::AttachAttempt => Action::AttachAttempt,
            _ => Action::None,
        }
    }

    fn learn(&mut self, told: &KernelAddresses) -> Disposition {
        let (learned, moved, slid) = self.addresses.learn(told, self.setup.kernel.as_ref());
        let slid = slid.err().map(Refusal::from);
        let news = learned != Learned::default();
        Disposition {
            action: if news {
                Action::KernelAddresses(learned)
            } else {
                Action::None
            },
            refused: slid.or_else(|| moved.err().map(Refusal::from)),
        }
    }
}

/// A payload with another length than its kind always has changes nothing.
fn of_right_length(frame: Frame<'_>) -> Result<Frame<'_>, Refusal> {
    let (kind, len) = (frame.kind, frame.payload.len());
    match kind.payload_len() {
        Some(need) if need != len => Err(PayloadLength { kind, len, need }.into()),
        _ => Ok(frame),
    }
}

/// Its tag is what the record calls it: cut to what a tag may have.
fn with_short_tag(mut request: KernelOpRequest) -> KernelOpRequest {
    let len = text::cut(&request.tag, MAX_TAG).len();
    request.tag.truncate(len);
    request
}

#[cfg(test)]
mod tests;
