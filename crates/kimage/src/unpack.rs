//! Decompression of kernels, with a bound on what comes out.
//!
//! One function per format, each over a maintained pure Rust decoder. The bound is needed because a few hundred
//! bytes can unpack to terabytes. Checksums are verified where the format carries one.

use std::fmt;
use std::io::{self, Read};

use flate2::read::GzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

use crate::bytes::{has, u32_at};

/// The largest kernel, in bytes, that is unpacked unless a caller says otherwise: distributions' are 50 to 130 MB,
/// debug builds with sanitizers some 300.
pub const MAX_UNPACKED: usize = 512 << 20;

/// The largest window or dictionary, in bytes, that a decoder may hold: kernels are packed with `zstd -22 --ultra`
/// and `xz --lzma2=dict=128MiB`.
const MAX_WINDOW: usize = 128 << 20;

/// A compression of kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// `CONFIG_KERNEL_ZSTD`.
    Zstd,
    /// `CONFIG_KERNEL_XZ`, with its x86 branch filter.
    Xz,
    /// `CONFIG_KERNEL_GZIP`.
    Gzip,
    /// `CONFIG_KERNEL_LZ4`: the legacy frame of `lz4 -l`.
    Lz4,
    /// `CONFIG_KERNEL_BZIP2`; recognised, not unpacked.
    Bzip2,
    /// `CONFIG_KERNEL_LZMA`; recognised, not unpacked.
    Lzma,
    /// `CONFIG_KERNEL_LZO`; recognised, not unpacked.
    Lzo,
}

/// Why data could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnpackError {
    /// The data unpacks to more than the caller allows.
    #[error("unpacks to more than {limit} bytes")]
    TooBig { limit: usize },
    /// The compression has no decoder here; no distribution uses it for kernels any more.
    #[error("{0} is not supported")]
    Unsupported(Compression),
    /// The decoder refused the data.
    #[error("{0}")]
    Corrupt(#[from] io::Error),
}

