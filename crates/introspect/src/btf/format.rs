//! The format: the header, and records in place. See the kernel's Documentation/bpf/btf.rst.

use super::kinds::Kind;

/// `struct btf_header`'s magic number.
pub(super) const MAGIC: u16 = 0xeb9f;
/// The only version there is.
pub(super) const VERSION: u8 = 1;
/// The header up to `str_len`; newer ones are longer.
pub(super) const HEADER_LEN: usize = 24;
/// `struct btf_type`
pub(super) const RECORD_LEN: usize = 12;

/// A type's record and what its kind appends, in place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    /// Bit 31 of `info`: bitfield sizes in offsets of members, or signed values of enumerators.
    pub(super) flag: bool,
    /// Offset of the name.
    pub(super) name: u32,
    /// Size or type id, as the kind has it.
    pub(super) word: u32,
    /// The elements behind the record.
    pub(super) tail: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record at `at`, when its kind is known and all of it is there.
    pub(super) fn read(types: &'a [u8], at: usize) -> Result<Record<'a>, Unreadable> {
        let header: &[u8; RECORD_LEN] = types
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .ok_or(Unreadable::Truncated)?;
        let info = word(header, 4);
        // vlen had 16 bits and the kind 5; what was unused between them was zero, and newer kernels use it.
        let (number, count) = (info >> 24 & 0x7f, (info & 0x00ff_ffff) as usize);
        let kind = Kind::of_record(number).ok_or(Unreadable::Kind(number))?;
        let start = at + RECORD_LEN;
        let tail = types
            .get(start..start + tail_len(kind, count))
            .ok_or(Unreadable::Truncated)?;
        Ok(Record {
            kind,
            flag: info >> 31 == 1,
            name: word(header, 0),
            word: word(header, 8),
            tail,
        })
    }

    /// Bytes of the record, its elements included.
    pub(super) fn len(&self) -> usize {
        RECORD_LEN + self.tail.len()
    }

    /// The type that it is about, for kinds that have one in the record itself.
    pub(super) fn target(&self) -> Option<u32> {
        matches!(
            self.kind,
            Kind::Ptr
                | Kind::Typedef
                | Kind::Volatile
                | Kind::Const
                | Kind::Restrict
                | Kind::Func
                | Kind::FuncProto
                | Kind::Var
                | Kind::DeclTag
                | Kind::TypeTag
        )
        .then_some(self.word)
    }

    /// The elements, each as three words: members, values of 64 bits, variables of a section.
    pub(super) fn triples(&self) -> impl ExactSizeIterator<Item = [u32; 3]> + use<'a> {
        self.tail
            .chunks_exact(12)
            .map(|bytes| [word(bytes, 0), word(bytes, 4), word(bytes, 8)])
    }

    /// The elements, each as two words: values of 32 bits, parameters.
    pub(super) fn pairs(&self) -> impl ExactSizeIterator<Item = [u32; 2]> + use<'a> {
        self.tail
            .chunks_exact(8)
            .map(|bytes| [word(bytes, 0), word(bytes, 4)])
    }

    /// The n-th word behind the record.
    pub(super) fn extra(&self, index: usize) -> u32 {
        word(self.tail, 4 * index)
    }
}

/// Why there is no record to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    Truncated,
    Kind(u32),
}

/// Bytes behind a record with `count` elements.
fn tail_len(kind: Kind, count: usize) -> usize {
    match kind {
        Kind::Int | Kind::Var | Kind::DeclTag => 4,
        Kind::Array => 12,
        Kind::Struct | Kind::Union | Kind::Datasec | Kind::Enum64 => 12 * count,
        Kind::Enum | Kind::FuncProto => 8 * count,
        Kind::Void
        | Kind::Ptr
        | Kind::Fwd
        | Kind::Typedef
        | Kind::Volatile
        | Kind::Const
        | Kind::Restrict
        | Kind::Func
        | Kind::Float
        | Kind::TypeTag => 0,
    }
}

/// The little-endian word at `at`; 0 where there is none, which callers have ruled out.
pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
