//! A writer of arm64 boot images.
//!
//! ```text
//!  0        0x1_0000 0x2_0000 0x2_1000   then        then                 then
//!  header │ code   │ banner │ .BTF     │ .notes    │ a vDSO, pointers to │ kallsyms
//!         │        │        │          │           │ symbols             │ tables
//! ```

use super::elf::{ElfWriter, note};
use super::kallsyms::KallsymsWriter;
use super::pack;
use crate::unpack::Compression;

/// The link address of [`TinyImage`].
pub const ARM64_TEXT: u64 = 0xffff_8000_8000_0000;

/// An arm64 kernel of some 150 kilobytes with all parts of a real one, except code that runs.
#[derive(Debug, Clone)]
pub struct TinyImage {
    /// `uname -r`.
    pub release: String,
    /// Bytes of the build id note; empty for none.
    pub build_id: Vec<u8>,
    /// The `.BTF` section.
    pub btf: Vec<u8>,
    /// Name, distance from `_text` and type letter of each symbol but those that [`TinyImage::image`] adds.
    pub symbols: Vec<(String, u64, char)>,
    /// The form of the symbol tables.
    pub kallsyms: KallsymsWriter,
    /// `CONFIG_KALLSYMS_ALL`: the tables include `_text` and the symbols of data.
    pub all_symbols: bool,
    /// Whether the image has pointers to all of its symbols.
    pub pointers: bool,
}

impl Default for TinyImage {
    fn default() -> TinyImage {
        let symbols = [
            ("_stext", 0x1_0000, 'T'),
            ("__switch_to", 0x1_0100, 'T'),
            ("schedule", 0x1_0200, 'T'),
        ];
        TinyImage {
            release: "6.12.1-tiny-arm64".into(),
            build_id: (0..20).collect(),
            btf: b"\x9f\xeb\x01\x00 not really".to_vec(),
            symbols: symbols
                .map(|(name, offset, kind)| (name.to_owned(), offset, kind))
                .to_vec(),
            kallsyms: KallsymsWriter::default(),
            all_symbols: true,
            pointers: true,
        }
    }
}

impl TinyImage {
    /// Bytes of `.bss`, after the image.
    pub const BSS: u64 = 0x800;

    /// `linux_banner`, without its line feed.
    pub fn banner(&self) -> String {
        format!("Linux version {} (tiny@test) (cc 1.0) #1 SMP", self.release)
    }

    /// The boot image.
    pub fn image(&self) -> Vec<u8> {
        let mut image = vec![0; 0x2_0000];
        image.extend(self.banner().bytes().chain(*b"\n\0"));
        image.resize(0x2_1000, 0);
        image.extend(&self.btf);
        let btf_end = image.len() as u64;
        image.resize(image.len().next_multiple_of(4), 0);
        let notes = image.len() as u64;
        image.extend(note("Linux", 0x101, b"func"));
        if !self.build_id.is_empty() {
            image.extend(note("GNU", 3, &self.build_id));
        }
        let notes_end = image.len() as u64;
        image.resize(image.len().next_multiple_of(4096), 0);
        image.extend(vdso());
        image.resize(image.len().next_multiple_of(8), 0);

        let mut symbols = self.symbols.clone();
        if self.all_symbols {
            let own = [
                ("_text", 0, 'T'),
                ("linux_banner", 0x2_0000, 'D'),
                ("__start_BTF", 0x2_1000, 'R'),
                ("__stop_BTF", btf_end, 'R'),
                ("__start_notes", notes, 'R'),
                ("__stop_notes", notes_end, 'R'),
            ];
            symbols.extend(own.map(|(name, offset, kind)| (name.to_owned(), offset, kind)));
        }
        symbols.sort_by_key(|(_, offset, _)| *offset);
        for (_, address, _) in &mut symbols {
            *address += ARM64_TEXT;
        }
        if self.pointers {
            image.extend(symbols.iter().flat_map(|(_, address, _)| address.to_le_bytes()));
        }
        let tables = self.kallsyms.write(&symbols, ARM64_TEXT + image.len() as u64);
        image.extend(tables);
        let size = image.len() as u64 + TinyImage::BSS;
        image[..4].copy_from_slice(b"MZ@\xfa");
        image[16..24].copy_from_slice(&size.to_le_bytes());
        image[24] = 0b1010;
        image[56..60].copy_from_slice(b"ARM\x64");
        image
    }

    /// The image, packed in an EFI program.
    pub fn zboot(&self, compression: Compression) -> Vec<u8> {
        let image = self.image();
        let mut file = zboot(&pack(compression, &image), &compression.to_string());
        if compression != Compression::Gzip {
            file.extend((image.len() as u32).to_le_bytes());
        }
        file
    }
}

/// An EFI image around `payload`, with the name `compression` in its header.
pub fn zboot(payload: &[u8], compression: &str) -> Vec<u8> {
    const HEADERS: usize = 128;
    let mut file = vec![0; HEADERS];
    let mut put = |offset: usize, bytes: &[u8]| file[offset..][..bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(4, b"zimg");
    put(8, &(HEADERS as u32).to_le_bytes());
    put(12, &(payload.len() as u32).to_le_bytes());
    put(24, compression.as_bytes());
    put(0x3c, &64_u32.to_le_bytes());
    put(64, b"PE\0\0\x64\xaa");
    file.extend(payload);
    file
}

/// A program inside of the kernel, with a build id that is not the kernel's.
fn vdso() -> Vec<u8> {
    let mut writer = ElfWriter::new(183);
    writer.notes(".note", 0x100, &note("GNU", 3, &[0xdd; 20]));
    writer.write()
}
