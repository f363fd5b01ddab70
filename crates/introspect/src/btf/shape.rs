//! How a value of a type is read.

use super::kinds::Kind;
use super::types::{Btf, MAX_CHAIN, TypeId};

/// What a type is behind typedefs and qualifiers, as far as whoever reads a value of it must know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An integer or an enumeration.
    Number {
        /// Bytes.
        size: u8,
        /// Has it negative values?
        signed: bool,
    },
    /// A pointer.
    Pointer {
        /// What it leads to.
        to: TypeId,
    },
    /// An array.
    Array {
        /// The type of its elements.
        of: TypeId,
        /// How many there are; 0 of a flexible one.
        len: u32,
    },
    /// A struct, a union, or what has no value.
    Other,
}

impl Btf {
    /// How a value of this type is read.
    pub fn shape(&self, id: TypeId) -> Shape {
        let mut id = id;
        for _ in 0..MAX_CHAIN {
            let Some(record) = self.record(id) else {
                return Shape::Other;
            };
            let signed = match record.kind {
                kind if kind.is_modifier() => {
                    id = TypeId(record.word);
                    continue;
                }
                Kind::Ptr => {
                    return Shape::Pointer {
                        to: TypeId(record.word),
                    };
                }
                Kind::Array => {
                    return Shape::Array {
                        of: TypeId(record.extra(0)),
                        len: record.extra(2),
                    };
                }
                Kind::Int => self.int(id).is_some_and(|int| int.signed),
                Kind::Enum | Kind::Enum64 => record.flag,
                _ => return Shape::Other,
            };
            // No compiler makes wider ones.
            let size = u8::try_from(record.word).unwrap_or(u8::MAX);
            return Shape::Number { size, signed };
        }
        Shape::Other
    }
}
