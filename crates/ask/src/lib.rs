//! Requests from programs in a guest of schedrig to the host: a snapshot of the kernel, a watch, a read or write of the
//! kernel; marks of a scenario's phases; metrics.
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
use wire::scenario::{ScenarioEnd, Stimulus};
use wire::snapshot::{SnapshotKind, SnapshotReply, SnapshotRequest};
use wire::{Answer, FrameKind, KernelOpFrame as _, call};

pub use door::{Door, TooLong};
pub use wire::kernel_op;

/// A connection from a guest's program to the host.
pub struct Host {
    door: Door,
    /// The number of the last request.
    last_request: u32,
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The buffer could not be mapped.
    #[error("map the buffer")]
    Map(#[from] io::Error),
    /// The request does not fit the buffer.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The request is malformed.
    #[error("{0}")]
    Request(String),
    /// The call left the buffer unchanged.
    #[error("no host answered; was this machine started by schedrig?")]
    NoHost,
    /// The host refused the request.
    #[error("the host refused: {0}")]
    Refused(String),
    /// The host's answer is malformed, or answers another request.
    #[error("malformed answer of the host: {0}")]
    MalformedAnswer(String),
}

impl Host {
    /// Maps the buffer for requests. Whether a host exists shows with the first request.
    ///
    /// # Errors
    /// [`AskError::Map`].
    pub fn find() -> Result<Host, AskError> {
        Ok(Host {
            door: Door::new(call::BUFFER_LEN)?,
            last_request: 0,
        })
    }

    /// Requests a snapshot of the kernel, taken now.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn snapshot(&mut self, tag: &str) -> Result<(), AskError> {
        self.request_snapshot(SnapshotKind::Capture, tag)
    }

    /// Requests a snapshot for every store of the kernel to the number at this path, as `runqueues[0].nr_running` or
    /// `jiffies_64`; a run has at most three such watches.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn watch(&mut self, path: &str) -> Result<(), AskError> {
        self.request_snapshot(SnapshotKind::Watch, path)
    }

    /// Reads or writes the kernel. A refused batch is a reply, not an error.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn kernel_op(&mut self, mut request: KernelOpRequest) -> Result<KernelOpReply, AskError> {
        request.request_id = self.next();
        let frame = request.encode().map_err(not_a_request)?;
        let answer = self.exchange(&frame)?;
        let frame = frame::decode(answer).map_err(malformed_answer)?;
        KernelOpReply::decode(frame).map_err(malformed_answer)
    }

    /// Marks the beginning of the scenario.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn scenario_start(&mut self) -> Result<(), AskError> {
        self.send(FrameKind::ScenarioStart, &[])
    }

    /// Marks a pause of the scenario.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn scenario_pause(&mut self) -> Result<(), AskError> {
        self.send(FrameKind::ScenarioPause, &[])
    }

    /// Marks the end of a pause.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn scenario_resume(&mut self) -> Result<(), AskError> {
        self.send(FrameKind::ScenarioResume, &[])
    }

    /// Marks the end of the scenario.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn scenario_end(&mut self, end: &ScenarioEnd) -> Result<(), AskError> {
        self.send(FrameKind::ScenarioEnd, &end.encode())
    }

    /// Marks the beginning of a step of the scenario.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn step(&mut self, step: &Stimulus) -> Result<(), AskError> {
        self.send(FrameKind::Stimulus, &step.encode())
    }

    /// Reports that another scheduler took over: periodic snapshots go on with it.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn scheduler_swapped(&mut self) -> Result<(), AskError> {
        self.send(FrameKind::SchedulerSwapped, &[])
    }

    /// Sends measurements, in any form, to be kept in the record.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn metrics(&mut self, metrics: &[u8]) -> Result<(), AskError> {
        self.send(FrameKind::PayloadMetrics, metrics)
    }

    /// Sends a frame that the host only acknowledges.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn send(&mut self, kind: FrameKind, payload: &[u8]) -> Result<(), AskError> {
        let frame = framed(kind, payload)?;
        let answer = self.exchange(&frame)?;
        match Answer::decode(answer) {
            Ok(Answer::Ack) => Ok(()),
            Ok(_) => Err(AskError::MalformedAnswer(
                "a command instead of an acknowledgement".to_owned(),
            )),
            Err(error) => Err(malformed_answer(error)),
        }
    }

    fn request_snapshot(&mut self, kind: SnapshotKind, tag: &str) -> Result<(), AskError> {
        let request = SnapshotRequest {
            request_id: self.next(),
            kind,
            tag: tag.to_owned(),
        };
        let payload = request.encode();
        let payload = payload.map_err(|error| AskError::Request(error.to_string()))?;
        let frame = framed(FrameKind::SnapshotRequest, &payload)?;
        let answer = self.exchange(&frame)?;
        let frame = frame::decode(answer).map_err(malformed_answer)?;
        let reply = SnapshotReply::decode(frame.payload).map_err(malformed_answer)?;
        reply.outcome.map_err(AskError::Refused)
    }

    /// Sends a frame and returns the answer, unless there is none or it is a refusal.
    fn exchange(&mut self, frame: &[u8]) -> Result<&[u8], AskError> {
        let answer = self.door.call(frame)?;
        if answer.starts_with(frame) {
            return Err(AskError::NoHost);
        }
        match Answer::decode(answer) {
            Ok(Answer::Refused { reason }) => Err(AskError::Refused(reason)),
            _ => Ok(answer),
        }
    }

    fn next(&mut self) -> u32 {
        self.last_request = self.last_request.wrapping_add(1).max(1);
        self.last_request
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

fn malformed_answer(error: impl std::fmt::Display) -> AskError {
    AskError::MalformedAnswer(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These tests run on a machine where the call is a no-operation.
    #[test]
    fn a_request_without_a_host_is_an_error() {
        let mut host = Host::find().unwrap();
        assert!(matches!(host.snapshot("now"), Err(AskError::NoHost)));
        assert!(matches!(host.scenario_start(), Err(AskError::NoHost)));
        let read = KernelOpRequest::read("t", Vec::new());
        assert!(matches!(host.kernel_op(read), Err(AskError::NoHost)));
    }

    #[test]
    fn a_request_that_does_not_fit_is_not_sent() {
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
