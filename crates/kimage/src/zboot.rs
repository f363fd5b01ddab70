//! The EFI boot image of arm64 and others (`CONFIG_EFI_ZBOOT`): a small EFI program with the packed kernel inside it.
//!
//! ```text
//!  0    4      8                12             24              56          payload offset
//!  ┌────┬──────┬────────────────┬──────────────┬───────────────┬───────────┬────────────┬────────────────────┐
//!  │ MZ │ zimg │ payload offset │ payload size │ "zstd", "gzip"│ PE header │ packed     │ its size, u32,     │
//!  │    │      │ u32            │ u32          │ …             │ and code  │ kernel     │ unless gzip's own  │
//!  └────┴──────┴────────────────┴──────────────┴───────────────┴───────────┴────────────┴────────────────────┘
//! ```
//!
//! Mirrors drivers/firmware/efi/libstub/zboot-header.S. The compression is detected by the payload's own magic
//! number; its name is ignored.

use std::ops::Range;

use crate::bytes::{has, u32_at};

/// The header's facts about the kernel inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZbootHeader {
    /// The packed kernel's range in the file, in bytes; checked to be inside the file.
    pub(crate) payload: Range<usize>,
}

/// Why an EFI image cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZbootError {
    /// No `zimg` at 4.
    #[error("no zimg header")]
    NoMagic,
    /// The header names no payload.
    #[error("its header names no payload")]
    NoPayload,
    /// The file is shorter than its header requires.
    #[error("truncated after {have} bytes, its header needs {need}: fetch the file again")]
    Truncated {
        /// Length of the file, in bytes.
        have: usize,
        /// Length required by the header, in bytes.
        need: u64,
    },
}

impl ZbootHeader {
    /// Reads the header of the EFI image in `file`.
    pub(crate) fn parse(file: &[u8]) -> Result<ZbootHeader, ZbootError> {
        /// Length of the header up to and including the payload's size, in bytes.
        const FIELDS: u64 = 16;
        if !has(file, 4, b"zimg") {
            return Err(ZbootError::NoMagic);
        }
        let truncated = |need| ZbootError::Truncated {
            have: file.len(),
            need,
        };
        let field = |offset| {
            u32_at(file, offset)
                .map(u64::from)
                .ok_or_else(|| truncated(FIELDS))
        };
        let (start, size) = (field(8)?, field(12)?);
        if start == 0 || size == 0 {
            return Err(ZbootError::NoPayload);
        }
        let need = start + size;
        match usize::try_from(need) {
            Ok(end) if end <= file.len() => Ok(ZbootHeader {
                payload: start as usize..end,
            }),
            _ => Err(truncated(need)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn finds_the_payload() {
        let file = testing::zboot(b"the payload", "zstd");
        let header = ZbootHeader::parse(&file).unwrap();
        assert_eq!(&file[header.payload], b"the payload");
    }

    #[test]
    fn says_what_is_missing() {
        let file = testing::zboot(b"the payload", "zstd");
        for len in 0..file.len() {
            let error = ZbootHeader::parse(&file[..len]).unwrap_err();
            assert_eq!(error == ZbootError::NoMagic, len < 8, "{len}: {error}");
        }
        let with = |offset: usize, value: u32| {
            let mut file = file.clone();
            file[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
            ZbootHeader::parse(&file)
        };
        assert_eq!(with(8, 0), Err(ZbootError::NoPayload));
        assert_eq!(with(12, 0), Err(ZbootError::NoPayload));
        let (have, need) = (file.len(), u64::from(u32::MAX) + 11);
        assert_eq!(with(8, u32::MAX), Err(ZbootError::Truncated { have, need }));
    }
}
