//! Packers, as the kernel's build uses them for its payload.

use std::io::Write;

use flate2::write::GzEncoder;
use lzma_rust2::{CheckType, FilterType, XzOptions, XzWriter};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::unpack::Compression;

/// Packs `bytes` as the kernel's build would (scripts/Makefile.lib).
///
/// # Panics
/// For the formats without a decoder.
pub fn pack(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Zstd => compress_to_vec(bytes, CompressionLevel::Fastest),
        Compression::Xz => xz(bytes),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Lz4 => lz4_legacy(bytes),
        other => panic!("no packer for {other}"),
    }
}

/// `xz --check=crc32 --x86 --lzma2`.
fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut options = XzOptions::with_preset(1);
    options.set_check_sum_type(CheckType::Crc32);
    options.prepend_pre_filter(FilterType::BcjX86, 0);
    let mut writer = XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

/// `lz4 -l`.
fn lz4_legacy(bytes: &[u8]) -> Vec<u8> {
    let mut packed = vec![0x02, 0x21, 0x4c, 0x18];
    for block in bytes.chunks(8 << 20) {
        let block = lz4_flex::block::compress(block);
        packed.extend((block.len() as u32).to_le_bytes());
        packed.extend(block);
    }
    packed
}
