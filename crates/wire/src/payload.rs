//! Payloads of fixed layout, little-endian: what they share.

use crate::FrameKind;

/// A payload that is not as long as its kind demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payload of a {kind:?} frame has {need} bytes, not {len}")]
pub struct PayloadLength {
    /// The frame's kind.
    pub kind: FrameKind,
    /// Bytes there are.
    pub len: usize,
    /// Bytes there should be.
    pub need: usize,
}

/// The payload as so many bytes.
pub(crate) fn exact<const N: usize>(kind: FrameKind, payload: &[u8]) -> Result<&[u8; N], PayloadLength> {
    payload.try_into().map_err(|_| PayloadLength {
        kind,
        len: payload.len(),
        need: N,
    })
}

/// Reads the fields of a payload, one behind the other. Behind the end all fields are zero.
pub(crate) struct Fields<'b>(pub(crate) &'b [u8]);

impl Fields<'_> {
    pub(crate) fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    pub(crate) fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub(crate) fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((field, rest)) => {
                self.0 = rest;
                *field
            }
            None => [0; N],
        }
    }
}
