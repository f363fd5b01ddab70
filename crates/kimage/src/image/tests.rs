//! Whole small kernels, good and bad.

use std::fs;

use super::*;
use crate::testing::{self, RODATA, TEXT, TinyImage, TinyKernel};

const PACKERS: [Compression; 4] = [
    Compression::Zstd,
    Compression::Xz,
    Compression::Gzip,
    Compression::Lz4,
];

fn error_of(bytes: &[u8]) -> ImageError {
    KernelImage::from_bytes(bytes).expect_err("not a good kernel")
}

#[test]
fn reads_every_wrapping() {
    let tiny = TinyKernel::default();
    let elf = tiny.elf();
    let mut files = vec![elf.clone(), testing::bzimage(&elf, "6.12.1-tiny")];
    for compression in PACKERS {
        files.push(tiny.bzimage(compression));
        files.push(testing::pack(compression, &elf));
    }
    for file in files {
        let image = KernelImage::from_bytes(&file).unwrap();
        assert!(image.unpacked() == elf);
    }
}

#[test]
fn tells_what_the_elf_says() {
    let tiny = TinyKernel::default();
    let image = KernelImage::from_bytes(&tiny.bzimage(Compression::Zstd)).unwrap();
    assert_eq!(image.release(), "6.12.1-tiny");
    assert_eq!(image.banner(), tiny.banner());
    assert_eq!(
        image.build_id().to_string(),
        "000102030405060708090a0b0c0d0e0f10111213"
    );
    assert_eq!(image.btf(), tiny.btf.as_deref());
    assert_eq!(image.pvh_entry(), Some(0x0100_0a30));
    assert_eq!(image.text_address(), Some(TEXT));
    image.require_sched_ext().unwrap();
}

#[test]
fn maps_link_addresses_to_bytes() {
    let tiny = TinyKernel::default();
    let image = KernelImage::from_bytes(&tiny.elf()).unwrap();
    let banner = image.symbols().unwrap().address_of("linux_banner").unwrap();
    assert_eq!(image.bytes_at(banner, 13), Some(b"Linux version".as_slice()));
    assert_eq!(image.bytes_at(TEXT + 63, 1), Some([0xcc].as_slice()));
    assert_eq!(image.bytes_at(TEXT + 63, 2), None);
    assert_eq!(image.bytes_at(TEXT - 1, 1), None);
    assert_eq!(image.bytes_at(RODATA, usize::MAX), None);
}

#[test]
fn an_elf_symbol_table_goes_first() {
    let tiny = TinyKernel {
        kallsyms: None,
        ..TinyKernel::default()
    };
    let image = KernelImage::from_bytes(&tiny.elf()).unwrap();
    let symbols = image.symbols().unwrap();
    assert_eq!(symbols.len(), tiny.symbols.len());
    assert_eq!(symbols.address_of("schedule"), Some(TEXT + 0x2000));
    assert_eq!(
        symbols
            .all("show")
            .map(|symbol| (symbol.address, symbol.kind))
            .collect::<Vec<_>>(),
        [(TEXT + 0x3000, 't'), (TEXT + 0x4000, 't')]
    );
}

/// C1: undefined symbols and those without a name are left out; one that is defined with the value 0 is kept.
#[test]
fn undefined_and_nameless_symbols_are_left_out_and_the_value_zero_is_kept() {
    let symbol = |name: &str, at, kind| (name.to_owned(), at, kind);
    let mut tiny = TinyKernel {
        kallsyms: None,
        ..TinyKernel::default()
    };
    let before = tiny.symbols.len();
    tiny.symbols.extend([
        symbol("elsewhere", TEXT + 0x40, 'U'),
        symbol("", TEXT + 0x50, 'T'),
        symbol("per_cpu_start", 0, 'D'),
    ]);
    let symbols = KernelImage::from_bytes(&tiny.elf()).unwrap().symbols().unwrap();
    assert_eq!(symbols.address_of("elsewhere"), None);
    assert_eq!(symbols.address_of(""), None);
    assert_eq!(symbols.address_of("per_cpu_start"), Some(0));
    assert_eq!(symbols.len(), before + 1);
}

