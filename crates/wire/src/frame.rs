//! The frame: a 16-byte header and a payload.
//!
//! ```text
//! offset  0        4        8             12            16
//!         ├ kind ──┼ length ┼ payload CRC ┼ header CRC ─┼ payload … ┤
//! ```
//!
//! All words are little-endian. `kind` is four ASCII letters; `length` counts the payload's bytes; both CRCs
//! are CRC-32 (IEEE 802.3); the header's covers the three words before it, so that a damaged length is never
//! trusted.

pub use crate::kind::{FrameKind, Sender};

/// Bytes of a header.
pub const HEADER_LEN: usize = 16;

/// The longest payload that is ever accepted, in bytes.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// A checked frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'b> {
    /// What it carries.
    pub kind: FrameKind,
    /// The payload, its CRC checked.
    pub payload: &'b [u8],
}

/// A frame whose header is whole. Its payload is not checked yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'b> {
    /// The kind word.
    pub word: u32,
    /// The payload, as long as the header says.
    pub payload: &'b [u8],
    /// The payload's CRC, as the header says.
    crc: u32,
}

impl<'b> Received<'b> {
    /// Its kind, if this version knows it.
    pub fn kind(&self) -> Option<FrameKind> {
        FrameKind::from_word(self.word)
    }

    /// The frame, if its payload is intact and its kind is known.
    ///
    /// # Errors
    /// [`FrameError::PayloadCrc`], else [`FrameError::UnknownKind`].
    pub fn check(&self) -> Result<Frame<'b>, FrameError> {
        let (found, computed) = (self.crc, crc32fast::hash(self.payload));
        if found != computed {
            return Err(FrameError::PayloadCrc { found, computed });
        }
        let kind = self.kind().ok_or(FrameError::UnknownKind { word: self.word })?;
        Ok(Frame {
            kind,
            payload: self.payload,
        })
    }
}

/// Bytes that are not a frame. An unknown kind is told apart from damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than a header, or than the header says.
    #[error("the frame is cut off: {have} bytes of {need}")]
    Truncated {
        /// Bytes there are.
        have: usize,
        /// Bytes there should be.
        need: usize,
    },
    /// The header's CRC is wrong: kind and length cannot be trusted.
    #[error("the header is damaged: CRC {found:#010x}, computed {computed:#010x}")]
    HeaderCrc {
        /// As received.
        found: u32,
        /// As it should be.
        computed: u32,
    },
    /// The header is whole and its length is beyond all bounds.
    #[error("the payload of {len} bytes is longer than {MAX_PAYLOAD}")]
    TooLong {
        /// The length it names.
        len: usize,
    },
    /// The payload's CRC is wrong.
    #[error("the payload is damaged: CRC {found:#010x}, computed {computed:#010x}")]
    PayloadCrc {
        /// As received.
        found: u32,
        /// As it should be.
        computed: u32,
    },
    /// The frame is whole, and of a kind that this version does not know.
    #[error("the frame's kind {word:#010x} is unknown")]
    UnknownKind {
        /// The kind word.
        word: u32,
    },
}

/// Appends the frame to `out`.
pub fn encode(kind: FrameKind, payload: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
    if payload.len() > MAX_PAYLOAD {
        return Err(FrameError::TooLong { len: payload.len() });
    }
    let mut header = [0; HEADER_LEN];
    header[0..4].copy_from_slice(&kind.word().to_le_bytes());
    header[4..8].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    header[8..12].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
    let crc = crc32fast::hash(&header[..12]);
    header[12..16].copy_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
    Ok(())
}

/// The frame at the start of `bytes`; what follows it is not looked at.
pub fn decode(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    receive(bytes)?.check()
}

/// The frame at the start of `bytes` by its header alone: its payload may be damaged, and its kind unknown.
pub fn receive(bytes: &[u8]) -> Result<Received<'_>, FrameError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() else {
        return Err(FrameError::Truncated {
            have: bytes.len(),
            need: HEADER_LEN,
        });
    };
    let len = payload_len(header)?;
    let payload = rest.get(..len).ok_or(FrameError::Truncated {
        have: bytes.len(),
        need: HEADER_LEN + len,
    })?;
    Ok(Received {
        word: word(header, 0),
        payload,
        crc: word(header, 8),
    })
}

