//! What kind of file is this? Decided by magic numbers alone, before anything is parsed.

use std::fmt;

use crate::bytes::{has, u16_at, u32_at};
use crate::unpack::Compression;

/// What a file looks like from its magic numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// An x86-64 boot image with a setup header.
    BzImage,
    /// An ELF file for x86-64.
    Elf,
    /// A compressed file, say `vmlinux.xz`.
    Compressed(Compression),
    /// A kernel or program for another machine.
    Foreign(Architecture),
    /// None of these.
    Unknown,
}

/// The machine that a file was built for, when it is not x86-64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit Arm: `Image`, or an EFI image around it.
    Aarch64,
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

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Architecture::Aarch64 => f.write_str("aarch64"),
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
/// `magic2` of the RISC-V image header (Documentation/arch/riscv/boot-image-header.rst).
const RISCV_MAGIC: (usize, &[u8]) = (56, b"RSC\x05");

/// Looks at the magic numbers of `bytes`.
pub(crate) fn detect(bytes: &[u8]) -> Format {
    if bytes.starts_with(b"\x7fELF") {
        return elf_machine(bytes).map_or(Format::Elf, Format::Foreign);
    }
    if has(bytes, SETUP_MAGIC.0, SETUP_MAGIC.1) {
        return Format::BzImage;
    }
    if has(bytes, ARM64_MAGIC.0, ARM64_MAGIC.1) {
        return Format::Foreign(Architecture::Aarch64);
    }
    if has(bytes, RISCV_MAGIC.0, RISCV_MAGIC.1) {
        return Format::Foreign(Architecture::Riscv64);
    }
    if let Some(machine) = pe_machine(bytes) {
        return Format::Foreign(machine);
    }
    Compression::of(bytes).map_or(Format::Unknown, Format::Compressed)
}

/// The architecture of an ELF file unless it is x86-64 (or cut off before it says).
fn elf_machine(bytes: &[u8]) -> Option<Architecture> {
    const EI_DATA: usize = 5;
    const BIG_ENDIAN: u8 = 2;
    let machine = u16_at(bytes, 18)?;
    let machine = if bytes[EI_DATA] == BIG_ENDIAN {
        machine.swap_bytes()
    } else {
        machine
    };
    match machine {
        62 => None,
        3 => Some(Architecture::I386),
        183 => Some(Architecture::Aarch64),
        243 => Some(Architecture::Riscv64),
        258 => Some(Architecture::LoongArch64),
        other => Some(Architecture::OtherElf(other)),
    }
}

/// The architecture of an EFI image without an x86 setup header: the compressed kernels of Arm, RISC-V and
/// LoongArch (`CONFIG_EFI_ZBOOT`).
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
            (elf(62, 1), Format::Elf),
            (elf(183, 1), Format::Foreign(Aarch64)),
            (elf(3, 1), Format::Foreign(I386)),
            (elf(22, 2), Format::Foreign(OtherElf(22))),
            (with(0x206, &[(0x202, b"HdrS")]), Format::BzImage),
            (
                with(64, &[(0, b"MZ"), (56, b"ARM\x64")]),
                Format::Foreign(Aarch64),
            ),
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
