//! Kernel ops in frames: a header and postcard, in one buffer (contracts B3, F14). The data is [`spec`]'s.

use spec::kernel_op::{KernelOpReply, KernelOpRequest, MAX_REPLY};

use crate::frame::Frame;
use crate::message::{framed, payload};
use crate::{FrameKind, MessageError};

/// The longest request, in bytes, as postcard: what a call's buffer has room for.
pub const MAX_REQUEST: usize = MAX_REPLY;

/// A kernel op's message in a frame of its own.
pub trait KernelOpFrame: Sized {
    /// The message as a frame.
    ///
    /// # Errors
    /// [`MessageError::Payload`] for one that is longer than [`MAX_REQUEST`]: answer such a request by a reply without
    /// values.
    fn encode(&self) -> Result<Vec<u8>, MessageError>;

    /// The message in a checked frame.
    ///
    /// # Errors
    /// [`MessageError::WrongWay`] for a frame of another kind, [`MessageError::Payload`] for one that is too long or holds
    /// no such message.
    fn decode(frame: Frame<'_>) -> Result<Self, MessageError>;
}

macro_rules! framed_as {
    ($($message:ident),+) => {
        $(
            impl KernelOpFrame for $message {
                fn encode(&self) -> Result<Vec<u8>, MessageError> {
                    within(framed(FrameKind::$message, self)?, FrameKind::$message)
                }

                fn decode(frame: Frame<'_>) -> Result<$message, MessageError> {
                    expected(frame, FrameKind::$message)?;
                    payload(frame)
                }
            }
        )+
    };
}

framed_as!(KernelOpRequest, KernelOpReply);

fn expected(frame: Frame<'_>, kind: FrameKind) -> Result<(), MessageError> {
    if frame.kind != kind {
        return Err(MessageError::WrongWay { kind: frame.kind });
    }
    short_enough(frame.payload.len(), kind)
}

fn within(frame: Vec<u8>, kind: FrameKind) -> Result<Vec<u8>, MessageError> {
    short_enough(frame.len() - crate::frame::HEADER_LEN, kind)?;
    Ok(frame)
}

fn short_enough(len: usize, kind: FrameKind) -> Result<(), MessageError> {
    if len <= MAX_REPLY {
        return Ok(());
    }
    let reason = format!("its {len} bytes are more than {MAX_REPLY}; ask for less at once");
    Err(MessageError::Payload { kind, reason })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use spec::kernel_op::{Direction, KernelOp, Mode, OpValue, Target};

    use super::*;
    use crate::frame;

    fn request() -> KernelOpRequest {
        KernelOpRequest {
            request_id: 300,
            tag: "t".into(),
            direction: Direction::Write,
            mode: Mode::Cold,
            entries: vec![KernelOp {
                target: Target::Symbol {
                    name: "jiffies".into(),
                },
                value: OpValue::OrU32(0x80),
            }],
        }
    }

    fn reply(values: Vec<OpValue>) -> KernelOpReply {
        KernelOpReply {
            request_id: 7,
            success: true,
            reason: String::new(),
            read_values: values,
        }
    }

    /// B3: the header and the postcard bytes are one buffer, and nothing else is in it.
    #[test]
    fn a_replys_bytes_are_pinned() {
        let sent = reply(vec![OpValue::U32(300), OpValue::Bytes(vec![0xff])]);
        let bytes = sent.encode().unwrap();
        let postcard = [7, 1, 0, 2, 0, 0xac, 0x02, 2, 1, 0xff];
        assert_eq!(
            bytes[..8],
            [b'K', b'O', b'R', b'P', postcard.len() as u8, 0, 0, 0]
        );
        assert_eq!(bytes[16..], postcard);
        assert_eq!(KernelOpReply::decode(frame::decode(&bytes).unwrap()), Ok(sent));
    }

    /// B3: so are a request's.
    #[test]
    fn a_requests_bytes_are_pinned() {
        let bytes = request().encode().unwrap();
        let name = [&[7], &b"jiffies"[..]].concat();
        let postcard = [&[0xac, 0x02, 1, b't', 1, 0, 1, 0], &name[..], &[3, 0x80, 0x01]].concat();
        assert_eq!(bytes[..4], *b"KORQ");
        assert_eq!(bytes[16..], postcard);
        assert_eq!(
            KernelOpRequest::decode(frame::decode(&bytes).unwrap()),
            Ok(request())
        );
    }

    /// B3, F14: a reply of 1 MiB travels; one byte more does not, and is not taken by the guest.
    #[test]
    fn a_reply_is_at_most_a_mebibyte() {
        // One byte each of id, success, reason, count and variant; three of the length.
        let most = MAX_REPLY - 8;
        let bytes = reply(vec![OpValue::Bytes(vec![1; most])]).encode().unwrap();
        assert_eq!(bytes.len(), 16 + (1 << 20));
        assert!(KernelOpReply::decode(frame::decode(&bytes).unwrap()).is_ok());
        let refused = reply(vec![OpValue::Bytes(vec![1; most + 1])])
            .encode()
            .unwrap_err();
        assert!(refused.to_string().contains("1048577"), "{refused}");

        let mut payload = bytes[16..].to_vec();
        payload.push(0);
        let mut long = Vec::new();
        frame::encode(FrameKind::KernelOpReply, &payload, &mut long).unwrap();
        let refused = KernelOpReply::decode(frame::decode(&long).unwrap()).unwrap_err();
        assert!(refused.to_string().contains("1048577"), "{refused}");
    }

    /// B3: what is left over, cut off, or of another kind is no reply.
    #[test]
    fn what_is_no_reply_is_refused() {
        let bytes = reply(vec![OpValue::U64(1)]).encode().unwrap();
        let whole = frame::decode(&bytes).unwrap();
        let with = |payload: &[u8]| {
            KernelOpReply::decode(Frame {
                kind: whole.kind,
                payload,
            })
        };
        assert!(with(whole.payload).is_ok());
        assert!(with(&[whole.payload, &[0]].concat()).is_err());
        assert!(with(&whole.payload[1..]).is_err());
        assert_eq!(
            KernelOpRequest::decode(whole),
            Err(MessageError::WrongWay {
                kind: FrameKind::KernelOpReply
            })
        );
    }

    proptest! {
        /// B3: no payload panics.
        #[test]
        fn no_payload_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let kind = FrameKind::KernelOpRequest;
            let _ = KernelOpRequest::decode(Frame { kind, payload: &bytes });
            let kind = FrameKind::KernelOpReply;
            let _ = KernelOpReply::decode(Frame { kind, payload: &bytes });
        }
    }
}