/// How many payload bytes follow this header, once its CRC and the bound are checked.
pub fn payload_len(header: &[u8; HEADER_LEN]) -> Result<usize, FrameError> {
    let (found, computed) = (word(header, 12), crc32fast::hash(&header[..12]));
    if found != computed {
        return Err(FrameError::HeaderCrc { found, computed });
    }
    let len = word(header, 4) as usize;
    if len > MAX_PAYLOAD {
        Err(FrameError::TooLong { len })
    } else {
        Ok(len)
    }
}

fn word(header: &[u8; HEADER_LEN], at: usize) -> u32 {
    u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(kind, payload, &mut bytes).unwrap();
        bytes
    }

    /// B1: 16 bytes of header: kind, length, the payload's CRC, and the CRC of these three.
    #[test]
    fn a_frames_bytes_are_pinned() {
        assert_eq!(
            frame(FrameKind::Ack, b"abc"),
            [
                b'A', b'C', b'K', b'N', 3, 0, 0, 0, 0xc2, 0x41, 0x24, 0x35, 0xc0, 0x85, 0x7b, 0x6b, b'a',
                b'b', b'c'
            ]
        );
    }

    /// B1: the payload's CRC is of the payload only, and the header's of the header only.
    #[test]
    fn each_crc_covers_its_own_part() {
        let bytes = frame(FrameKind::Ack, b"abc");
        assert_eq!(bytes[8..12], crc32fast::hash(b"abc").to_le_bytes());
        assert_eq!(bytes[12..16], crc32fast::hash(&bytes[..12]).to_le_bytes());
        let other = frame(FrameKind::Reply, b"abc");
        assert_eq!(bytes[8..12], other[8..12]);
        assert_ne!(bytes[12..16], other[12..16]);
    }

    /// B1: with a damaged payload the header still tells kind and length.
    #[test]
    fn a_damaged_payload_leaves_the_kind_known() {
        let mut bytes = frame(FrameKind::Stimulus, b"abc");
        bytes[HEADER_LEN] ^= 1;
        let received = receive(&bytes).unwrap();
        assert_eq!(
            (received.kind(), received.payload),
            (Some(FrameKind::Stimulus), &b"`bc"[..])
        );
        assert!(matches!(received.check(), Err(FrameError::PayloadCrc { .. })));
    }

    #[test]
    fn an_unknown_kind_is_told_apart_from_damage() {
        let mut bytes = frame(FrameKind::Ack, b"");
        bytes[0] = b'?';
        assert!(matches!(decode(&bytes), Err(FrameError::HeaderCrc { .. })));
        let crc = crc32fast::hash(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        assert!(matches!(decode(&bytes), Err(FrameError::UnknownKind { .. })));
    }

    #[test]
    fn a_length_beyond_all_bounds_is_refused_before_it_is_believed() {
        let mut bytes = frame(FrameKind::Ack, b"");
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(
            decode(&bytes),
            Err(FrameError::TooLong {
                len: u32::MAX as usize
            })
        );
    }

    proptest! {
        #[test]
        fn every_payload_survives(payload in prop::collection::vec(any::<u8>(), 0..512), tail in 0usize..8) {
            let mut bytes = frame(FrameKind::Reply, &payload);
            bytes.resize(bytes.len() + tail, 0xee);
            let found = decode(&bytes).unwrap();
            prop_assert_eq!(found, Frame { kind: FrameKind::Reply, payload: &payload });
        }

        #[test]
        fn any_flipped_bit_is_noticed(payload in prop::collection::vec(any::<u8>(), 0..64), at in any::<prop::sample::Index>(), bit in 0..8) {
            let mut bytes = frame(FrameKind::Notice, &payload);
            let at = at.index(bytes.len());
            bytes[at] ^= 1u8 << bit;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn any_cut_is_noticed(payload in prop::collection::vec(any::<u8>(), 0..64), keep in any::<prop::sample::Index>()) {
            let bytes = frame(FrameKind::Hello, &payload);
            let cut = &bytes[..keep.index(bytes.len())];
            let truncated = matches!(decode(cut), Err(FrameError::Truncated { .. }));
            prop_assert!(truncated);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(&bytes);
        }
    }
}
