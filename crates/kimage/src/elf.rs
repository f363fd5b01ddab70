//! The uncompressed kernel as an ELF file: segments, sections, notes.
//!
//! Distribution kernels are stripped of symbols, not of sections: `.text`, `.BTF` and `.notes` keep their names.

use std::ops::Range;

use object::LittleEndian as LE;
use object::elf::{FileHeader64, NT_GNU_BUILD_ID, PT_LOAD, SHT_NOBITS, SHT_NOTE};
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader, SectionHeader, SectionTable};

use crate::build_id::BuildId;

/// A part of the kernel as the linker laid it out (`PT_LOAD`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Link address of the first byte.
    pub address: u64,
    /// Physical link address of the first byte; 0 for a flat image, which the boot loader places.
    pub physical: u64,
    /// Size in memory, in bytes; memory beyond `bytes` is zero.
    pub memory_size: u64,
    /// The part of the segment that the file holds.
    pub bytes: &'a [u8],
}

/// The facts read from an ELF file once, as ranges of the file, so that the owner of the bytes can keep both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) segments: Vec<SegmentPlace>,
    /// Address of the section with `_text`: `.text`, or before it `.head.text` (arm64).
    pub(crate) text: Option<u64>,
    /// The file's range with the contents of `.BTF`.
    pub(crate) btf: Option<Range<usize>>,
    pub(crate) build_id: Option<BuildId>,
    /// The physical address of the 32-bit entry point, from the Xen PVH note.
    pub(crate) pvh_entry: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentPlace {
    pub(crate) address: u64,
    pub(crate) physical: u64,
    pub(crate) memory_size: u64,
    pub(crate) file: Range<usize>,
}

/// Why an ELF file cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ElfError {
    #[error("{0}")]
    Malformed(#[from] object::Error),
    #[error("its {what} reaches past the end of the file")]
    Cut { what: &'static str },
}

/// `XEN_ELFNOTE_PHYS32_ENTRY` (include/xen/interface/elfnote.h).
const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;

impl Layout {
    /// Reads the headers of the 64-bit, little-endian ELF file `elf`.
    pub(crate) fn parse(elf: &[u8]) -> Result<Layout, ElfError> {
        let header = FileHeader64::<LE>::parse(elf)?;
        let endian = header.endian()?;
        let mut layout = Layout::default();
        for segment in header.program_headers(endian, elf)? {
            if segment.p_type(endian) == PT_LOAD {
                let (offset, size) = segment.file_range(endian);
                layout.segments.push(SegmentPlace {
                    address: segment.p_vaddr(endian),
                    physical: segment.p_paddr(endian),
                    memory_size: segment.p_memsz(endian),
                    file: place(elf, offset, size).ok_or(ElfError::Cut { what: "segment" })?,
                });
            }
            if let Some(notes) = segment.notes(endian, elf)? {
                layout.take_notes(endian, notes);
            }
        }
        let sections = header.sections(endian, elf)?;
        for section in sections.iter() {
            layout.take_section(elf, endian, &sections, section)?;
        }
        Ok(layout)
    }

    fn take_section(
        &mut self,
        elf: &[u8],
        endian: LE,
        sections: &SectionTable<'_, FileHeader64<LE>>,
        section: &object::elf::SectionHeader64<LE>,
    ) -> Result<(), ElfError> {
        match sections.section_name(endian, section)? {
            b".head.text" | b".text" if self.text.is_none_or(|text| section.sh_addr(endian) < text) => {
                self.text = Some(section.sh_addr(endian));
            }
            b".BTF" if section.sh_type(endian) != SHT_NOBITS => {
                let range = place(elf, section.sh_offset(endian), section.sh_size(endian));
                self.btf = Some(range.ok_or(ElfError::Cut { what: ".BTF section" })?);
            }
            // A kernel linked without PT_NOTE still has its notes in a section.
            _ if section.sh_type(endian) == SHT_NOTE => {
                if let Some(notes) = section.notes(endian, elf)? {
                    self.take_notes(endian, notes);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads notes that are not part of an ELF file.
    pub(crate) fn take_bare_notes(&mut self, notes: &[u8]) {
        if let Ok(notes) = NoteIterator::new(LE, 4, notes) {
            self.take_notes(LE, notes);
        }
    }

    /// A damaged note ends the walk; the notes before it are kept.
    fn take_notes(&mut self, endian: LE, mut notes: NoteIterator<'_, FileHeader64<LE>>) {
        while let Ok(Some(note)) = notes.next() {
            match (note.name(), note.n_type(endian)) {
                (b"GNU", NT_GNU_BUILD_ID) => self.build_id = BuildId::from_bytes(note.desc()).ok(),
                (b"Xen", XEN_ELFNOTE_PHYS32_ENTRY) => self.pvh_entry = address(note.desc()),
                _ => {}
            }
        }
    }
}

impl SegmentPlace {
    pub(crate) fn of<'a>(&self, elf: &'a [u8]) -> Segment<'a> {
        Segment {
            address: self.address,
            physical: self.physical,
            memory_size: self.memory_size,
            bytes: elf.get(self.file.clone()).unwrap_or_default(),
        }
    }
}

/// The value of an address note: 4 or 8 bytes.
fn address(desc: &[u8]) -> Option<u64> {
    match *desc {
        [a, b, c, d] => Some(u64::from(u32::from_le_bytes([a, b, c, d]))),
        _ => desc.try_into().ok().map(u64::from_le_bytes),
    }
}

fn place(elf: &[u8], offset: u64, size: u64) -> Option<Range<usize>> {
    let range = usize::try_from(offset).ok()?..usize::try_from(offset.checked_add(size)?).ok()?;
    elf.get(range.clone()).map(|_| range)
}
