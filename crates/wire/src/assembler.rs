//! A stream of bytes → frames (contract D13).
//!
//! ```text
//!            whole frame: taken          damaged payload: taken as damaged, and what is behind
//!            ┌───────────┐               its header is searched, as its end may never have been written
//!            ▼           │
//!        ┌─ in step ─────┘ ── damage ──►  out of step ── one byte dropped ─┐
//!        │      ▲                            ▲   │  ▲                      │
//!        │      │                            │   │  └──────────────────────┘
//!        │      └── a whole frame, or the damaged one's end ──┘
//!        └──────────── too much is pending: all of it is dropped ──────────►
//! ```
//!
//! Out of step only a frame counts that has a kind we know, a header with the right CRC, a length within the bound, and
//! a payload with the right CRC. So garbage never hides a later whole frame, and how the stream was cut into pieces makes
//! no difference. What is dropped is counted.

use std::ops::Range;

use crate::FrameKind;
use crate::frame::{self, FrameError, HEADER_LEN, MAX_PAYLOAD, Received};

/// The most bytes that wait for their frame's end. Beyond, all of them are dropped.
pub const MAX_RESIDUAL: usize = 2 * MAX_PAYLOAD;

/// How many bytes may be hashed in vain for each byte that arrives: headers without payloads, one behind the other,
/// would each have all that follows hashed.
const VAIN_PER_BYTE: usize = 16;

/// How much [`Assembler::feed`] takes at a time: with it, less than [`MAX_RESIDUAL`] is pending.
const PIECE: usize = 1 << 20;

/// What was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Bytes that belong to no frame.
    pub bytes: u64,
    /// Frames with a damaged payload.
    pub damaged: u64,
    /// How often all that was pending was dropped.
    pub clears: u64,
}

/// Makes frames of bytes.
#[derive(Debug)]
pub struct Assembler {
    bytes: Vec<u8>,
    /// Before this all are taken or dropped.
    start: usize,
    step: Step,
    ended: bool,
    /// Bytes that may still be hashed in vain.
    vain: usize,
    dropped: Dropped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A frame begins here.
    In,
    /// Somewhere a frame begins; at the latest behind so many bytes, where a damaged one ends.
    Out { left: Option<usize> },
}

/// What is at the start of the bytes.
enum Next {
    Frame { len: usize },
    Damaged { len: usize },
    Wait,
    Drop,
    Clear,
}

impl Default for Assembler {
    fn default() -> Assembler {
        Assembler {
            bytes: Vec::new(),
            start: 0,
            step: Step::In,
            ended: false,
            vain: MAX_RESIDUAL,
            dropped: Dropped::default(),
        }
    }
}

impl Assembler {
    /// Takes these bytes, and gives every frame that is complete by now: whole ones, ones of an unknown kind, and ones
    /// with a damaged payload.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Received<'_>)) {
        for piece in bytes.chunks(PIECE) {
            self.push(piece);
            while let Some(frame) = self.next_frame() {
                each(frame);
            }
        }
    }

    /// Nothing more comes: gives the frames that are behind one without an end.
    pub fn finish(&mut self, mut each: impl FnMut(Received<'_>)) {
        self.ended = true;
        while let Some(frame) = self.next_frame() {
            each(frame);
        }
    }

    /// Takes these bytes. With those that are pending they must be no more than [`MAX_RESIDUAL`], else all that is
    /// pending is dropped: ask [`Assembler::next_frame`] in between.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.residual() + bytes.len() > MAX_RESIDUAL {
            self.clear();
        }
        let kept = &bytes[bytes.len().saturating_sub(MAX_RESIDUAL)..];
        self.drop_bytes(bytes.len() - kept.len());
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(kept);
        let more = bytes.len().saturating_mul(VAIN_PER_BYTE);
        self.vain = self.vain.saturating_add(more).min(MAX_RESIDUAL);
        self.ended = false;
    }

    /// The next frame that is complete.
    pub fn next_frame(&mut self) -> Option<Received<'_>> {
        let found = self.search()?;
        frame::receive(&self.bytes[found]).ok()
    }

    /// Bytes that are pending.
    pub fn residual(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// What was dropped so far.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Where the next frame lies that is complete.
    fn search(&mut self) -> Option<Range<usize>> {
        loop {
            if self.step == (Step::Out { left: Some(0) }) {
                self.step = Step::In;
            }
            match self.look() {
                Next::Frame { len } => {
                    self.step = Step::In;
                    let from = self.start;
                    self.start += len;
                    return Some(from..self.start);
                }
                Next::Damaged { len } => {
                    self.dropped.damaged = self.dropped.damaged.saturating_add(1);
                    let left = Some(len - HEADER_LEN);
                    self.step = Step::Out { left };
                    let from = self.start;
                    self.start += HEADER_LEN;
                    return Some(from..from + len);
                }
                Next::Wait => return None,
                Next::Drop => self.drop_one(),
                Next::Clear => self.clear(),
            }
        }
    }

    fn look(&mut self) -> Next {
        let rest = &self.bytes[self.start..];
        if rest.is_empty() {
            return Next::Wait;
        }
        let lost = self.step != Step::In;
        if lost && !may_be_kind(rest) {
            return Next::Drop;
        }
        let received = match frame::receive(rest) {
            Ok(received) => received,
            Err(FrameError::Truncated { .. }) if !self.ended => return Next::Wait,
            Err(_) => return Next::Drop,
        };
        let len = HEADER_LEN + received.payload.len();
        match received.check() {
            // Out of step a frame of an unknown kind would be one of chance; none comes to here.
            Ok(_) | Err(FrameError::UnknownKind { .. }) => Next::Frame { len },
            Err(_) => match self.vain.checked_sub(len) {
                None => Next::Clear,
                Some(vain) => {
                    self.vain = vain;
                    if lost { Next::Drop } else { Next::Damaged { len } }
                }
            },
        }
    }

    fn drop_one(&mut self) {
        self.start += 1;
        match &mut self.step {
            // These were given as a damaged frame's payload.
            Step::Out { left: Some(left) } => *left -= 1,
            step => {
                *step = Step::Out { left: None };
                self.drop_bytes(1);
            }
        }
    }

    /// Drops all that is pending.
    fn clear(&mut self) {
        self.drop_bytes(self.residual());
        self.dropped.clears = self.dropped.clears.saturating_add(1);
        self.bytes.clear();
        self.start = 0;
        self.step = Step::Out { left: None };
    }

    fn drop_bytes(&mut self, count: usize) {
        self.dropped.bytes = self.dropped.bytes.saturating_add(count as u64);
    }
}

/// Can these bytes be the beginning of a frame of a kind that we know? Of less than a word, as far as there is.
fn may_be_kind(bytes: &[u8]) -> bool {
    match bytes.first_chunk() {
        Some(word) => FrameKind::from_word(u32::from_le_bytes(*word)).is_some(),
        None => FrameKind::ALL
            .iter()
            .any(|kind| kind.word().to_le_bytes().starts_with(bytes)),
    }
}

#[cfg(test)]
mod tests;