#[test]
fn says_what_is_wrong_with_a_file() {
    let tiny = TinyKernel::default();
    let with = |machine, build_id: &[u8], release: &str| {
        TinyKernel {
            machine,
            build_id: build_id.into(),
            release: release.into(),
            ..tiny.clone()
        }
        .elf()
    };
    let check = |file: &[u8], expected: &str| assert_eq!(error_of(file).to_string(), expected);
    check(
        b"",
        "not a kernel (it begins with nothing): give a bzImage or an arm64 Image, as /boot/vmlinuz-* are, or an ELF vmlinux",
    );
    check(
        &with(243, &[1], "6"),
        "built for riscv64, and only x86-64 kernels can be used: fetch the amd64 (x86_64) package",
    );
    check(
        &with(62, &[], "6"),
        "it has no GNU build id: link it with --build-id (kernels are by default)",
    );
    check(
        &with(62, &[1], "%s"),
        "no 'Linux version' banner in it: not a kernel",
    );
    check(
        &testing::bzimage(b"", "6"),
        "the boot image cannot be read: the setup header names no payload",
    );
    check(
        &testing::bzimage(b"pay\0load", "6"),
        "the boot image's payload has an unknown compression (it begins with 'pay\\x00load')",
    );
    check(
        &testing::bzimage(b"BZh91AY&SY....", "6"),
        "packed with bzip2, which is not supported: unpack it first (the kernel's scripts/extract-vmlinux does) and give the vmlinux",
    );
    check(
        &testing::pack(Compression::Gzip, b"#!/bin/sh"),
        "the unpacked payload is neither an ELF file nor an arm64 Image (it begins with '#!/bin/s')",
    );
    let riscv = testing::pack(Compression::Gzip, &[[0; 56].as_slice(), b"RSC\x05"].concat());
    assert!(matches!(
        error_of(&riscv),
        ImageError::WrongArchitecture {
            found: Architecture::Riscv64
        }
    ));
}

#[test]
fn only_x86_64_kernels_are_for_booting() {
    let tiny = TinyKernel::default();
    let arm = TinyKernel {
        machine: 183,
        ..tiny.clone()
    };
    let of = |file: &[u8]| KernelImage::from_bytes(file).unwrap();
    assert_eq!(of(&tiny.elf()).architecture(), Arch::X86_64);
    of(&tiny.elf()).require_x86_64().unwrap();
    for file in [arm.elf(), TinyImage::default().image()] {
        let image = of(&file);
        assert_eq!(image.architecture(), Arch::Aarch64);
        assert_eq!(
            image.require_x86_64().unwrap_err().to_string(),
            "built for aarch64, and only x86-64 kernels can be used: fetch the amd64 (x86_64) package"
        );
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("Image");
    fs::write(&path, arm.elf()).unwrap();
    let error = KernelImage::read(&path).unwrap().require_x86_64().unwrap_err();
    assert!(
        error.to_string().starts_with(&format!("{}: ", path.display())),
        "{error}"
    );
}

#[test]
fn refuses_a_32_bit_boot_image() {
    let mut file = TinyKernel::default().bzimage(Compression::Gzip);
    file[0x236] = 0;
    assert!(matches!(
        error_of(&file),
        ImageError::WrongArchitecture {
            found: Architecture::I386
        }
    ));
}

#[test]
fn every_truncation_is_an_error() {
    let tiny = TinyKernel::default();
    let elf = tiny.elf();
    for len in 0..elf.len() {
        error_of(&elf[..len]);
    }
    for compression in PACKERS {
        let file = tiny.bzimage(compression);
        for len in (0..file.len()).step_by(7).chain([file.len() - 1]) {
            error_of(&file[..len]);
        }
    }
}

#[test]
fn the_promised_size_must_come_out() {
    for compression in [Compression::Zstd, Compression::Xz, Compression::Lz4] {
        let mut file = TinyKernel::default().bzimage(compression);
        let size = file.len() - 4;
        file[size] ^= 1;
        let error = error_of(&file);
        assert!(
            matches!(error, ImageError::WrongSize { .. }),
            "{compression}: {error}"
        );
    }
}

#[test]
fn a_bomb_is_refused() {
    let bomb = testing::bzimage(&testing::payload(Compression::Gzip, &vec![0; 4 << 20]), "6");
    let error = KernelImage::from_bytes_within(&bomb, 1 << 20).unwrap_err();
    assert_eq!(error.to_string(), "larger than 1048576 bytes, which no kernel is");
}

#[test]
fn errors_name_the_file_and_the_next_step() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vmlinuz");
    let missing = KernelImage::read(&path).unwrap_err();
    assert!(matches!(missing.problem(), ImageError::Read(_)));
    assert!(
        missing.to_string().starts_with(&format!("{}: ", path.display())),
        "{missing}"
    );

    let mut tiny = TinyKernel {
        btf: None,
        ..TinyKernel::default()
    };
    tiny.symbols.retain(|(name, ..)| !name.starts_with("scx"));
    fs::write(&path, tiny.bzimage(Compression::Zstd)).unwrap();
    let image = KernelImage::read(&path).unwrap();
    let file = path.display();
    assert_eq!(
        image.require_btf().unwrap_err().to_string(),
        format!("{file} has no BTF type information: use a kernel built with CONFIG_DEBUG_INFO_BTF=y")
    );
    assert_eq!(
        image.require_sched_ext().unwrap_err().to_string(),
        format!(
            "{file} cannot run sched_ext schedulers: use a kernel from 6.12 on, built with CONFIG_SCHED_CLASS_EXT=y"
        )
    );
}

#[test]
fn a_kernel_without_symbols_says_so() {
    let mut tiny = TinyKernel {
        kallsyms: None,
        ..TinyKernel::default()
    };
    tiny.symbols.clear();
    let image = KernelImage::from_bytes(&tiny.elf()).unwrap();
    let error = image.symbols().unwrap_err().to_string();
    assert!(
        error.starts_with("6.12.1-tiny: no kallsyms token table"),
        "{error}"
    );
}
