//! Sorts the frames of a run: see the picture of the module above.

use kimage::BuildId;
use observe::Phase;
use wire::frame::{self, Frame, FrameError, Received};
use wire::kernel_op::{KernelOpRequest, MAX_TAG};
use wire::snapshot::SnapshotRequest;
use wire::{FrameKind, KernelOpFrame as _, PayloadLength, Sender, text};

use super::counts::{Counts, count};
use super::disposition::{Action, Disposition, Refusal, WrongKernel};
use super::evidence;

/// Sorts frames, and counts them.
#[derive(Debug, Default, Clone)]
pub(super) struct Dispatcher {
    counts: Counts,
}

impl Dispatcher {
    /// What becomes of the frame at the start of `bytes`; what follows it is not looked at. `host` is the build of the
    /// kernel that the host has the files of, where it is known.
    pub(super) fn take(&mut self, bytes: &[u8], host: Option<BuildId>) -> Disposition {
        let taken = match frame::receive(bytes) {
            Ok(received) => self.sort(received, host),
            Err(error) => {
                count(&mut self.counts.damaged);
                Err(error.into()).into()
            }
        };
        if taken.refused.is_some() {
            count(&mut self.counts.refused);
        }
        taken
    }

    /// How many frames came, and what became of them.
    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    fn sort(&mut self, received: Received<'_>, host: Option<BuildId>) -> Disposition {
        let Some(kind) = received.kind() else {
            count(&mut self.counts.unknown);
            let word = received.word;
            return Err(FrameError::UnknownKind { word }.into()).into();
        };
        self.counts.came(kind);
        match kind.sender() {
            Sender::Program => (),
            Sender::Host => return Err(Refusal::WrongWay { kind }).into(),
            Sender::Agent => return Err(Refusal::OfTheAgent { kind }).into(),
        }
        let whole = received.check();
        let intact = whole.is_ok();
        if !intact {
            count(&mut self.counts.damaged);
        }
        let sorted = whole
            .map_err(Refusal::from)
            .and_then(of_right_length)
            .and_then(|frame| action(frame, host));
        // A scheduler's exit that is damaged is none at all (D1).
        let recorded = kind.is_evidence() && (intact || kind != FrameKind::SchedulerExit);
        Disposition {
            evidence: recorded.then(|| evidence::event(kind, received.payload, intact)),
            ..sorted.into()
        }
    }
}

/// What a whole frame from a program asks for.
fn action(frame: Frame<'_>, host: Option<BuildId>) -> Result<Action, Refusal> {
    Ok(match frame.kind {
        FrameKind::SnapshotRequest => Action::Snapshot(SnapshotRequest::decode(frame.payload)?),
        FrameKind::KernelOpRequest => Action::KernelOp(with_short_tag(KernelOpRequest::decode(frame)?)),
        FrameKind::KernelBuildId => match (BuildId::from_bytes(frame.payload)?, host) {
            (guest, Some(host)) if guest != host => return Err(WrongKernel { guest, host }.into()),
            _ => Action::None,
        },
        FrameKind::ScenarioStart => Action::Phase(Phase::Started),
        FrameKind::ScenarioPause => Action::Phase(Phase::Paused),
        FrameKind::ScenarioResume => Action::Phase(Phase::Resumed),
        FrameKind::SchedulerSwapped => Action::Phase(Phase::SchedulerSwapped),
        _ => Action::None,
    })
}

/// A payload with another length than its kind always has changes nothing.
fn of_right_length(frame: Frame<'_>) -> Result<Frame<'_>, Refusal> {
    let (kind, len) = (frame.kind, frame.payload.len());
    match kind.payload_len() {
        Some(need) if need != len => Err(PayloadLength { kind, len, need }.into()),
        _ => Ok(frame),
    }
}

/// The tag is what the record calls the request, and so is cut to what a tag may have.
fn with_short_tag(mut request: KernelOpRequest) -> KernelOpRequest {
    let len = text::cut(&request.tag, MAX_TAG).len();
    request.tag.truncate(len);
    request
}

#[cfg(test)]
mod tests;
