//! Small arm64 kernels, good and bad.

use proptest::prelude::*;

use crate::testing::{self, ARM64_TEXT, KallsymsWriter, OffsetRule, TableOrder, TinyImage};
use crate::{Arch, Compression, ImageError, KernelImage};

const RULES: [OffsetRule; 2] = [OffsetRule::FromBase, OffsetRule::FromItself];

fn tiny(rule: OffsetRule) -> TinyImage {
    TinyImage {
        kallsyms: KallsymsWriter {
            order: TableOrder::NumSymsFirst,
            rule,
        },
        ..TinyImage::default()
    }
}

#[test]
fn every_wrapping_comes_off() {
    let tiny = TinyImage::default();
    let image = tiny.image();
    let mut files = vec![image.clone()];
    for compression in [
        Compression::Zstd,
        Compression::Xz,
        Compression::Gzip,
        Compression::Lz4,
    ] {
        files.push(testing::pack(compression, &image));
        files.push(tiny.zboot(compression));
    }
    for file in files {
        let kernel = KernelImage::from_bytes(&file).unwrap();
        assert!(kernel.unpacked() == image);
        assert_eq!(kernel.architecture(), Arch::Aarch64);
    }
}

#[test]
fn all_that_headers_would_tell_is_told() {
    for rule in RULES {
        let tiny = tiny(rule);
        let bytes = tiny.image();
        let kernel = KernelImage::from_bytes(&bytes).unwrap();
        assert_eq!(kernel.release(), tiny.release);
        assert_eq!(kernel.banner(), tiny.banner());
        assert_eq!(kernel.build_id().as_bytes(), tiny.build_id);
        assert_eq!(kernel.btf(), Some(tiny.btf.as_slice()));
        assert_eq!(kernel.text_address(), Some(ARM64_TEXT), "{rule:?}");
        assert_eq!(kernel.pvh_entry(), None);
        let segments: Vec<_> = kernel.segments().collect();
        assert_eq!(segments.len(), 1);
        assert_eq!(segments[0].address, ARM64_TEXT);
        assert_eq!(segments[0].memory_size, bytes.len() as u64 + TinyImage::BSS);

        let symbols = kernel.symbols().unwrap();
        assert_eq!(symbols.address_of("schedule"), Some(ARM64_TEXT + 0x1_0200));
        let banner = symbols.address_of("linux_banner").unwrap();
        assert_eq!(kernel.bytes_at(banner, 13), Some(b"Linux version".as_slice()));
    }
}

#[test]
fn the_base_of_a_kernel_without_pointers_is_in_its_list_of_relocations() {
    for all_symbols in [true, false] {
        let mut image = TinyImage {
            all_symbols,
            ..tiny(OffsetRule::FromBase)
        }
        .image();
        // After the pointers: the tables come last.
        let first = if all_symbols { 0 } else { 0x1_0000 };
        let base = memchr::memmem::rfind(&image, &(ARM64_TEXT + first).to_le_bytes()).unwrap();
        image[base..base + 8].fill(0);
        assert!(KernelImage::from_bytes(&image).unwrap().symbols().is_err());
        image.resize(image.len().next_multiple_of(8), 0);
        for (place, value) in [(base as u64 + 8, first + 0x1_0000), (base as u64, first)] {
            for word in [ARM64_TEXT + place, 0x403, ARM64_TEXT + value] {
                image.extend(word.to_le_bytes());
            }
        }
        let kernel = KernelImage::from_bytes(&image).unwrap();
        assert_eq!(kernel.text_address(), Some(ARM64_TEXT));
        assert_eq!(
            kernel.symbols().unwrap().address_of("schedule"),
            Some(ARM64_TEXT + 0x1_0200)
        );
    }
}

#[test]
fn without_symbols_of_data_the_place_and_the_build_id_are_still_known() {
    for rule in RULES {
        let tiny = TinyImage {
            all_symbols: false,
            ..tiny(rule)
        };
        let kernel = KernelImage::from_bytes(&tiny.image()).unwrap();
        assert_eq!(kernel.text_address(), Some(ARM64_TEXT), "{rule:?}");
        assert_eq!(
            kernel.symbols().unwrap().address_of("schedule"),
            Some(ARM64_TEXT + 0x1_0200)
        );
        assert_eq!(kernel.build_id().as_bytes(), tiny.build_id);
        assert_eq!(kernel.btf(), None);
    }
}

#[test]
fn without_a_trace_of_the_link_address_all_counts_from_the_image() {
    let nowhere = |image: Vec<u8>| {
        let kernel = KernelImage::from_bytes(&image).unwrap();
        assert_eq!(kernel.text_address(), Some(0));
        let banner = kernel.symbols().unwrap().address_of("linux_banner").unwrap();
        assert_eq!(kernel.bytes_at(banner, 13), Some(b"Linux version".as_slice()));
    };
    let tiny = TinyImage {
        pointers: false,
        ..tiny(OffsetRule::FromItself)
    };
    nowhere(tiny.image());

    // Pointers that hardly ever point at a symbol are no evidence.
    let mut image = tiny.image();
    for offset in (0x1_0000..0x2_0000).step_by(8) {
        let value = ARM64_TEXT + 0x1_0008 + offset as u64;
        image[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }
    nowhere(image);
}

#[test]
fn a_build_id_of_a_program_inside_is_not_the_kernels() {
    let tiny = TinyImage {
        build_id: Vec::new(),
        ..TinyImage::default()
    };
    let error = KernelImage::from_bytes(&tiny.image()).unwrap_err();
    assert!(matches!(error, ImageError::NoBuildId), "{error}");
}

#[test]
fn an_image_without_tables_opens_and_has_no_symbols() {
    let mut image = TinyImage::default().image();
    let tables = memchr::memmem::find(&image, b"0\x001\x002\0").unwrap();
    image.truncate(tables);
    let kernel = KernelImage::from_bytes(&image).unwrap();
    assert_eq!(kernel.text_address(), None);
    let error = kernel.symbols().unwrap_err().to_string();
    assert!(
        error.starts_with("6.12.1-tiny-arm64: no kallsyms token table"),
        "{error}"
    );
}

#[test]
fn a_damaged_efi_image_says_so() {
    let check = |file: &[u8], expected: &str| {
        let error = KernelImage::from_bytes(file).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let file = TinyImage::default().zboot(Compression::Zstd);
    check(
        &file[..100],
        "the EFI image cannot be read: truncated after 100 bytes",
    );
    check(&file[..file.len() - 4], "but its header states 0");
    check(&testing::zboot(b"pay", "lzma"), "unknown compression");
    let mut big_endian = TinyImage::default().image();
    big_endian[24] |= 1;
    check(&big_endian, "built for big-endian aarch64");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn damage_never_panics(rule in prop::sample::select(RULES.to_vec()), all_symbols: bool,
                           cut in any::<prop::sample::Index>(),
                           damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..64)) {
        let mut image = TinyImage { all_symbols, ..tiny(rule) }.image();
        // Damage only data: the code before it is zeros.
        let full = image.len();
        let place = |index: prop::sample::Index| match index.index(full - 0x2_0000 + 64) {
            header @ 0..64 => header,
            after => after - 64 + 0x2_0000,
        };
        for (index, byte) in damage {
            image[place(index)] = byte;
        }
        image.truncate(place(cut).max(64));
        if let Ok(kernel) = KernelImage::from_bytes_within(&image, 1 << 20) {
            let _ = (kernel.btf(), kernel.symbols());
            for segment in kernel.segments() {
                prop_assert!(kernel.bytes_at(segment.address, segment.bytes.len()).is_some());
            }
        }
    }
}
