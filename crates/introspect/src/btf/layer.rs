//! One `.BTF` section, checked and indexed.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::enums::Constants;
use super::format::{HEADER_LEN, MAGIC, RECORD_LEN, Record, Unreadable, VERSION, word};
use super::kinds::Kind;

/// The longest name, in bytes, that a type may have. The kernel's own limit for symbols is 512.
const MAX_NAME: usize = 4096;

/// Why bytes are not type information that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// Too short for a header, or with another magic number.
    #[error("not BTF: it begins with {start}")]
    NotBtf {
        /// The first bytes, printable.
        start: String,
    },
    /// Written by a machine of the other byte order.
    #[error("BTF of a big-endian machine cannot be read")]
    BigEndian,
    /// A version that is not known.
    #[error("BTF of version {version} cannot be read, only version 1")]
    Version {
        /// The version told.
        version: u8,
    },
    /// The header tells a part that is not there.
    #[error("its {part} are said to be bytes {from} to {to}, and there are {len}")]
    OutOfBounds {
        /// Which part.
        part: &'static str,
        /// First byte, from the start of the section.
        from: u64,
        /// The byte behind the last.
        to: u64,
        /// Bytes of the section.
        len: usize,
    },
    /// The strings do not begin or not end with a zero byte.
    #[error("its strings do not begin and end with a zero byte")]
    Unterminated,
    /// A record's kind is not known.
    #[error("type {id} is of the unknown kind {kind}")]
    UnknownKind {
        /// The type.
        id: u32,
        /// Its kind.
        kind: u32,
    },
    /// The types end within a record.
    #[error("the types end within type {id}")]
    Truncated {
        /// The type.
        id: u32,
    },
    /// A name that lies outside of the strings, or that is none: too long, or not UTF-8.
    #[error("type {id} has a name at {offset}, where there is none")]
    BadName {
        /// The type.
        id: u32,
        /// Offset of the name in the strings.
        offset: u32,
    },
    /// A type refers to one that does not exist.
    #[error("type {id} refers to type {to}, and there are {types}")]
    BadReference {
        /// The type.
        id: u32,
        /// What it refers to.
        to: u32,
        /// How many there are, with those of the base.
        types: u32,
    },
    /// With the base's, there are more than 2^32 types or string bytes.
    #[error("it has too many types or strings to go with its base")]
    TooMany,
}

/// One section: its records, its strings, and how to find them.
pub(super) struct Layer {
    /// The id of its first type.
    pub(super) first_id: u32,
    /// The offset of its first string byte.
    pub(super) first_string: u32,
    types: Box<[u8]>,
    strings: Box<[u8]>,
    /// Where the records start.
    starts: Box<[u32]>,
    names: Names,
    /// Made when it is first asked for.
    pub(super) constants: OnceLock<Constants>,
}

impl Layer {
    /// Checks and indexes `bytes`, whose ids and string offsets continue after `base`.
    pub(super) fn parse(bytes: &[u8], base: &[Arc<Layer>]) -> Result<Layer, BtfError> {
        let (types, strings) = sections(bytes)?;
        let (types, strings) = (&bytes[types], &bytes[strings]);
        let bounded = match strings {
            [] => !base.is_empty(),
            [first, .., last] => *last == 0 && (*first == 0 || !base.is_empty()),
            [only] => *only == 0,
        };
        if !bounded {
            return Err(BtfError::Unterminated);
        }
        let (first_id, first_string) = base
            .last()
            .map_or((1, 0), |last| (last.end_id(), last.end_string()));
        let within = |first: u32, count: usize| {
            let count = u32::try_from(count).ok();
            count.and_then(|count| first.checked_add(count)).is_some()
        };
        if !within(first_id, types.len() / RECORD_LEN) || !within(first_string, strings.len()) {
            return Err(BtfError::TooMany);
        }
        let mut layer = Layer {
            first_id,
            first_string,
            types: types.into(),
            strings: strings.into(),
            starts: Box::default(),
            names: Names::default(),
            constants: OnceLock::new(),
        };
        layer.starts = layer.starts()?;
        layer.names = Names::of(&layer, base)?;
        Ok(layer)
    }

