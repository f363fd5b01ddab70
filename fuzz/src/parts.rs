//! A stream of frames and garbage, built from a recipe, so that random input passes the checksums.
//!
//! ```text
//!  part u8 │ kind u8 │ length u8 │ bytes …  │ next part …
//! ```

use wire::{FrameKind, frame};

/// A part of a stream.
#[derive(Debug)]
pub enum Part {
    /// A frame.
    Whole {
        /// The frame's kind.
        kind: FrameKind,
        /// The frame's payload.
        payload: Vec<u8>,
    },
    /// A frame with its last byte changed: the payload's, or the header's without a payload.
    Damaged {
        /// The frame's kind.
        kind: FrameKind,
        /// The payload before the change.
        payload: Vec<u8>,
    },
    /// The first half of a frame, followed by a wrong byte.
    Cut {
        /// The frame's kind.
        kind: FrameKind,
        /// The payload of the whole frame.
        payload: Vec<u8>,
    },
    /// Literal bytes.
    Bare(Vec<u8>),
}

impl Part {
    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Part::Whole { kind, payload } => framed(*kind, payload),
            Part::Damaged { kind, payload } => {
                let mut bytes = framed(*kind, payload);
                if let Some(last) = bytes.last_mut() {
                    *last ^= 1;
                }
                bytes
            }
            Part::Cut { kind, payload } => {
                let mut bytes = framed(*kind, payload);
                let half = bytes.len() / 2;
                bytes.truncate(half + 1);
                bytes[half] = !bytes[half];
                bytes
            }
            Part::Bare(bytes) => bytes.clone(),
        }
    }
}

/// Parses a recipe into parts.
pub fn parts(mut recipe: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    while let [part, kind, len, rest @ ..] = recipe {
        let (payload, after) = rest.split_at(usize::from(*len).min(rest.len()));
        let kind = FrameKind::ALL[usize::from(*kind) % FrameKind::ALL.len()];
        let payload = payload.to_vec();
        parts.push(match part % 4 {
            0 => Part::Whole { kind, payload },
            1 => Part::Damaged { kind, payload },
            2 => Part::Cut { kind, payload },
            _ => Part::Bare(payload),
        });
        recipe = after;
    }
    parts
}

fn framed(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(kind, payload, &mut bytes).expect("payloads of a recipe are short");
    bytes
}
