//! A writer of small BTF sections.

use super::format::{HEADER_LEN, MAGIC, VERSION};
use super::kinds::Kind;

/// Writes types one after the other; each method gives the id of what it wrote.
#[derive(Debug, Clone)]
pub struct BtfWriter {
    types: Vec<u8>,
    strings: Vec<u8>,
    next_id: u32,
    first_string: u32,
}

impl Default for BtfWriter {
    fn default() -> BtfWriter {
        BtfWriter {
            types: Vec::new(),
            strings: vec![0],
            next_id: 1,
            first_string: 0,
        }
    }
}

impl BtfWriter {
    /// A section that stands alone.
    pub fn new() -> BtfWriter {
        BtfWriter::default()
    }

    /// A section whose ids and strings continue those of this one.
    pub fn split(&self) -> BtfWriter {
        BtfWriter {
            types: Vec::new(),
            strings: Vec::new(),
            next_id: self.next_id,
            first_string: self.first_string + self.strings.len() as u32,
        }
    }

    /// The id that the next type gets.
    pub fn next_id(&self) -> u32 {
        self.next_id
    }

    /// Adds a string; gives its offset. The empty one is at 0.
    pub fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let offset = self.first_string + self.strings.len() as u32;
        self.strings.extend(text.bytes());
        self.strings.push(0);
        offset
    }

    /// Any record: its name's offset, kind number, flag, number of elements, third word, and the words behind.
    pub fn raw(&mut self, name: u32, kind: u32, flag: bool, count: u32, word: u32, tail: &[u32]) -> u32 {
        let info = u32::from(flag) << 31 | kind << 24 | count;
        for word in [name, info, word].iter().chain(tail) {
            self.types.extend(word.to_le_bytes());
        }
        self.next_id += 1;
        self.next_id - 1
    }

    /// A record without elements: pointer, typedef, qualifier, function, forward declaration, float.
    pub fn plain(&mut self, kind: Kind, name: &str, word: u32) -> u32 {
        let name = self.string(name);
        self.raw(name, kind as u32, false, 0, word, &[])
    }

    /// An integer of so many bytes.
    pub fn int(&mut self, name: &str, size: u32, signed: bool) -> u32 {
        self.int_with(name, size, (u32::from(signed) << 24) | (8 * size))
    }

    /// An integer with an encoding of its own: that of old bitfields.
    pub fn int_with(&mut self, name: &str, size: u32, encoding: u32) -> u32 {
        let name = self.string(name);
        self.raw(name, Kind::Int as u32, false, 0, size, &[encoding])
    }

    /// A pointer.
    pub fn pointer(&mut self, to: u32) -> u32 {
        self.plain(Kind::Ptr, "", to)
    }

    /// An array.
    pub fn array(&mut self, of: u32, len: u32) -> u32 {
        self.raw(0, Kind::Array as u32, false, 0, 0, &[of, of, len])
    }

    /// A struct or union: names, types and offsets in bits.
    pub fn structure(&mut self, kind: Kind, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.members(kind, name, size, members, false)
    }

    /// The same with bitfields: an offset has the number of bits, 0 for none, in its highest byte.
    pub fn bitfields(&mut self, kind: Kind, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.members(kind, name, size, members, true)
    }

    /// An enumeration of 32 bits.
    pub fn enumeration(&mut self, name: &str, signed: bool, values: &[(&str, u32)]) -> u32 {
        let mut tail = Vec::new();
        for (name, value) in values {
            tail.extend([self.string(name), *value]);
        }
        let name = self.string(name);
        self.raw(name, Kind::Enum as u32, signed, values.len() as u32, 4, &tail)
    }

    /// An enumeration of 64 bits.
    pub fn enumeration64(&mut self, name: &str, signed: bool, values: &[(&str, u64)]) -> u32 {
        let mut tail = Vec::new();
        for (name, value) in values {
            tail.extend([self.string(name), *value as u32, (*value >> 32) as u32]);
        }
        let name = self.string(name);
        self.raw(name, Kind::Enum64 as u32, signed, values.len() as u32, 8, &tail)
    }

    /// The type of a function.
    pub fn prototype(&mut self, ret: u32, params: &[(&str, u32)]) -> u32 {
        let mut tail = Vec::new();
        for (name, to) in params {
            tail.extend([self.string(name), *to]);
        }
        self.raw(0, Kind::FuncProto as u32, false, params.len() as u32, ret, &tail)
    }

    /// A variable.
    pub fn var(&mut self, name: &str, to: u32) -> u32 {
        let name = self.string(name);
        self.raw(name, Kind::Var as u32, false, 0, to, &[1])
    }

    /// A section of variables: their ids, offsets and sizes.
    pub fn datasec(&mut self, name: &str, size: u32, vars: &[[u32; 3]]) -> u32 {
        let name = self.string(name);
        self.raw(
            name,
            Kind::Datasec as u32,
            false,
            vars.len() as u32,
            size,
            vars.as_flattened(),
        )
    }

    /// The section.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend(MAGIC.to_le_bytes());
        bytes.extend([VERSION, 0]);
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        for word in [HEADER_LEN as u32, 0, types, types, strings] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(&self.types);
        bytes.extend(&self.strings);
        bytes
    }

    fn members(
        &mut self,
        kind: Kind,
        name: &str,
        size: u32,
        members: &[(&str, u32, u32)],
        flag: bool,
    ) -> u32 {
        let mut tail = Vec::new();
        for (name, to, offset) in members {
            tail.extend([self.string(name), *to, *offset]);
        }
        let name = self.string(name);
        self.raw(name, kind as u32, flag, members.len() as u32, size, &tail)
    }
}

/// Asks a [`super::Btf`] everything about every type; for fuzzing. Whatever was parsed must answer.
///
/// # Panics
/// When answers contradict each other.
pub fn ask_everything(btf: &super::Btf) {
    use super::KindSet;

    for id in btf.ids() {
        let name = btf.name(id);
        if !name.is_empty() {
            assert!(btf.find_all(name, KindSet::ANY).any(|same| same == id));
            assert!(btf.find(name, btf.kind(id).into()).is_some());
        }
        assert!(!btf.kind(btf.resolve(id)).is_modifier());
        assert!(btf.declaration(id).len() < 1 << 17);
        let _ = (
            btf.size_of(id),
            btf.pointee(id),
            btf.array(id),
            btf.int(id),
            btf.prototype(id),
        );
        assert_eq!(btf.datasec_vars(name).count(), btf.datasec_vars(name).count());
        for member in btf.members(id).take(64) {
            match btf.field(id, member.name) {
                Ok(field) => assert!(field.size == btf.size_of(field.type_id)),
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
        for constant in btf.enumerators(id).take(64) {
            assert!(btf.enum_name(id, constant.value).is_some());
            if !constant.name.is_empty() {
                assert!(btf.enum_value(None, constant.name).is_some());
            }
        }
    }
    for path in ["a.b[3].c", "a", "[1]", ".", ""] {
        let _ = btf.offset_of("a", path).map_err(|error| error.to_string());
    }
}