    /// The id behind its last type.
    pub(super) fn end_id(&self) -> u32 {
        self.first_id + self.starts.len() as u32
    }

    /// The ids of its types.
    pub(super) fn ids(&self) -> Range<u32> {
        self.first_id..self.end_id()
    }

    pub(super) fn record(&self, id: u32) -> Option<Record<'_>> {
        let start = *self.starts.get(id.checked_sub(self.first_id)? as usize)?;
        Record::read(&self.types, start as usize).ok()
    }

    /// The string at `offset`, one of its own, without its end; empty where there is none.
    pub(super) fn string(&self, offset: u32) -> &[u8] {
        let own = offset
            .checked_sub(self.first_string)
            .and_then(|own| self.strings.get(own as usize..));
        let own = own.unwrap_or_default();
        let own = &own[..own.len().min(MAX_NAME + 1)];
        memchr::memchr(0, own).map_or(&[], |end| &own[..end])
    }

    /// Is this what stands at `offset`?
    pub(super) fn is_string(&self, offset: u32, text: &[u8]) -> bool {
        let own = offset
            .checked_sub(self.first_string)
            .and_then(|own| self.strings.get(own as usize..))
            .unwrap_or_default();
        // Most differ in the first byte, or in the length.
        own.first() == Some(text.first().unwrap_or(&0))
            && own.get(text.len()) == Some(&0)
            && own.starts_with(text)
    }

    /// The ids with this name, ascending.
    pub(super) fn named<'a>(
        &'a self,
        name: &'a str,
        base: &'a [Arc<Layer>],
    ) -> impl Iterator<Item = u32> + use<'a> {
        let first = self.names.first(self, name.as_bytes(), base);
        std::iter::successors(first, |id| self.names.next(id - self.first_id))
    }

    fn end_string(&self) -> u32 {
        self.first_string + self.strings.len() as u32
    }

    /// Walks the records and checks each.
    fn starts(&self) -> Result<Box<[u32]>, BtfError> {
        let mut starts = Vec::with_capacity(self.types.len() / (2 * RECORD_LEN));
        let (mut id, mut at) = (self.first_id, 0);
        // What the greatest reference and name are is known at once, whether they are right only at the end.
        let (mut reference, mut name) = (Greatest::default(), Greatest::default());
        while at < self.types.len() {
            let record = Record::read(&self.types, at).map_err(|problem| match problem {
                Unreadable::Truncated => BtfError::Truncated { id },
                Unreadable::Kind(kind) => BtfError::UnknownKind { id, kind },
            })?;
            name.note(id, record.name);
            note_elements(id, &record, &mut reference, &mut name);
            starts.push(at as u32);
            at += record.len();
            id += 1;
        }
        if name.value != 0 && name.value >= self.end_string() {
            return Err(BtfError::BadName {
                id: name.id,
                offset: name.value,
            });
        }
        if reference.value >= id {
            return Err(BtfError::BadReference {
                id: reference.id,
                to: reference.value,
                types: id,
            });
        }
        Ok(starts.into())
    }
}

/// The greatest value seen, and in what type.
#[derive(Default)]
struct Greatest {
    value: u32,
    id: u32,
}

impl Greatest {
    fn note(&mut self, id: u32, value: u32) {
        if value > self.value {
            *self = Greatest { value, id };
        }
    }
}

fn note_elements(id: u32, record: &Record<'_>, reference: &mut Greatest, name: &mut Greatest) {
    match record.kind {
        Kind::Struct | Kind::Union => record.triples().for_each(|[member, to, _]| {
            name.note(id, member);
            reference.note(id, to);
        }),
        Kind::Datasec => record.triples().for_each(|[to, ..]| reference.note(id, to)),
        Kind::Enum64 => record.triples().for_each(|[value, ..]| name.note(id, value)),
        Kind::Enum => record.pairs().for_each(|[value, _]| name.note(id, value)),
        Kind::FuncProto => {
            reference.note(id, record.word);
            record.pairs().for_each(|[parameter, to]| {
                name.note(id, parameter);
                reference.note(id, to);
            });
        }
        Kind::Array => {
            reference.note(id, record.extra(0));
            reference.note(id, record.extra(1));
        }
        _ => reference.note(id, record.target().unwrap_or(0)),
    }
}

