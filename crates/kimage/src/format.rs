//! The kind of a file, detected by magic numbers alone, before anything is parsed.

use std::fmt;

use crate::bytes::{has, u16_at, u32_at};
use crate::unpack::Compression;

/// A machine whose kernels can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arch {
    /// 64-bit x86. These kernels can be booted, too.
    X86_64,
    /// 64-bit Arm, little-endian.
    Aarch64,
}

/// The kind of a file, by its magic numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// An x86-64 boot image with a setup header.
    BzImage,
    /// An arm64 boot image (`Image`): the kernel itself, as it is in memory.
    Arm64Image,
    /// An EFI program that unpacks a kernel (`CONFIG_EFI_ZBOOT`), for any machine.
    Zboot,
    /// An ELF file.
    Elf(Arch),
    /// A compressed file, for example `vmlinux.xz` or `Image.gz`.
    Compressed(Compression),
    /// A kernel or program for another machine.
    Foreign(Architecture),
    /// None of these.
    Unknown,
}

/// The machine that a file was built for, when it is not the wanted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit Arm, where only x86-64 is accepted, or an EFI program that is no kernel itself.
    Aarch64,
    /// 64-bit Arm, big-endian.
    Aarch64BigEndian,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit LoongArch.
    LoongArch64,
    /// 32-bit x86.
    I386,
    /// Another ELF `e_machine` value.
    OtherElf(u16),
    /// Another PE machine value.
    OtherPe(u16),
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arch::X86_64 => "x86-64",
            Arch::Aarch64 => "aarch64",
        })
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Architecture::Aarch64 => f.write_str("aarch64"),
            Architecture::Aarch64BigEndian => f.write_str("big-endian aarch64"),
            Architecture::Riscv64 => f.write_str("riscv64"),
            Architecture::LoongArch64 => f.write_str("loongarch64"),
            Architecture::I386 => f.write_str("32-bit x86"),
            Architecture::OtherElf(machine) => write!(f, "ELF machine {machine}"),
            Architecture::OtherPe(machine) => write!(f, "PE machine {machine:#06x}"),
        }
    }
}

/// `boot_sector_magic` of the x86 boot protocol (Documentation/arch/x86/boot.rst).
const SETUP_MAGIC: (usize, &[u8]) = (0x202, b"HdrS");
/// `magic` of the arm64 image header (Documentation/arch/arm64/booting.rst).
const ARM64_MAGIC: (usize, &[u8]) = (56, b"ARM\x64");
/// Bit 0 of `flags` in the arm64 image header: the kernel is big-endian.
const ARM64_FLAGS: usize = 24;
/// `image type` of a self-unpacking EFI image (drivers/firmware/efi/libstub/zboot-header.S).
const ZBOOT_MAGIC: (usize, &[u8]) = (4, b"zimg");
/// `magic2` of the RISC-V image header (Documentation/arch/riscv/boot-image-header.rst).
const RISCV_MAGIC: (usize, &[u8]) = (56, b"RSC\x05");

/// Detects the kind of `bytes`.
pub(crate) fn detect(bytes: &[u8]) -> Format {
    if bytes.starts_with(b"\x7fELF") {
        return elf_format(bytes);
    }
    if has(bytes, SETUP_MAGIC.0, SETUP_MAGIC.1) {
        return Format::BzImage;
    }
    if has(bytes, ARM64_MAGIC.0, ARM64_MAGIC.1) {
        let big_endian = bytes.get(ARM64_FLAGS).is_some_and(|flags| flags & 1 != 0);
        return if big_endian {
            Format::Foreign(Architecture::Aarch64BigEndian)
        } else {
            Format::Arm64Image
        };
    }
    if bytes.starts_with(b"MZ") && has(bytes, ZBOOT_MAGIC.0, ZBOOT_MAGIC.1) {
        return Format::Zboot;
    }
    if has(bytes, RISCV_MAGIC.0, RISCV_MAGIC.1) {
        return Format::Foreign(Architecture::Riscv64);
    }
    if let Some(machine) = pe_machine(bytes) {
        return Format::Foreign(machine);
    }
    Compression::of(bytes).map_or(Format::Unknown, Format::Compressed)
}

