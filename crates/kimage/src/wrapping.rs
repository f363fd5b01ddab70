//! Unwrapping: the kernel inside of a boot image or a compressed file.

use std::borrow::Cow;

use crate::bzimage::SetupHeader;
use crate::format::{self, Arch, Architecture, Format};
use crate::image::ImageError;
use crate::unpack::Compression;
use crate::zboot::ZbootHeader;

/// An unwrapped kernel.
pub(crate) struct Unwrapped {
    pub(crate) bytes: Vec<u8>,
    pub(crate) form: Form,
}

/// The layout of an unwrapped kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// An ELF file, whose headers locate its parts.
    Elf(Arch),
    /// A flat image: the bytes of an arm64 kernel as they are in memory, without headers.
    Flat,
}

/// Unwraps a kernel of at most `limit` bytes.
pub(crate) fn unwrap(bytes: Cow<'_, [u8]>, limit: usize) -> Result<Unwrapped, ImageError> {
    match format::detect(&bytes) {
        Format::BzImage => payload_of_bzimage(&bytes, limit),
        Format::Zboot => payload_of_zboot(&bytes, limit),
        Format::Compressed(compression) => {
            let unpacked = compression
                .unpack(&bytes, 0, limit)
                .map_err(|e| ImageError::unpack(compression, e))?;
            expect_kernel(unpacked)
        }
        Format::Elf(_) | Format::Arm64Image if bytes.len() > limit => Err(ImageError::TooBig { limit }),
        Format::Elf(_) | Format::Arm64Image => expect_kernel(bytes.into_owned()),
        Format::Foreign(found) => Err(ImageError::WrongArchitecture { found }),
        Format::Unknown => Err(ImageError::NotAKernel {
            start: start_of(&bytes),
        }),
    }
}

/// Unpacks the payload of an x86 boot image. Its last four bytes are the unpacked size: appended by the build, or
/// part of the gzip format.
fn payload_of_bzimage(file: &[u8], limit: usize) -> Result<Unwrapped, ImageError> {
    let header = SetupHeader::parse(file)?;
    if !header.is_64_bit {
        return Err(ImageError::WrongArchitecture {
            found: Architecture::I386,
        });
    }
    let payload = file.get(header.payload).unwrap_or_default();
    let Some(compression) = Compression::of(payload) else {
        return match format::detect(payload) {
            Format::Elf(_) if payload.len() <= limit => expect_kernel(payload.to_vec()),
            _ => Err(ImageError::UnknownCompression {
                start: start_of(payload),
            }),
        };
    };
    let (body, size) = payload.split_last_chunk::<4>().unwrap_or((payload, &[0; 4]));
    let packed = if compression == Compression::Gzip {
        payload
    } else {
        body
    };
    unpack_promised(compression, packed, u32::from_le_bytes(*size), limit)
}

/// Unpacks the payload of an EFI image. The unpacked size follows the payload; with gzip, whose format ends in
/// it, it is the payload's last four bytes.
fn payload_of_zboot(file: &[u8], limit: usize) -> Result<Unwrapped, ImageError> {
    let header = ZbootHeader::parse(file)?;
    let payload = file.get(header.payload.clone()).unwrap_or_default();
    let Some(compression) = Compression::of(payload) else {
        return Err(ImageError::UnknownCompression {
            start: start_of(payload),
        });
    };
    let size = if compression == Compression::Gzip {
        payload.last_chunk::<4>()
    } else {
        file.get(header.payload.end..)
            .and_then(|after| after.first_chunk())
    };
    let expected = u32::from_le_bytes(*size.unwrap_or(&[0; 4]));
    unpack_promised(compression, payload, expected, limit)
}

fn unpack_promised(
    compression: Compression,
    packed: &[u8],
    expected: u32,
    limit: usize,
) -> Result<Unwrapped, ImageError> {
    let unpacked = compression
        .unpack(packed, expected as usize, limit)
        .map_err(|e| ImageError::unpack(compression, e))?;
    if unpacked.len() != expected as usize {
        return Err(ImageError::WrongSize {
            compression,
            unpacked: unpacked.len(),
            expected,
        });
    }
    expect_kernel(unpacked)
}

fn expect_kernel(unpacked: Vec<u8>) -> Result<Unwrapped, ImageError> {
    let form = match format::detect(&unpacked) {
        Format::Elf(arch) => Form::Elf(arch),
        Format::Arm64Image => Form::Flat,
        Format::Foreign(found) => return Err(ImageError::WrongArchitecture { found }),
        _ => {
            return Err(ImageError::NotElf {
                start: start_of(&unpacked),
            });
        }
    };
    Ok(Unwrapped {
        bytes: unpacked,
        form,
    })
}

/// The first bytes for a message, printable.
fn start_of(bytes: &[u8]) -> String {
    const SHOWN: usize = 8;
    match bytes {
        [] => "nothing".to_owned(),
        _ => format!("'{}'", bytes[..bytes.len().min(SHOWN)].escape_ascii()),
    }
}
