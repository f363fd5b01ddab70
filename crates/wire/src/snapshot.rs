//! A program's request for a snapshot or a watch, and the reply (contracts B2, B4).
//!
//! ```text
//! request    id u32 │ kind u32 │ tag, 64 bytes                         72 bytes
//! reply      id u32 │ status u32 │ reason, 512 bytes                  520 bytes
//! ```
//!
//! Texts are filled up with NULs. A reason always ends with one: what does not fit is cut, between two characters. A tag
//! may fill its field, and is never cut: cut it could be another's.

use crate::payload::{Fields, PayloadLength, exact};
use crate::{FrameError, FrameKind, frame, text};

/// Bytes of a tag's field, and the longest tag.
pub const TAG_LEN: usize = 64;

/// Bytes of a reason's field; a reason has one less.
pub const REASON_LEN: usize = 512;

/// A program's request for a snapshot or a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// The program's own number, never 0; the reply repeats it.
    pub request_id: u32,
    /// A snapshot now, or a watch.
    pub kind: SnapshotKind,
    /// The snapshot's tag, or the path of the number that is watched.
    pub tag: String,
}

/// When the snapshot is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SnapshotKind {
    /// Now.
    Capture = 1,
    /// At every store of the kernel to the number at the path that the tag holds.
    Watch = 2,
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotReply {
    /// The request's.
    pub request_id: u32,
    /// Done, or the reason why not.
    pub outcome: Result<(), String>,
}

/// A payload that is no snapshot request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotRequestError {
    /// It has another length.
    #[error(transparent)]
    Length(#[from] PayloadLength),
    /// Its number is 0, which means none.
    #[error("the number of a snapshot request is 0; count from 1")]
    NoId,
    /// There is no such kind.
    #[error("a snapshot request has kind 1 (capture) or 2 (watch), not {kind}")]
    Kind {
        /// What it says.
        kind: u32,
    },
}

/// A payload that is no snapshot reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotReplyError {
    /// It has another length.
    #[error(transparent)]
    Length(#[from] PayloadLength),
    /// There is no such status.
    #[error("a snapshot reply has status 1 (done) or 2 (failed), not {status}")]
    Status {
        /// What it says.
        status: u32,
    },
}

/// A tag that does not fit a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotTagError {
    /// It is too long.
    #[error("the tag `{tag}` has {} bytes; {TAG_LEN} are the most", tag.len())]
    TooLong {
        /// The tag.
        tag: String,
    },
    /// It would end there.
    #[error("the tag {tag:?} has a NUL in it")]
    Nul {
        /// The tag.
        tag: String,
    },
}

const DONE: u32 = 1;
const FAILED: u32 = 2;

impl SnapshotRequest {
    /// Bytes of the payload.
    pub const LEN: usize = 8 + TAG_LEN;

    /// As a payload.
    ///
    /// # Errors
    /// [`SnapshotTagError`] for a tag that is longer than its field, or that ends before its end.
    pub fn encode(&self) -> Result<[u8; SnapshotRequest::LEN], SnapshotTagError> {
        let tag = self.tag.as_bytes();
        if tag.contains(&0) {
            return Err(SnapshotTagError::Nul {
                tag: self.tag.clone(),
            });
        }
        let mut bytes = [0; SnapshotRequest::LEN];
        bytes[0..4].copy_from_slice(&self.request_id.to_le_bytes());
        bytes[4..8].copy_from_slice(&(self.kind as u32).to_le_bytes());
        let field = bytes[8..].get_mut(..tag.len());
        field
            .ok_or_else(|| SnapshotTagError::TooLong {
                tag: self.tag.clone(),
            })?
            .copy_from_slice(tag);
        Ok(bytes)
    }

    /// From a payload. A tag that is not UTF-8 is replaced where it is not.
    ///
    /// # Errors
    /// [`SnapshotRequestError`] for another length, the number 0, or a kind that there is not.
    pub fn decode(payload: &[u8]) -> Result<SnapshotRequest, SnapshotRequestError> {
        let payload = exact::<{ SnapshotRequest::LEN }>(FrameKind::SnapshotRequest, payload)?;
        let mut fields = Fields(payload);
        let (request_id, kind) = (fields.u32(), fields.u32());
        if request_id == 0 {
            return Err(SnapshotRequestError::NoId);
        }
        Ok(SnapshotRequest {
            request_id,
            kind: match kind {
                1 => SnapshotKind::Capture,
                2 => SnapshotKind::Watch,
                _ => return Err(SnapshotRequestError::Kind { kind }),
            },
            tag: text::of_field(&payload[8..]),
        })
    }
}