/// Name to ids. Those of one name are a list, in ascending order.
#[derive(Default)]
struct Names {
    /// The first id of each name.
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The next id of the same name, 0 at the end.
    next: Box<[u32]>,
}

impl Names {
    fn of(layer: &Layer, base: &[Arc<Layer>]) -> Result<Names, BtfError> {
        let hasher = DefaultHashBuilder::default();
        let mut table: HashTable<u32> = HashTable::with_capacity(layer.starts.len());
        let mut next = vec![0; layer.starts.len()].into_boxed_slice();
        let name_of = |id: u32| {
            let offset = layer.record(id).map_or(0, |record| record.name);
            (offset, string(layer, base, offset))
        };
        // From the last to the first: whoever is put in front of a list then is its smallest.
        for (id, next) in layer.ids().zip(&mut next).rev() {
            let (offset, name) = name_of(id);
            if offset == 0 {
                continue;
            }
            if str::from_utf8(name).is_err() || name.is_empty() && !layer_or_base_has(layer, base, offset) {
                return Err(BtfError::BadName { id, offset });
            }
            let entry = table.entry(
                hasher.hash_one(name),
                |other| name_of(*other).1 == name,
                |other| hasher.hash_one(name_of(*other).1),
            );
            match entry {
                hashbrown::hash_table::Entry::Occupied(mut first) => {
                    *next = std::mem::replace(first.get_mut(), id);
                }
                hashbrown::hash_table::Entry::Vacant(empty) => {
                    empty.insert(id);
                }
            }
        }
        Ok(Names { table, hasher, next })
    }

    fn first(&self, layer: &Layer, name: &[u8], base: &[Arc<Layer>]) -> Option<u32> {
        let same = |id: &u32| {
            let offset = layer.record(*id).map_or(0, |record| record.name);
            string(layer, base, offset) == name
        };
        self.table.find(self.hasher.hash_one(name), same).copied()
    }

    fn next(&self, index: u32) -> Option<u32> {
        self.next.get(index as usize).copied().filter(|id| *id != 0)
    }
}

/// The string at `offset`, of this layer or of those below.
fn string<'a>(layer: &'a Layer, base: &'a [Arc<Layer>], offset: u32) -> &'a [u8] {
    owner(layer, base, offset).string(offset)
}

fn owner<'a>(layer: &'a Layer, base: &'a [Arc<Layer>], offset: u32) -> &'a Layer {
    if offset >= layer.first_string {
        return layer;
    }
    let below = base.iter().rev().find(|below| below.first_string <= offset);
    below.map_or(layer, |below| below)
}

/// True when the empty string at `offset` is one, and not a name that is too long.
fn layer_or_base_has(layer: &Layer, base: &[Arc<Layer>], offset: u32) -> bool {
    owner(layer, base, offset).is_string(offset, b"")
}

/// Where the header says that types and strings are.
fn sections(bytes: &[u8]) -> Result<(Range<usize>, Range<usize>), BtfError> {
    const SHOWN: usize = 8;
    let not_btf = || BtfError::NotBtf {
        start: format!("'{}'", bytes[..bytes.len().min(SHOWN)].escape_ascii()),
    };
    let header: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or_else(not_btf)?;
    match u16::from_le_bytes([header[0], header[1]]) {
        MAGIC => {}
        swapped if swapped == MAGIC.swap_bytes() => return Err(BtfError::BigEndian),
        _ => return Err(not_btf()),
    }
    if header[2] != VERSION {
        return Err(BtfError::Version { version: header[2] });
    }
    let behind = u64::from(word(header, 4));
    let range = |part, offset: usize| {
        let from = behind + u64::from(word(header, offset));
        let to = from + u64::from(word(header, offset + 4));
        let out = BtfError::OutOfBounds {
            part,
            from,
            to,
            len: bytes.len(),
        };
        match (usize::try_from(from), usize::try_from(to)) {
            (Ok(from), Ok(to)) if to <= bytes.len() && behind >= HEADER_LEN as u64 => Ok(from..to),
            _ => Err(out),
        }
    };
    Ok((range("types", 8)?, range("strings", 16)?))
}