/// Detects the machine of an ELF file; a truncated header is left to the parser.
fn elf_format(bytes: &[u8]) -> Format {
    const EI_DATA: usize = 5;
    const BIG_ENDIAN: u8 = 2;
    let Some(machine) = u16_at(bytes, 18) else {
        return Format::Elf(Arch::X86_64);
    };
    let big_endian = bytes[EI_DATA] == BIG_ENDIAN;
    let machine = if big_endian { machine.swap_bytes() } else { machine };
    match machine {
        62 => Format::Elf(Arch::X86_64),
        183 if !big_endian => Format::Elf(Arch::Aarch64),
        183 => Format::Foreign(Architecture::Aarch64BigEndian),
        3 => Format::Foreign(Architecture::I386),
        243 => Format::Foreign(Architecture::Riscv64),
        258 => Format::Foreign(Architecture::LoongArch64),
        other => Format::Foreign(Architecture::OtherElf(other)),
    }
}

/// The architecture of an EFI program that is none of the above: a boot loader, or a kernel in one with its initramfs.
fn pe_machine(bytes: &[u8]) -> Option<Architecture> {
    const E_LFANEW: usize = 0x3c;
    let header = u32_at(bytes, E_LFANEW)? as usize;
    if !bytes.starts_with(b"MZ") || !has(bytes, header, b"PE\0\0") {
        return None;
    }
    Some(match u16_at(bytes, header.checked_add(4)?)? {
        0xaa64 => Architecture::Aarch64,
        0x5064 => Architecture::Riscv64,
        0x6264 => Architecture::LoongArch64,
        0x014c => Architecture::I386,
        other => Architecture::OtherPe(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(len: usize, parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut bytes = vec![0; len];
        for (offset, part) in parts {
            bytes[*offset..][..part.len()].copy_from_slice(part);
        }
        bytes
    }

    #[test]
    fn tells_files_apart() {
        use Architecture::*;
        let elf = |machine: u8, data: u8| {
            with(
                64,
                &[
                    (0, &[0x7f, b'E', b'L', b'F', 2, data]),
                    (18 + usize::from(data - 1), &[machine]),
                ],
            )
        };
        let pe = |machine: &[u8]| with(256, &[(0, b"MZ"), (0x3c, &[64]), (64, b"PE\0\0"), (68, machine)]);
        let cases = [
            (elf(62, 1), Format::Elf(Arch::X86_64)),
            (elf(183, 1), Format::Elf(Arch::Aarch64)),
            (elf(183, 2), Format::Foreign(Aarch64BigEndian)),
            (elf(3, 1), Format::Foreign(I386)),
            (elf(22, 2), Format::Foreign(OtherElf(22))),
            (with(0x206, &[(0x202, b"HdrS")]), Format::BzImage),
            (with(64, &[(0, b"MZ"), (56, b"ARM\x64")]), Format::Arm64Image),
            (
                with(64, &[(24, &[1]), (56, b"ARM\x64")]),
                Format::Foreign(Aarch64BigEndian),
            ),
            (with(64, &[(0, b"MZ"), (4, b"zimg")]), Format::Zboot),
            (with(64, &[(56, b"RSC\x05")]), Format::Foreign(Riscv64)),
            (pe(&[0x64, 0xaa]), Format::Foreign(Aarch64)),
            (pe(&[0x34, 0x12]), Format::Foreign(OtherPe(0x1234))),
            (
                with(64, &[(0, &[0x1f, 0x8b, 8])]),
                Format::Compressed(Compression::Gzip),
            ),
            (b"#!/bin/sh\n".to_vec(), Format::Unknown),
            (Vec::new(), Format::Unknown),
        ];
        for (bytes, expected) in cases {
            assert_eq!(detect(&bytes), expected, "{:02x?}", &bytes[..bytes.len().min(8)]);
        }
    }
}
