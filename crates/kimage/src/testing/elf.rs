//! A writer of little-endian 64-bit ELF executables.
//!
//! ```text
//!  ELF header │ program headers │ section bytes, each at a multiple of 16 │ section headers
//! ```

/// The sections of an ELF file that is being written.
#[derive(Debug, Clone)]
pub struct ElfWriter {
    machine: u16,
    sections: Vec<Section>,
}

#[derive(Debug, Clone)]
struct Section {
    name: String,
    kind: u32,
    address: u64,
    bytes: Vec<u8>,
    /// `sh_link`, by name; resolved when all sections are known.
    link: Option<&'static str>,
    info: u32,
    entry_size: u64,
}

const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const NOTE: u32 = 7;

impl ElfWriter {
    /// An empty executable for the machine `e_machine`.
    pub fn new(machine: u16) -> ElfWriter {
        ElfWriter {
            machine,
            sections: Vec::new(),
        }
    }

    /// Adds a section that is loaded at `address`, in a segment of its own.
    pub fn section(&mut self, name: &str, address: u64, bytes: &[u8]) {
        self.add(name, PROGBITS, address, bytes.to_vec());
    }

    /// Adds a section of notes, which a `PT_NOTE` segment covers.
    pub fn notes(&mut self, name: &str, address: u64, bytes: &[u8]) {
        self.add(name, NOTE, address, bytes.to_vec());
    }

    /// Adds `.symtab` and `.strtab`; uppercase letters are global, and all symbols lie in the first section
    /// but those of kind `U`, which are undefined.
    pub fn symbols(&mut self, symbols: &[(String, u64, char)]) {
        let mut table = vec![0; 24];
        let mut strings = vec![0];
        for (name, address, kind) in symbols {
            let binding: u8 = if kind.is_ascii_uppercase() { 0x10 } else { 0 };
            table.extend((strings.len() as u32).to_le_bytes());
            table.extend([binding, 0]);
            table.extend(u16::from(*kind != 'U').to_le_bytes());
            table.extend(address.to_le_bytes());
            table.extend(0_u64.to_le_bytes());
            strings.extend(name.bytes().chain([0]));
        }
        let symtab = self.add(".symtab", SYMTAB, 0, table);
        symtab.link = Some(".strtab");
        symtab.info = 1;
        symtab.entry_size = 24;
        self.add(".strtab", STRTAB, 0, strings);
    }

    fn add(&mut self, name: &str, kind: u32, address: u64, bytes: Vec<u8>) -> &mut Section {
        let section = Section {
            name: name.into(),
            kind,
            address,
            bytes,
            link: None,
            info: 0,
            entry_size: 0,
        };
        self.sections.push(section);
        self.sections.last_mut().unwrap()
    }

    /// The file.
    pub fn write(&self) -> Vec<u8> {
        let mut sections = self.sections.clone();
        let names: Vec<u8> = sections.iter().flat_map(|s| s.name.bytes().chain([0])).collect();
        let names: Vec<u8> = [0].into_iter().chain(names).chain(*b".shstrtab\0").collect();
        sections.push(
            ElfWriter::new(0)
                .add(".shstrtab", STRTAB, 0, names.clone())
                .clone(),
        );

        let segments = sections.iter().filter(|s| s.address != 0).count();
        let mut offset = 64 + 56 * segments;
        let offsets: Vec<usize> = sections
            .iter()
            .map(|section| {
                let start = offset.next_multiple_of(16);
                offset = start + section.bytes.len();
                start
            })
            .collect();
        let section_headers = offset.next_multiple_of(16);

        let mut file = Words(Vec::new());
        file.bytes(b"\x7fELF\x02\x01\x01").pad(16);
        file.u16(2)
            .u16(self.machine)
            .u32(1)
            .u64(0x100_0000)
            .u64(64)
            .u64(section_headers as u64)
            .u32(0);
        file.u16(64)
            .u16(56)
            .u16(segments as u16)
            .u16(64)
            .u16(sections.len() as u16 + 1)
            .u16(sections.len() as u16);
        for (section, offset) in sections.iter().zip(&offsets).filter(|(s, _)| s.address != 0) {
            let (kind, size) = (
                if section.kind == NOTE { 4 } else { 1 },
                section.bytes.len() as u64,
            );
            file.u32(kind).u32(4).u64(*offset as u64).u64(section.address);
            file.u64(section.address & 0x7fff_ffff).u64(size).u64(size).u64(4);
        }
        for (section, offset) in sections.iter().zip(&offsets) {
            file.pad(*offset).bytes(&section.bytes);
        }
        file.pad(section_headers).pad(section_headers + 64);
        let mut name = 1;
        for (section, offset) in sections.iter().zip(&offsets) {
            let link = section
                .link
                .and_then(|link| sections.iter().position(|s| s.name == link));
            let flags =
                if section.address != 0 { 2 } else { 0 } | if section.name == ".text" { 4 } else { 0 };
            file.u32(name)
                .u32(section.kind)
                .u64(flags)
                .u64(section.address)
                .u64(*offset as u64);
            file.u64(section.bytes.len() as u64)
                .u32(link.map_or(0, |index| index as u32 + 1));
            file.u32(section.info).u64(4).u64(section.entry_size);
            name += section.name.len() as u32 + 1;
        }
        file.0
    }
}

/// One note: header, name and description, each padded to 4 bytes.
pub(super) fn note(name: &str, kind: u32, desc: &[u8]) -> Vec<u8> {
    let mut note = Words(Vec::new());
    note.u32(name.len() as u32 + 1).u32(desc.len() as u32).u32(kind);
    note.bytes(name.as_bytes())
        .bytes(&[0])
        .align(4)
        .bytes(desc)
        .align(4);
    note.0
}

/// Little-endian words, one after the other.
struct Words(Vec<u8>);

impl Words {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Words {
        self.0.extend(bytes);
        self
    }

    fn u16(&mut self, value: u16) -> &mut Words {
        self.bytes(&value.to_le_bytes())
    }

    fn u32(&mut self, value: u32) -> &mut Words {
        self.bytes(&value.to_le_bytes())
    }

    fn u64(&mut self, value: u64) -> &mut Words {
        self.bytes(&value.to_le_bytes())
    }

    /// Zeros up to the length `len`.
    fn pad(&mut self, len: usize) -> &mut Words {
        self.0.resize(len, 0);
        self
    }

    fn align(&mut self, unit: usize) -> &mut Words {
        self.pad(self.0.len().next_multiple_of(unit))
    }
}