impl SnapshotReply {
    /// Bytes of the payload.
    pub const LEN: usize = 8 + REASON_LEN;

    /// As a payload.
    pub fn encode(&self) -> [u8; SnapshotReply::LEN] {
        let (status, reason) = match &self.outcome {
            Ok(()) => (DONE, ""),
            Err(reason) => (FAILED, reason.as_str()),
        };
        // A reader stops at the first NUL, and would lose the rest.
        let reason = reason.replace('\0', "\u{fffd}");
        let reason = text::cut(&reason, REASON_LEN - 1).as_bytes();
        let mut bytes = [0; SnapshotReply::LEN];
        bytes[0..4].copy_from_slice(&self.request_id.to_le_bytes());
        bytes[4..8].copy_from_slice(&status.to_le_bytes());
        bytes[8..8 + reason.len()].copy_from_slice(reason);
        bytes
    }

    /// As a whole frame, in one buffer.
    ///
    /// # Errors
    /// None in fact: the payload is short enough for every frame.
    pub fn frame(&self) -> Result<Vec<u8>, FrameError> {
        let mut bytes = Vec::with_capacity(frame::HEADER_LEN + SnapshotReply::LEN);
        frame::encode(FrameKind::SnapshotReply, &self.encode(), &mut bytes)?;
        Ok(bytes)
    }

