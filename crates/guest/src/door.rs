//! The door: how the agent's words reach the host.
//!
//! On this backend it is one instruction that is a no-operation everywhere else ([`wire::call`]). The machine
//! stands still while the host reads the request from the buffer and writes the answer over it. Where nobody
//! listens the buffer still holds the request afterwards.

use std::io;

use wire::{Answer, MessageError, Request, call};

/// A way to reach the host.
pub(crate) trait Door {
    /// Says `request` and returns the host's answer; no guest time passes in between.
    fn call(&mut self, request: &Request) -> Result<Answer, DoorError>;
}

/// A request that found no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DoorError {
    /// The request is larger than the buffer.
    #[error("the message of {len} bytes does not fit the buffer of {capacity}")]
    TooLong {
        /// Its length.
        len: usize,
        /// The buffer's.
        capacity: usize,
    },
    /// The request could not be put into a frame.
    #[error("encode the message")]
    Encode(#[source] MessageError),
    /// The buffer was left as it was.
    #[error("nobody listens at the door; was this machine started by schedrig?")]
    NobodyListens,
    /// The host refused the request.
    #[error("the host refused: {0}")]
    Refused(String),
    /// What the host wrote is not an answer.
    #[error(transparent)]
    NotUnderstood(MessageError),
    /// The answer is one, but not to this request.
    #[error("the host answered {request} with {answer}")]
    Unexpected {
        /// What was said.
        request: &'static str,
        /// What came back.
        answer: &'static str,
    },
}

/// The door that the host named on the kernel's command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DoorKind {
    /// The magic no-operation.
    Nop,
}

/// A command line that names no door.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DoorKindError {
    /// It says nothing.
    #[error("the kernel's command line has no `schedrig.door=`; was this machine started by schedrig?")]
    Missing,
    /// It names a door that this agent does not have.
    #[error("the kernel's command line names the door `{0}`, and this agent knows `nop` only")]
    Unknown(String),
}

impl DoorKind {
    /// The door in `/proc/cmdline`.
    pub(crate) fn from_command_line(text: &str) -> Result<DoorKind, DoorKindError> {
        let mut names = text
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("schedrig.door="));
        match names.next() {
            Some("nop") => Ok(DoorKind::Nop),
            Some(other) => Err(DoorKindError::Unknown(other.to_owned())),
            None => Err(DoorKindError::Missing),
        }
    }
}

/// The magic no-operation and its buffer.
pub(crate) struct NopDoor(ask::Door);

impl NopDoor {
    /// Maps the buffer.
    pub(crate) fn new() -> io::Result<NopDoor> {
        ask::Door::new(call::BUFFER_LEN).map(NopDoor)
    }
}

impl Door for NopDoor {
    fn call(&mut self, request: &Request) -> Result<Answer, DoorError> {
        let frame = request.encode().map_err(DoorError::Encode)?;
        let answer = self.0.call(&frame);
        let answer = answer.map_err(|ask::TooLong { len, capacity }| DoorError::TooLong { len, capacity })?;
        understand(Answer::decode(answer))
    }
}

/// An answer proper, or why there is none.
fn understand(answer: Result<Answer, MessageError>) -> Result<Answer, DoorError> {
    match answer {
        Ok(Answer::Refused { reason }) => Err(DoorError::Refused(reason)),
        Ok(answer) => Ok(answer),
        // A frame that only a guest sends: our own.
        Err(MessageError::WrongWay { .. }) => Err(DoorError::NobodyListens),
        Err(error) => Err(DoorError::NotUnderstood(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_door_is_named_on_the_command_line() {
        let check = |text: &str, expect| assert_eq!(DoorKind::from_command_line(text), expect, "{text}");
        check("quiet schedrig.door=nop\n", Ok(DoorKind::Nop));
        check("quiet", Err(DoorKindError::Missing));
        check(
            "schedrig.door=bell",
            Err(DoorKindError::Unknown("bell".to_owned())),
        );
    }

    /// This test runs on a machine where the call is a no-operation.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_door_behind_which_nobody_listens_says_so() {
        let mut door = NopDoor::new().unwrap();
        let request = Request::Reply {
            at: spec::GuestTime::default(),
            reply: Ok(spec::OpOutcome::Done),
        };
        assert!(matches!(door.call(&request), Err(DoorError::NobodyListens)));
    }

    #[test]
    fn a_message_that_does_not_fit_is_not_said() {
        let mut door = NopDoor::new().unwrap();
        let bytes = vec![0; call::BUFFER_LEN];
        let request = Request::Notice(wire::Notice::FileChunk { bytes });
        assert!(matches!(door.call(&request), Err(DoorError::TooLong { .. })));
    }

    #[test]
    fn answers_are_told_from_silence_and_damage() {
        let wrong_way = MessageError::WrongWay {
            kind: wire::FrameKind::Hello,
        };
        assert!(matches!(
            understand(Err(wrong_way)),
            Err(DoorError::NobodyListens)
        ));
        assert!(matches!(understand(Ok(Answer::Ack)), Ok(Answer::Ack)));
        let refused = Answer::Refused { reason: "no".into() };
        assert!(matches!(understand(Ok(refused)), Err(DoorError::Refused(_))));
    }
}
