//! For programs that run in a guest of schedrig: they ask the host for a look at the kernel, for a watch, for a read or
//! write of it, mark the phases of a scenario, and send metrics.
//!
//! ```no_run
//! let mut host = schedrig_ask::Host::find()?;
//! host.snapshot("mid-run")?;
//! # Ok::<(), schedrig_ask::AskError>(())
//! ```
//! A request stops the whole machine until it is answered: no guest time passes. Programs in C include
//! `include/schedrig.h`; from a shell it is `schedrig-guest snapshot mid-run`.

mod door;

use std::io;

use wire::frame;
use wire::kernel_op::{KernelOpReply, KernelOpRequest};
use wire::phase::{ScenarioEnd, Stimulus};
use wire::snapshot::{SnapshotKind, SnapshotReply, SnapshotRequest};
use wire::{Answer, FrameKind, call};

pub use door::{Door, TooLong};
pub use wire::kernel_op;

/// The host, as a program of the guest sees it.
pub struct Host {
    door: Door,
    /// The number of the last request.
    asked: u32,
}

/// A request that was not met.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The buffer could not be mapped.
    #[error("map the buffer")]
    Map(#[from] io::Error),
    /// The request does not fit the buffer.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The request is none.
    #[error("{0}")]
    Request(String),
    /// The buffer was left as it was.
    #[error("nobody listens; was this machine started by schedrig?")]
    NobodyListens,
    /// The host refused it.
    #[error("the host refused: {0}")]
    Refused(String),
    /// What the host wrote is no answer to it.
    #[error("the host's answer is not understood: {0}")]
    NotUnderstood(String),
}

impl Host {
    /// Makes ready to ask.
    ///
    /// # Errors
    /// [`AskError::Map`].
    pub fn find() -> Result<Host, AskError> {
        Ok(Host {
            door: Door::new(call::BUFFER_LEN)?,
            asked: 0,
        })
    }

    /// Has a snapshot of the kernel taken, now.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn snapshot(&mut self, tag: &str) -> Result<(), AskError> {
        self.look(SnapshotKind::Capture, tag)
    }

    /// Has a snapshot taken whenever the kernel stores to this symbol; a run has three such watches.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn watch(&mut self, symbol: &str) -> Result<(), AskError> {
        self.look(SnapshotKind::Watch, symbol)
    }

    /// Reads or writes the kernel. A batch that is refused is a reply.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn kernel_op(&mut self, mut request: KernelOpRequest) -> Result<KernelOpReply, AskError> {
        request.request_id = self.next();
        let frame = request.encode().map_err(not_a_request)?;
        let answer = self.say(&frame)?;
        let frame = frame::decode(answer).map_err(not_understood)?;
        KernelOpReply::decode(frame).map_err(not_understood)
    }

    /// The scenario begins.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn scenario_start(&mut self) -> Result<(), AskError> {
        self.tell(FrameKind::ScenarioStart, &[])
    }

    /// The scenario pauses.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn scenario_pause(&mut self) -> Result<(), AskError> {
        self.tell(FrameKind::ScenarioPause, &[])
    }

    /// The scenario goes on.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn scenario_resume(&mut self) -> Result<(), AskError> {
        self.tell(FrameKind::ScenarioResume, &[])
    }

    /// The scenario is over.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn scenario_end(&mut self, end: &ScenarioEnd) -> Result<(), AskError> {
        self.tell(FrameKind::ScenarioEnd, &end.encode())
    }

    /// A step of the scenario begins.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn step(&mut self, step: &Stimulus) -> Result<(), AskError> {
        self.tell(FrameKind::Stimulus, &step.encode())
    }

    /// What this program has measured, in whatever form it likes: the record keeps it.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn metrics(&mut self, metrics: &[u8]) -> Result<(), AskError> {
        self.tell(FrameKind::PayloadMetrics, metrics)
    }

    /// Sends a frame that is answered by a word.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn tell(&mut self, kind: FrameKind, payload: &[u8]) -> Result<(), AskError> {
        let frame = framed(kind, payload)?;
        let answer = self.say(&frame)?;
        match Answer::decode(answer) {
            Ok(Answer::Ack) => Ok(()),
            Ok(_) => Err(AskError::NotUnderstood("it is a command".to_owned())),
            Err(error) => Err(not_understood(error)),
        }
    }

    fn look(&mut self, kind: SnapshotKind, tag: &str) -> Result<(), AskError> {
        let request = SnapshotRequest {
            request_id: self.next(),
            kind,
            tag: tag.to_owned(),
        };
        let payload = request.encode();
        let payload = payload.map_err(|error| AskError::Request(error.to_string()))?;
        let frame = framed(FrameKind::SnapshotRequest, &payload)?;
        let answer = self.say(&frame)?;
        let frame = frame::decode(answer).map_err(not_understood)?;
        let reply = SnapshotReply::decode(frame.payload).map_err(not_understood)?;
        reply.outcome.map_err(AskError::Refused)
    }

    /// Says a frame; the answer, if it is one and no refusal.
    fn say(&mut self, frame: &[u8]) -> Result<&[u8], AskError> {
        let answer = self.door.say(frame)?;
        if answer.starts_with(frame) {
            return Err(AskError::NobodyListens);
        }
        match Answer::decode(answer) {
            Ok(Answer::Refused { reason }) => Err(AskError::Refused(reason)),
            _ => Ok(answer),
        }
    }

    fn next(&mut self) -> u32 {
        self.asked = self.asked.wrapping_add(1).max(1);
        self.asked
    }
}

fn framed(kind: FrameKind, payload: &[u8]) -> Result<Vec<u8>, AskError> {
    let mut bytes = Vec::new();
    frame::encode(kind, payload, &mut bytes).map_err(not_a_request)?;
    Ok(bytes)
}

fn not_a_request(error: impl std::fmt::Display) -> AskError {
    AskError::Request(error.to_string())
}

fn not_understood(error: impl std::fmt::Display) -> AskError {
    AskError::NotUnderstood(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These tests run on a machine where the call is a no-operation.
    #[test]
    fn a_request_that_nobody_hears_says_so() {
        let mut host = Host::find().unwrap();
        assert!(matches!(host.snapshot("now"), Err(AskError::NobodyListens)));
        assert!(matches!(host.scenario_start(), Err(AskError::NobodyListens)));
        let read = KernelOpRequest::read("t", Vec::new());
        assert!(matches!(host.kernel_op(read), Err(AskError::NobodyListens)));
    }

    #[test]
    fn a_request_that_does_not_fit_is_not_made() {
        let mut host = Host::find().unwrap();
        assert!(matches!(
            host.metrics(&vec![0; call::BUFFER_LEN]),
            Err(AskError::TooLong(_))
        ));
        assert!(matches!(
            host.snapshot(&"x".repeat(65)),
            Err(AskError::Request(_))
        ));
    }
}
