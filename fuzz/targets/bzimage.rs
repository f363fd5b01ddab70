//! Any file as a kernel: setup header, all decompressors, ELF headers, notes, banner; arm64 images.
#![no_main]

use kimage::bzimage::SetupHeader;
use kimage::testing::{TinyImage, TinyKernel, pack};
use kimage::{Compression, KernelImage};
use libfuzzer_sys::fuzz_target;
use schedrig_fuzz::{MAX_UNPACKED, plant};

fuzz_target!(init: plant(seeds()), |file: &[u8]| {
    if let Ok(header) = SetupHeader::parse(file) {
        assert!(header.payload.end <= file.len());
    }
    let Ok(image) = KernelImage::from_bytes_within(file, MAX_UNPACKED) else { return };
    assert!(image.unpacked().len() <= MAX_UNPACKED);
    assert!(image.banner().contains(image.release()));
    for segment in image.segments() {
        let found = image.bytes_at(segment.address, segment.bytes.len());
        assert!(found.is_some_and(|bytes| bytes.len() == segment.bytes.len()));
    }
    let _ = (image.require_btf().is_ok(), image.has_pvh_entry(), image.text_address());
});

fn seeds() -> Vec<Vec<u8>> {
    let tiny = TinyKernel::default();
    let packers = [
        Compression::Zstd,
        Compression::Xz,
        Compression::Gzip,
        Compression::Lz4,
    ];
    let mut seeds = vec![
        tiny.elf(),
        TinyKernel {
            machine: 183,
            ..tiny.clone()
        }
        .elf(),
    ];
    let arm64 = TinyImage::default();
    for compression in packers {
        seeds.push(arm64.zboot(compression));
        seeds.push(tiny.bzimage(compression));
        seeds.push(pack(compression, &tiny.elf()));
        seeds.push(pack(compression, &[0; 1 << 16]));
    }
    seeds
}