impl Compression {
    /// Detects the compression of `bytes` by its magic number.
    pub fn of(bytes: &[u8]) -> Option<Compression> {
        const MAGICS: [(&[u8], Compression); 7] = [
            (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
            (b"\xfd7zXZ\0", Compression::Xz),
            (&[0x1f, 0x8b], Compression::Gzip),
            (&LZ4_LEGACY_MAGIC.to_le_bytes(), Compression::Lz4),
            (b"BZh", Compression::Bzip2),
            (&[0x5d, 0, 0], Compression::Lzma),
            (&[0x89, b'L', b'Z', b'O'], Compression::Lzo),
        ];
        MAGICS
            .iter()
            .find(|(magic, _)| has(bytes, 0, magic))
            .map(|(_, compression)| *compression)
    }

    /// Unpacks `packed` to at most `limit` bytes and ignores trailing data; `expected` is a hint of the size.
    pub(crate) fn unpack(self, packed: &[u8], expected: usize, limit: usize) -> Result<Vec<u8>, UnpackError> {
        let window = MAX_WINDOW.min(limit);
        // The hint is a claim too, so it is bounded, although unwritten memory costs nothing.
        let out = Vec::with_capacity(expected.min(limit).min(packed.len().saturating_mul(16)));
        match self {
            Compression::Zstd => zstd(packed, out, window, limit),
            Compression::Xz => {
                /// The memory that the decoder needs beside its dictionary, in bytes.
                const OVERHEAD_KIB: usize = 1024;
                let memory_kib = (window >> 10) + OVERHEAD_KIB;
                read_within(
                    &mut XzReader::new_mem_limit(packed, false, memory_kib as u32),
                    out,
                    limit,
                )
            }
            Compression::Gzip => read_within(&mut GzDecoder::new(packed), out, limit),
            Compression::Lz4 => lz4_legacy(packed, out, limit),
            Compression::Bzip2 | Compression::Lzma | Compression::Lzo => Err(UnpackError::Unsupported(self)),
        }
    }

    /// The file ending of the format, for messages.
    fn name(self) -> &'static str {
        match self {
            Compression::Zstd => "zstd",
            Compression::Xz => "xz",
            Compression::Gzip => "gzip",
            Compression::Lz4 => "lz4",
            Compression::Bzip2 => "bzip2",
            Compression::Lzma => "lzma",
            Compression::Lzo => "lzo",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Unpacks one zstd frame. The decoder computes the checksum; the comparison is done here.
fn zstd(packed: &[u8], out: Vec<u8>, window: usize, limit: usize) -> Result<Vec<u8>, UnpackError> {
    let mut decoder =
        StreamingDecoder::new_with_max_window_size(packed, window as u64).map_err(io::Error::other)?;
    let out = read_within(&mut decoder, out, limit)?;
    let frame = decoder.into_frame_decoder();
    match (frame.get_checksum_from_data(), frame.get_calculated_checksum()) {
        (Some(stored), Some(computed)) if stored != computed => Err(invalid(format!(
            "checksum is {computed:#010x}, not {stored:#010x}"
        ))),
        _ => Ok(out),
    }
}

/// The magic number of the legacy frame, little-endian (`ARCHIVE_MAGICNUMBER` in lib/decompress_unlz4.c).
const LZ4_LEGACY_MAGIC: u32 = 0x184c_2102;

/// The legacy frame: a magic number, then blocks of a u32 length and that many bytes, to the end of the input. The
/// magic number may occur again where a length is expected, as it does in concatenated files.
fn lz4_legacy(packed: &[u8], mut out: Vec<u8>, limit: usize) -> Result<Vec<u8>, UnpackError> {
    /// The largest unpacked block, in bytes (`LZ4_DEFAULT_UNCOMPRESSED_CHUNK_SIZE`).
    const BLOCK: usize = 8 << 20;
    let mut block = Vec::new();
    let mut at = 0;
    while at < packed.len() {
        let length =
            u32_at(packed, at).ok_or_else(|| invalid("the last block's length is truncated".into()))?;
        at += 4;
        if length == LZ4_LEGACY_MAGIC {
            continue;
        }
        let body = at
            .checked_add(length as usize)
            .and_then(|end| packed.get(at..end));
        let body = body.ok_or_else(|| invalid(format!("a block of {length} bytes is truncated")))?;
        at += body.len();
        block.resize(BLOCK, 0);
        let written = lz4_flex::block::decompress_into(body, &mut block).map_err(io::Error::other)?;
        if written > limit.saturating_sub(out.len()) {
            return Err(UnpackError::TooBig { limit });
        }
        out.extend_from_slice(&block[..written]);
    }
    Ok(out)
}

/// Appends all of `reader` to `out`, and stops one byte past `limit`.
fn read_within(reader: &mut impl Read, mut out: Vec<u8>, limit: usize) -> Result<Vec<u8>, UnpackError> {
    reader.take(limit as u64 + 1).read_to_end(&mut out)?;
    if out.len() > limit {
        return Err(UnpackError::TooBig { limit });
    }
    Ok(out)
}

fn invalid(message: String) -> UnpackError {
    UnpackError::Corrupt(io::Error::new(io::ErrorKind::InvalidData, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pack;

    const ALL: [Compression; 4] = [
        Compression::Zstd,
        Compression::Xz,
        Compression::Gzip,
        Compression::Lz4,
    ];

    /// Compressible, with x86 calls in it, so that the branch filter has something to change.
    fn sample() -> Vec<u8> {
        (0..200_000_u32)
            .flat_map(|i| [0xe8, (i >> 3) as u8, (i >> 9) as u8, 0, 0, i as u8])
            .collect()
    }

    #[test]
    fn unpacks_what_each_packer_writes() {
        let sample = sample();
        for compression in ALL {
            let packed = pack(compression, &sample);
            assert_eq!(Compression::of(&packed), Some(compression));
            let unpacked = compression.unpack(&packed, 0, sample.len()).unwrap();
            assert!(unpacked == sample, "{compression}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let sample = vec![0; 32 << 20];
        for compression in ALL {
            let packed = pack(compression, &sample);
            assert!(
                packed.len() < sample.len() / 100,
                "{compression} did not make a bomb"
            );
            let limit = 24 << 20;
            let outcome = compression.unpack(&packed, usize::MAX, limit);
            assert!(
                matches!(outcome, Err(UnpackError::TooBig { limit: 0x180_0000 })),
                "{compression}: {outcome:?}"
            );
        }
    }

    #[test]
    fn truncated_data_is_corrupt() {
        let sample = &sample()[..2000];
        for compression in ALL {
            let packed = pack(compression, sample);
            for len in 0..packed.len() {
                let outcome = compression.unpack(&packed[..len], 0, 1 << 20);
                // The legacy lz4 frame has no end mark: cut at a block's border it is only shorter.
                let shorter = compression == Compression::Lz4 && outcome.as_ref().is_ok_and(Vec::is_empty);
                assert!(
                    shorter || matches!(outcome, Err(UnpackError::Corrupt(_))),
                    "{compression} cut at {len}"
                );
            }
        }
    }

    #[test]
    fn a_flipped_byte_fails_the_checksum() {
        for compression in [Compression::Zstd, Compression::Xz, Compression::Gzip] {
            let mut packed = pack(compression, b"some bytes of a kernel, long enough to be stored");
            let middle = packed.len() / 2;
            packed[middle] ^= 1;
            assert!(compression.unpack(&packed, 0, 1 << 20).is_err(), "{compression}");
        }
    }

    #[test]
    fn old_formats_are_named() {
        let outcome = Compression::Bzip2.unpack(b"BZh9", 0, 1 << 20).unwrap_err();
        assert_eq!(outcome.to_string(), "bzip2 is not supported");
    }
}