    /// From a payload.
    ///
    /// # Errors
    /// [`SnapshotReplyError`] for another length, or a status that there is not.
    pub fn decode(payload: &[u8]) -> Result<SnapshotReply, SnapshotReplyError> {
        let payload = exact::<{ SnapshotReply::LEN }>(FrameKind::SnapshotReply, payload)?;
        let mut fields = Fields(payload);
        let (request_id, status) = (fields.u32(), fields.u32());
        let outcome = match status {
            DONE => Ok(()),
            FAILED => Err(text::of_field(&payload[8..])),
            _ => return Err(SnapshotReplyError::Status { status }),
        };
        Ok(SnapshotReply { request_id, outcome })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(id: u32, kind: u32, tag: &[u8]) -> Vec<u8> {
        let mut bytes = [id.to_le_bytes(), kind.to_le_bytes()].concat();
        bytes.extend(tag);
        bytes.resize(72, 0);
        bytes
    }

    fn failed(reason: &str) -> SnapshotReply {
        SnapshotReply {
            request_id: 7,
            outcome: Err(reason.to_owned()),
        }
    }

    /// B4: 72 bytes: id, kind, tag.
    #[test]
    fn a_requests_bytes_are_pinned() {
        for (number, kind) in [(1, SnapshotKind::Capture), (2, SnapshotKind::Watch)] {
            let asked = SnapshotRequest {
                request_id: 0x0403_0201,
                kind,
                tag: "before".into(),
            };
            let bytes = request(0x0403_0201, number, b"before");
            assert_eq!(asked.encode().unwrap()[..], bytes);
            assert_eq!(
                bytes[..14],
                [
                    1,
                    2,
                    3,
                    4,
                    number as u8,
                    0,
                    0,
                    0,
                    b'b',
                    b'e',
                    b'f',
                    b'o',
                    b'r',
                    b'e'
                ]
            );
            assert_eq!(SnapshotRequest::decode(&bytes), Ok(asked));
        }
    }

    /// B4: another length, id 0 or a kind that there is not is none.
    #[test]
    fn what_is_no_request_is_told_by_its_reason() {
        for len in [0, 71, 73, 144] {
            let mut bytes = request(1, 1, b"tag");
            bytes.resize(len, 0);
            let found = SnapshotRequest::decode(&bytes);
            assert!(matches!(found, Err(SnapshotRequestError::Length(_))), "{len}");
        }
        assert_eq!(
            SnapshotRequest::decode(&request(0, 1, b"tag")),
            Err(SnapshotRequestError::NoId)
        );
        for kind in [0, 3, u32::MAX] {
            let found = SnapshotRequest::decode(&request(1, kind, b"tag"));
            assert_eq!(found, Err(SnapshotRequestError::Kind { kind }));
        }
    }

    /// B4: a tag ends at its first NUL, or has 64 bytes; what is not UTF-8 is replaced.
    #[test]
    fn a_tag_ends_at_its_first_nul() {
        let check = |field: &[u8], tag: &str| {
            assert_eq!(SnapshotRequest::decode(&request(1, 2, field)).unwrap().tag, tag);
        };
        check(b"ab\0cd", "ab");
        check(b"", "");
        check(&[b'x'; 64], &"x".repeat(64));
        check(b"a\xffb", "a\u{fffd}b");
        check(&[0xff; 64], &"\u{fffd}".repeat(64));
    }

    /// B4: a tag that would be cut is not sent.
    #[test]
    fn a_tag_that_does_not_fit_is_refused() {
        let encoded = |tag: String| {
            let (request_id, kind) = (1, SnapshotKind::Capture);
            SnapshotRequest {
                request_id,
                kind,
                tag,
            }
            .encode()
        };
        assert!(encoded("x".repeat(64)).is_ok());
        assert!(matches!(
            encoded("x".repeat(65)),
            Err(SnapshotTagError::TooLong { .. })
        ));
        assert!(matches!(
            encoded("a\0b".into()),
            Err(SnapshotTagError::Nul { .. })
        ));
    }

    /// B2: 520 bytes: id, status, reason; 536 with the header, in one buffer.
    #[test]
    fn a_replys_bytes_are_pinned() {
        let frame = failed("no").frame().unwrap();
        assert_eq!(frame.len(), 536);
        assert_eq!(frame[..8], [b'S', b'N', b'R', b'P', 8, 2, 0, 0]);
        assert_eq!(frame[16..27], [7, 0, 0, 0, 2, 0, 0, 0, b'n', b'o', 0]);
        assert!(frame[27..].iter().all(|byte| *byte == 0));
        let done = SnapshotReply {
            request_id: 7,
            outcome: Ok(()),
        };
        let payload = done.encode();
        assert_eq!(payload[..8], [7, 0, 0, 0, 1, 0, 0, 0]);
        assert!(payload[8..].iter().all(|byte| *byte == 0));
        for reply in [done, failed("no")] {
            let frame = reply.frame().unwrap();
            let frame = frame::decode(&frame).unwrap();
            assert_eq!(frame.kind, FrameKind::SnapshotReply);
            assert_eq!(SnapshotReply::decode(frame.payload), Ok(reply));
        }
    }

    /// B2: a reason of any length ends with a NUL, and no character of it is cut apart.
    #[test]
    fn a_long_reason_is_cut_between_characters_and_ends() {
        let check = |reason: &str, expect: &str| {
            let payload = failed(reason).encode();
            assert_eq!(payload.last(), Some(&0));
            assert_eq!(SnapshotReply::decode(&payload), Ok(failed(expect)));
        };
        check(&"x".repeat(511), &"x".repeat(511));
        check(&"x".repeat(512), &"x".repeat(511));
        check(&"é".repeat(256), &"é".repeat(255));
        check(&"🦀".repeat(200), &"🦀".repeat(127));
        check("a\0b", "a\u{fffd}b");
    }

    /// B2: status 1 or 2, and 520 bytes.
    #[test]
    fn what_is_no_reply_is_refused() {
        let mut payload = failed("no").encode();
        for status in [0, 3] {
            payload[4] = status;
            let status = u32::from(status);
            assert_eq!(
                SnapshotReply::decode(&payload),
                Err(SnapshotReplyError::Status { status })
            );
        }
        assert!(matches!(
            SnapshotReply::decode(&payload[1..]),
            Err(SnapshotReplyError::Length(_))
        ));
    }

    proptest! {
        /// B2: every reason, whatever it says.
        #[test]
        fn every_reason_ends_and_is_text(reason in "\\PC{0,600}") {
            let payload = failed(&reason).encode();
            prop_assert_eq!(payload[519], 0);
            let text = payload[8..].split(|byte| *byte == 0).next().unwrap();
            prop_assert!(reason.starts_with(std::str::from_utf8(text).unwrap()));
        }

        /// B4: no bytes panic, and what is understood says the same after another trip.
        #[test]
        fn no_request_panics(bytes in prop::collection::vec(any::<u8>(), 60..80), id in 0u32..3, kind in 0u32..4) {
            let _ = SnapshotRequest::decode(&bytes);
            let _ = SnapshotRequest::decode(&request(id, kind, &bytes));
            let mut bytes = request(id, kind, &bytes[..60]);
            bytes.truncate(72);
            if let Ok(found) = SnapshotRequest::decode(&bytes) && let Ok(again) = found.encode() {
                prop_assert_eq!(SnapshotRequest::decode(&again), Ok(found));
            }
        }
    }
}
