//! The barrier before a guest goes: its answer says that all has arrived (contract B13).

use crate::frame::{FrameError, HEADER_LEN};
use crate::{FrameKind, frame};

/// The answer to a barrier as a whole frame: a header, and no payload.
///
/// # Errors
/// None in fact: the payload is empty.
pub fn acknowledged() -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::with_capacity(HEADER_LEN);
    frame::encode(FrameKind::TeardownAck, &[], &mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B13: 16 bytes, length 0, the CRC of nothing.
    #[test]
    fn a_barriers_answer_is_a_header_alone() {
        let bytes = acknowledged().unwrap();
        assert_eq!(bytes.len(), 16);
        assert_eq!(bytes[..12], [b'T', b'D', b'A', b'K', 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[8..12], crc32fast::hash(&[]).to_le_bytes());
        assert_eq!(bytes[12..], crc32fast::hash(&bytes[..12]).to_le_bytes());
        assert_eq!(frame::decode(&bytes).unwrap().kind, FrameKind::TeardownAck);
    }
}
