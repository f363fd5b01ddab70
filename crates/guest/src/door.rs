//! The door: how the agent's words reach the host.
//!
//! On this backend it is one instruction that is a no-operation everywhere else ([`wire::call`]). The machine
//! stands still while the host reads the request from the buffer and writes the answer over it. Where nobody
//! listens the buffer still holds the request afterwards.
//!
//! The buffer is mapped once, all its pages present and locked, and left out of forks: a page that is shared
//! copy-on-write with a child would be replaced under the host's hands.

use std::ptr::NonNull;
use std::{io, slice};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
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
pub(crate) struct NopDoor {
    buffer: NonNull<u8>,
}

impl NopDoor {
    /// Maps the buffer.
    pub(crate) fn new() -> io::Result<NopDoor> {
        // SAFETY: no address is asked for, so no mapping of ours can be replaced.
        let base = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                call::BUFFER_LEN,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::POPULATE,
            )
        }?;
        let buffer = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let door = NopDoor { buffer };
        // SAFETY: this is exactly the mapping; the child that misses it never touches it.
        unsafe { madvise(base, call::BUFFER_LEN, Advice::LinuxDontFork) }?;
        // SAFETY: this is exactly the mapping.
        unsafe { mlock(base, call::BUFFER_LEN) }?;
        Ok(door)
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is `BUFFER_LEN` bytes, initialised, lives as long as `self`, and `self` is
        // borrowed exclusively. The host touches it only during the call, when no slice exists.
        unsafe { slice::from_raw_parts_mut(self.buffer.as_ptr(), call::BUFFER_LEN) }
    }
}

impl Door for NopDoor {
    fn call(&mut self, request: &Request) -> Result<Answer, DoorError> {
        let frame = request.encode().map_err(DoorError::Encode)?;
        let buffer = self.bytes();
        let capacity = buffer.len();
        buffer
            .get_mut(..frame.len())
            .ok_or(DoorError::TooLong {
                len: frame.len(),
                capacity,
            })?
            .copy_from_slice(&frame);
        // SAFETY: the instruction's registers are set as `wire::call` demands; the host writes the buffer only.
        unsafe { knock(self.buffer, frame.len(), call::BUFFER_LEN) };
        understand(Answer::decode(self.bytes()))
    }
}

impl Drop for NopDoor {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping, and no slice of it outlives `self`.
        let _ = unsafe { munmap(self.buffer.as_ptr().cast(), call::BUFFER_LEN) };
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

/// Executes the call instruction.
///
/// # Safety
/// `buffer` is valid for reads and writes of `capacity` bytes, and the first `len` of them are the request.
#[cfg(target_arch = "x86_64")]
unsafe fn knock(buffer: NonNull<u8>, len: usize, capacity: usize) {
    // SAFETY: a no-operation by itself; the host, if there is one, writes at most `capacity` bytes at `buffer`,
    // which the caller vouches for. Memory is not declared untouched, so the compiler reads it anew.
    unsafe {
        std::arch::asm!(
            ".quad {call}",
            call = const u64::from_le_bytes(call::INSTRUCTION),
            in("rdi") buffer.as_ptr(),
            in("rsi") len,
            in("rdx") capacity,
            options(nostack, preserves_flags),
        );
    }
}

/// There is no such instruction on this architecture yet: nobody listens.
///
/// # Safety
/// As for the other architectures.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn knock(_buffer: NonNull<u8>, _len: usize, _capacity: usize) {}

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
        let request = Request::Reply(Ok(wire::Reply::Done));
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
