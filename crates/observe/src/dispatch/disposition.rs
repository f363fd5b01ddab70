//! What became of a frame.

use kimage::BuildIdError;
use spec::{GuestTime, Nanos};
use wire::frame::FrameError;
use wire::kernel_op::{KernelOpRequest, MAX_REASON};
use wire::phase::{NoStage, Progress, Stage};
use wire::snapshot::{SnapshotRequest, SnapshotRequestError};
use wire::{Answer, FrameKind, MessageError, PayloadLength, text};

use super::{Learned, MovedKernel, NoRoom, SlideError, WrongKernel};
use crate::periodic::Periodic;

/// What became of a frame: what is to be done, and why it was refused, if it was.
///
/// A frame can be both: one that tells where the kernel lies can be right in one part and wrong in the other, and a step
/// is known even where its evidence has no room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    /// What is to be done.
    pub action: Action,
    /// Why it was refused. The guest is told, and it is counted.
    pub refused: Option<Refusal>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing. Evidence is kept, if it was any.
    None,
    /// Look, now or when something is stored; then answer with a [`wire::snapshot::SnapshotReply`].
    Snapshot(SnapshotRequest),
    /// Read or write the kernel; then answer with a [`wire::kernel_op::KernelOpReply`].
    KernelOp(KernelOpRequest),
    /// Answer with [`wire::barrier::acknowledged`]: frames are taken in their order, so all before it have arrived.
    Acknowledge,
    /// End the run: the scheduler's program has ended.
    EndRun,
    /// Fail the run: what is read of the kernel by these files is wrong.
    FailRun(WrongKernel),
    /// The guest's system is up. Comes once.
    SystemReady,
    /// Where the kernel lies was learned for the first time, in part or whole.
    KernelAddresses(Learned),
    /// The scenario began, for the first time or again.
    ScenarioStarted {
        /// When it began for the first time.
        anchor: Nanos,
    },
    /// It pauses.
    ScenarioPaused,
    /// It goes on.
    ScenarioResumed,
    /// It is over.
    ScenarioEnded,
    /// This step of it begins.
    Step(u16),
    /// The run has come to this stage.
    Stage(Stage),
    /// The workload lives.
    Progress(Progress),
    /// The scheduler's maps may be written.
    MapWriteReady,
    /// The guest waits until something is ready.
    ReadinessWait,
    /// Another scheduler took over.
    SchedulerSwapped,
    /// A scheduler tries to attach.
    AttachAttempt,
}

/// Why a frame was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is damaged, cut off, or of an unknown kind.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The host sends this kind.
    #[error("a {kind:?} frame is sent by the host only")]
    WrongWay {
        /// The kind.
        kind: FrameKind,
    },
    /// The agent sends this kind, in its own talk.
    #[error("a {kind:?} frame is sent by the agent only")]
    OfTheAgent {
        /// The kind.
        kind: FrameKind,
    },
    /// Its payload has the wrong length.
    #[error(transparent)]
    Length(#[from] PayloadLength),
    /// It is no request for a look.
    #[error(transparent)]
    Snapshot(#[from] SnapshotRequestError),
    /// It is no batch of kernel ops.
    #[error(transparent)]
    KernelOp(#[from] MessageError),
    /// It names no stage.
    #[error(transparent)]
    Stage(#[from] NoStage),
    /// It names no build id.
    #[error(transparent)]
    BuildId(#[from] BuildIdError),
    /// It tells a slide that is not believed.
    #[error(transparent)]
    Slide(#[from] SlideError),
    /// It tells another physical address than before.
    #[error(transparent)]
    Moved(#[from] MovedKernel),
    /// It is evidence, and there is no room for it.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
}

impl Disposition {
    /// What the guest is told at once. `None` where carrying out the action makes the answer.
    pub fn answer(&self) -> Option<Answer> {
        if let Some(refused) = &self.refused {
            let reason = text::cut(&refused.to_string(), MAX_REASON).to_owned();
            return Some(Answer::Refused { reason });
        }
        match self.action {
            Action::Snapshot(_) | Action::KernelOp(_) | Action::Acknowledge => None,
            _ => Some(Answer::Ack),
        }
    }
}

impl Action {
    /// Tells the one who says when periodic snapshots are due what concerns him (contract F2).
    pub fn tell(&self, periodic: &mut Periodic, at: GuestTime) {
        match self {
            Action::ScenarioStarted { anchor } => periodic.anchored(GuestTime(*anchor)),
            Action::ScenarioPaused => periodic.paused(at),
            Action::ScenarioResumed => periodic.resumed(at),
            _ => (),
        }
    }
}

impl<E: Into<Refusal>> From<E> for Disposition {
    fn from(refused: E) -> Disposition {
        Disposition {
            action: Action::None,
            refused: Some(refused.into()),
        }
    }
}

impl From<Action> for Disposition {
    fn from(action: Action) -> Disposition {
        let refused = None;
        Disposition { action, refused }
    }
}
