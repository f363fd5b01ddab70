//! A stream of frames and garbage by a recipe, which chance can write in spite of checksums.
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
        /// Its kind.
        kind: FrameKind,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// A frame with the last byte changed: its payload's, or its header's if it has none.
    Damaged {
        /// Its kind.
        kind: FrameKind,
        /// Its payload, before that.
        payload: Vec<u8>,
    },
    /// The first half of a frame, and a byte with which it does not go on.
    Cut {
        /// Its kind.
        kind: FrameKind,
        /// Its payload, were it whole.
        payload: Vec<u8>,
    },
    /// Bytes as they are.
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

/// The parts of a recipe.
pub fn parts(mut recipe: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    while let [part, kind, len, rest @ ..] = recipe {
        let (payload, behind) = rest.split_at(usize::from(*len).min(rest.len()));
        let kind = FrameKind::ALL[usize::from(*kind) % FrameKind::ALL.len()];
        let payload = payload.to_vec();
        parts.push(match part % 4 {
            0 => Part::Whole { kind, payload },
            1 => Part::Damaged { kind, payload },
            2 => Part::Cut { kind, payload },
            _ => Part::Bare(payload),
        });
        recipe = behind;
    }
    parts
}

fn framed(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(kind, payload, &mut bytes).expect("payloads of a recipe are short");
    bytes
}
