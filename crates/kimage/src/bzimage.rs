//! The x86 boot image: a real-mode setup part, then a decompressor with the kernel inside it.
//!
//! ```text
//!  0        0x1f1           0x264        (setup_sects+1)*512     + payload_offset
//!  ┌────────┬───────────────┬─────┬──────┬────────────────────────┬───────────────────┬──────────────┐
//!  │ legacy │ setup header  │ …   │ kernel_version "6.12.1 (…)"   │ payload, payload_length bytes    │
//!  │ boot   │ HdrS, version │     │ somewhere in the setup part   │ compressed ELF │ its size, u32   │
//!  └────────┴───────────────┴─────┴──────┴────────────────────────┴───────────────────┴──────────────┘
//! ```
//!
//! Mirrors `struct setup_header` (arch/x86/include/uapi/asm/bootparam.h) and Documentation/arch/x86/boot.rst. The
//! build appends the uncompressed size to every payload but gzip's, which ends in its own (`size_append` in
//! scripts/Makefile.lib).

use std::ops::Range;

use crate::bytes::{has, u16_at, u32_at};

/// The setup header's facts about the kernel inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupHeader {
    /// Boot protocol version, major in the high byte: 0x20f is 2.15.
    pub protocol: u16,
    /// The payload's range in the file, in bytes; checked to be inside the file.
    pub payload: Range<usize>,
    /// The kernel release, when the header points at its version text.
    pub release: Option<String>,
    /// Whether the kernel has a 64-bit entry point (`XLF_KERNEL_64`).
    pub is_64_bit: bool,
}

/// Why a boot image cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// No `HdrS` at 0x202.
    #[error("no x86 setup header")]
    NoMagic,
    /// The boot protocol is older than the payload fields.
    #[error("boot protocol {}.{:02} is older than 2.08 and does not locate the kernel", .version >> 8, .version & 0xff)]
    OldProtocol {
        /// Version found in the header.
        version: u16,
    },
    /// The header's payload fields are zero.
    #[error("the setup header names no payload")]
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

/// The first protocol version with `payload_offset` and `payload_length` (Linux 2.6.26).
const PROTOCOL_WITH_PAYLOAD: u16 = 0x208;
/// The first protocol version with `xloadflags` (Linux 3.8).
const PROTOCOL_WITH_XLOADFLAGS: u16 = 0x20c;
/// `XLF_KERNEL_64` in `xloadflags`.
const XLF_KERNEL_64: u16 = 1;
/// Bytes of a sector, the unit of `setup_sects`.
const SECTOR: u64 = 512;
/// `setup_sects` of 0 means 4, for images of old boot loaders.
const DEFAULT_SETUP_SECTS: u8 = 4;

impl SetupHeader {
    /// Reads the setup header of the boot image in `file`.
    ///
    /// # Errors
    /// [`SetupError`] when there is no setup header, or its payload is not inside the file.
    pub fn parse(file: &[u8]) -> Result<SetupHeader, SetupError> {
        let truncated = |need: u64| SetupError::Truncated {
            have: file.len(),
            need,
        };
        if !has(file, 0x202, b"HdrS") {
            return Err(SetupError::NoMagic);
        }
        let protocol = u16_at(file, 0x206).ok_or(truncated(0x208))?;
        if protocol < PROTOCOL_WITH_PAYLOAD {
            return Err(SetupError::OldProtocol { version: protocol });
        }
        let (Some(offset), Some(length)) = (u32_at(file, 0x248), u32_at(file, 0x24c)) else {
            return Err(truncated(0x250));
        };
        if length == 0 {
            return Err(SetupError::NoPayload);
        }
        let setup_sects = match file[0x1f1] {
            0 => DEFAULT_SETUP_SECTS,
            sects => sects,
        };
        // Three terms of at most 32 bits each: no overflow in 64.
        let start = (u64::from(setup_sects) + 1) * SECTOR + u64::from(offset);
        let end = start + u64::from(length);
        if end > file.len() as u64 {
            return Err(truncated(end));
        }
        let xloadflags = u16_at(file, 0x236).unwrap_or(0);
        Ok(SetupHeader {
            protocol,
            payload: start as usize..end as usize,
            release: release(file),
            is_64_bit: protocol < PROTOCOL_WITH_XLOADFLAGS || xloadflags & XLF_KERNEL_64 != 0,
        })
    }
}

/// The first word of the text at `kernel_version` + 0x200.
fn release(file: &[u8]) -> Option<String> {
    /// The longest release, in bytes: `__NEW_UTS_LEN` + 1, its size in `struct utsname`.
    const MAX_RELEASE: usize = 65;
    let offset = u16_at(file, 0x20e).filter(|offset| *offset != 0)?;
    let text = file.get(usize::from(offset) + 0x200..)?;
    let text = &text[..text.len().min(MAX_RELEASE)];
    let end = text.iter().position(|byte| *byte == b' ' || *byte == 0)?;
    let word = text
        .get(..end)
        .filter(|word| !word.is_empty() && word.iter().all(u8::is_ascii_graphic))?;
    Some(String::from_utf8_lossy(word).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const PAYLOAD: &[u8] = b"the payload";

    fn image() -> Vec<u8> {
        testing::bzimage(PAYLOAD, "6.12.1-test")
    }

    #[test]
    fn finds_payload_and_release() {
        let file = image();
        let header = SetupHeader::parse(&file).unwrap();
        assert_eq!(&file[header.payload], PAYLOAD);
        assert_eq!(header.release.as_deref(), Some("6.12.1-test"));
        assert_eq!((header.protocol, header.is_64_bit), (0x20f, true));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let file = image();
        for len in 0..file.len() {
            assert!(
                SetupHeader::parse(&file[..len]).is_err(),
                "{len} of {} bytes",
                file.len()
            );
        }
        assert_eq!(
            SetupHeader::parse(&file[..file.len() - 1]),
            Err(SetupError::Truncated {
                have: file.len() - 1,
                need: file.len() as u64
            })
        );
    }

    #[test]
    fn says_what_is_missing() {
        let check = |offset: usize, bytes: &[u8], expected: SetupError| {
            let mut file = image();
            file[offset..][..bytes.len()].copy_from_slice(bytes);
            assert_eq!(SetupHeader::parse(&file), Err(expected));
        };
        check(0x202, b"hdrs", SetupError::NoMagic);
        check(0x206, &[0x07, 0x02], SetupError::OldProtocol { version: 0x207 });
        check(0x24c, &[0; 4], SetupError::NoPayload);
        let need = SECTOR * 5 + 0xffff_ffff + PAYLOAD.len() as u64;
        let have = image().len();
        check(
            0x1f1,
            &[0],
            SetupError::Truncated {
                have,
                need: need - 0xffff_ffff,
            },
        );
        check(
            0x248,
            &[0xff; 4],
            SetupError::Truncated {
                have,
                need: need - SECTOR * 3,
            },
        );
    }

    #[test]
    fn a_wild_version_pointer_costs_only_the_release() {
        let mut file = image();
        file[0x20e..0x210].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(SetupHeader::parse(&file).unwrap().release, None);
    }
}
