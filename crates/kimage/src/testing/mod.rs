//! Writers of small kernels, for tests and fuzz seeds (feature `testing`).
//!
//! Written from the formats' descriptions and not from the readers above, so that the two check each other.
//! [`TinyKernel`] is a whole kernel, and [`TinyImage`] one of arm64; their parts are public for tests of damaged ones.
#![allow(
    clippy::unwrap_used,
    reason = "test code: a writer that fails is a failed test"
)]

mod arm64;
mod elf;
mod kallsyms;
mod pack;

pub use arm64::{ARM64_TEXT, TinyImage, zboot};
pub use elf::ElfWriter;
pub use kallsyms::{KallsymsWriter, OffsetRule, TableOrder};
pub use pack::pack;

use crate::unpack::Compression;

/// The address of [`TinyKernel`]'s `.text`.
pub const TEXT: u64 = 0xffff_ffff_8100_0000;
/// The address of [`TinyKernel`]'s `.rodata`, with the banner and the kallsyms tables.
pub const RODATA: u64 = 0xffff_ffff_8200_0000;

/// A kernel of a few kilobytes with all parts of a real one, except code that runs.
#[derive(Debug, Clone)]
pub struct TinyKernel {
    /// `uname -r`.
    pub release: String,
    /// ELF `e_machine`; 62 is x86-64.
    pub machine: u16,
    /// Bytes of the build id note; empty for none.
    pub build_id: Vec<u8>,
    /// The `.BTF` section.
    pub btf: Option<Vec<u8>>,
    /// Physical address in the Xen PVH note.
    pub pvh_entry: Option<u32>,
    /// Name, address and type letter of each symbol.
    pub symbols: Vec<(String, u64, char)>,
    /// The form of the symbols: kallsyms tables, or for `None` an ELF symbol table.
    pub kallsyms: Option<KallsymsWriter>,
}

impl Default for TinyKernel {
    fn default() -> TinyKernel {
        let symbols = [
            ("_text", 0, 'T'),
            ("__switch_to", 0x1000, 'T'),
            ("schedule", 0x2000, 'T'),
            ("show", 0x3000, 't'),
            ("show", 0x4000, 't'),
            ("scx_bpf_kick_cpu", 0x5000, 'T'),
            ("linux_banner", RODATA - TEXT, 'R'),
        ];
        TinyKernel {
            release: "6.12.1-tiny".into(),
            machine: 62,
            build_id: (0..20).collect(),
            btf: Some(b"\x9f\xeb\x01\x00 not really".to_vec()),
            pvh_entry: Some(0x0100_0a30),
            symbols: symbols
                .map(|(name, offset, kind)| (name.to_owned(), TEXT + offset, kind))
                .to_vec(),
            kallsyms: Some(KallsymsWriter::default()),
        }
    }
}

impl TinyKernel {
    /// `linux_banner`, without its line feed.
    pub fn banner(&self) -> String {
        format!("Linux version {} (tiny@test) (cc 1.0) #1 SMP", self.release)
    }

    /// The ELF file.
    pub fn elf(&self) -> Vec<u8> {
        let mut writer = ElfWriter::new(self.machine);
        writer.section(".text", TEXT, &[0xcc; 64]);
        let mut rodata = self.banner().into_bytes();
        rodata.extend(b"\n\0%s version %s\0");
        rodata.resize(rodata.len().next_multiple_of(8), 0);
        if let Some(kallsyms) = &self.kallsyms {
            rodata.extend(kallsyms.write(&self.symbols, RODATA + rodata.len() as u64));
        } else {
            writer.symbols(&self.symbols);
        }
        writer.section(".rodata", RODATA, &rodata);
        if let Some(btf) = &self.btf {
            writer.section(".BTF", RODATA + 0x10_0000, btf);
        }
        let mut notes = elf::note("Linux", 0x101, b"func");
        if let Some(entry) = self.pvh_entry {
            notes.extend(elf::note("Xen", 18, &u64::from(entry).to_le_bytes()));
        }
        if !self.build_id.is_empty() {
            notes.extend(elf::note("GNU", 3, &self.build_id));
        }
        writer.notes(".notes", RODATA + 0x20_0000, &notes);
        writer.write()
    }

    /// The boot image.
    pub fn bzimage(&self, compression: Compression) -> Vec<u8> {
        bzimage(&payload(compression, &self.elf()), &self.release)
    }
}

/// The payload of a boot image for `elf`: packed, followed by its size except with gzip, whose format contains it.
pub fn payload(compression: Compression, elf: &[u8]) -> Vec<u8> {
    let mut payload = pack(compression, elf);
    if compression != Compression::Gzip {
        payload.extend((elf.len() as u32).to_le_bytes());
    }
    payload
}

/// A boot image of protocol 2.15 with one setup sector after the boot sector, then the payload.
pub fn bzimage(payload: &[u8], release: &str) -> Vec<u8> {
    const VERSION_TEXT: usize = 0x300;
    let mut file = vec![0; 1024];
    let mut put = |offset: usize, bytes: &[u8]| file[offset..][..bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x1f1, &[1]);
    put(0x1fe, &[0x55, 0xaa]);
    put(0x202, b"HdrS");
    put(0x206, &0x20f_u16.to_le_bytes());
    put(0x20e, &(VERSION_TEXT as u16 - 0x200).to_le_bytes());
    put(0x236, &1_u16.to_le_bytes());
    put(0x24c, &(payload.len() as u32).to_le_bytes());
    put(VERSION_TEXT, format!("{release} (tiny@test) #1\0").as_bytes());
    file.extend(payload);
    file
}
