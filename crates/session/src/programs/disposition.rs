//! What becomes of a frame.

use kimage::{BuildId, BuildIdError};
use observe::Phase;
use record::EventKind;
use wire::frame::FrameError;
use wire::kernel_op::{KernelOpRequest, MAX_REASON};
use wire::snapshot::{SnapshotRequest, SnapshotRequestError};
use wire::{Answer, FrameKind, MessageError, PayloadLength, text};

/// What becomes of a frame: what is done, what is recorded, and why it was refused, if it was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Disposition {
    /// What is to be done.
    pub(crate) action: Action,
    /// What is recorded as evidence: damaged frames too, as they came.
    pub(crate) evidence: Option<EventKind>,
    /// Why it was refused. The program is told, and it is counted.
    pub(crate) refused: Option<Refusal>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    None,
    /// Take a snapshot or set a watch; then answer with a [`wire::snapshot::SnapshotReply`].
    Snapshot(SnapshotRequest),
    /// Read or write the kernel; then answer with a [`wire::kernel_op::KernelOpReply`].
    KernelOp(KernelOpRequest),
    /// Tell the observer that a phase of the scenario begins.
    Phase(Phase),
}

/// A program says that the guest runs another kernel than the one whose files the host has. The program is told; nothing
/// else comes of it, since what the guest booted is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the program takes the kernel to be {guest}, and the host's files are of {host}")]
pub(crate) struct WrongKernel {
    /// The program's.
    pub(crate) guest: BuildId,
    /// That of the host's files.
    pub(crate) host: BuildId,
}

/// Why a frame was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
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
    /// It is no request for a snapshot or a watch.
    #[error(transparent)]
    Snapshot(#[from] SnapshotRequestError),
    /// It is no batch of kernel ops.
    #[error(transparent)]
    KernelOp(#[from] MessageError),
    /// It names no build id.
    #[error(transparent)]
    BuildId(#[from] BuildIdError),
    /// It names another kernel.
    #[error(transparent)]
    WrongKernel(#[from] WrongKernel),
}

impl Disposition {
    /// What the program is answered at once. `None` where carrying out the action makes the answer.
    pub(crate) fn answer(&self) -> Option<Answer> {
        if let Some(refused) = &self.refused {
            let reason = text::cut(&refused.to_string(), MAX_REASON).to_owned();
            return Some(Answer::Refused { reason });
        }
        match self.action {
            Action::Snapshot(_) | Action::KernelOp(_) => None,
            _ => Some(Answer::Ack),
        }
    }
}

impl From<Result<Action, Refusal>> for Disposition {
    fn from(sorted: Result<Action, Refusal>) -> Disposition {
        let (action, refused) = match sorted {
            Ok(action) => (action, None),
            Err(refused) => (Action::None, Some(refused)),
        };
        Disposition {
            action,
            evidence: None,
            refused,
        }
    }
}
