//! Paths into structs: `se.vruntime`, `a.b[3].c`.
//!
//! ```text
//!  path = step { "." name | "[" number "]" }      step = name | "[" number "]"
//! ```
//!
//! Members of anonymous structs and unions are found as C finds them, as if they were the outer one's. A path stays
//! within one object: it does not follow pointers.

use std::ops::Range;

use super::shape::Shape;
use super::types::{Btf, Missing, RawMember, TypeId};

/// Anonymous structs within anonymous structs.
const MAX_DEPTH: usize = 32;
/// Members looked at for one name; beyond, anonymous structs contain each other.
const MAX_MEMBERS: usize = 1 << 18;
/// Names shown in an error.
const MAX_SHOWN: usize = 12;
/// Similar names shown in an error, and how similar (0 to 1, Jaro-Winkler).
const MAX_NEAR: usize = 3;
const NEAR: f64 = 0.8;
/// Characters of a name shown in an error.
const MAX_TEXT: usize = 80;

/// Where a part of an object is, and what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Where it begins, in bits from the start of the object.
    pub offset_bits: u64,
    /// Its type.
    pub type_id: TypeId,
    /// Bits of a bitfield.
    pub bitfield: Option<u8>,
    /// Bytes of its type; of a bitfield, of the integer it is declared with. `None` for what has no size.
    pub size: Option<u64>,
    /// How its value is read.
    pub shape: Shape,
}

/// Why there is no such field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The kernel has no such struct.
    #[error(transparent)]
    NoStructure(#[from] Missing),
    /// A struct has no such member.
    #[error("{structure} has no member '{member}'{}", hint(.near, .members))]
    NoMember {
        /// The struct: `struct task_struct`.
        structure: String,
        /// The name looked for.
        member: String,
        /// Members with similar names.
        near: Vec<String>,
        /// The first of its members.
        members: Vec<String>,
    },
    /// A name follows something that has no members.
    #[error("there is no '{member}' in '{part}': it is of type {declaration}{}", if *.pointer { ", read the pointer first" } else { "" })]
    NotAStructure {
        /// The path up to there.
        part: String,
        /// The name that follows.
        member: String,
        /// What it is.
        declaration: String,
        /// Is it a pointer?
        pointer: bool,
    },
    /// An index follows something that is no array.
    #[error("'{part}' cannot be indexed: it is of type {declaration}")]
    NotAnArray {
        /// The path up to there.
        part: String,
        /// What it is.
        declaration: String,
    },
    /// An index beyond the end of an array.
    #[error("'{part}' has {len} elements, so none with index {index}")]
    BadIndex {
        /// The path up to there.
        part: String,
        /// The index asked for.
        index: u64,
        /// How many elements there are.
        len: u32,
    },
    /// The path does not follow its grammar.
    #[error("'{path}' is not a path such as 'a.b[3].c': see character {at}")]
    BadPath {
        /// The path.
        path: String,
        /// The position of what is wrong, from 0.
        at: usize,
    },
    /// Its offset is no whole number of bytes.
    #[error("'{path}' is a bitfield, it has no offset in bytes")]
    Bitfield {
        /// The path.
        path: String,
    },
    /// Anonymous structs that contain themselves, or an offset beyond 2^64: the type information is damaged.
    #[error("{structure} is too deep for '{member}' to be found in it")]
    TooDeep {
        /// The struct.
        structure: String,
        /// The name looked for.
        member: String,
    },
}

impl Field {
    /// Where it begins, in bytes; `None` for a bitfield.
    pub fn byte_offset(&self) -> Option<u64> {
        (self.bitfield.is_none() && self.offset_bits.is_multiple_of(8)).then_some(self.offset_bits / 8)
    }

    /// The bytes of the object that hold it; empty for what has no size.
    pub fn bytes(&self) -> Range<u64> {
        let bits = match self.bitfield {
            Some(bits) => u64::from(bits),
            None => self.size.unwrap_or(0).saturating_mul(8),
        };
        self.offset_bits / 8..self.offset_bits.saturating_add(bits).div_ceil(8)
    }

    /// Its value, of at most 64 bits, from [`Field::bytes`] of the object: without a sign.
    pub fn value(&self, bytes: &[u8]) -> Option<u64> {
        let range = self.bytes();
        // A bitfield of 64 bits can lie in 9 bytes.
        if bytes.len() as u64 != range.end - range.start || bytes.is_empty() || bytes.len() > 9 {
            return None;
        }
        let mut wide = [0; 16];
        wide[..bytes.len()].copy_from_slice(bytes);
        let bits = match self.bitfield {
            Some(bits) => u32::from(bits),
            None => u32::try_from(self.size?).ok()?.checked_mul(8)?,
        };
        if bits > 64 {
            return None;
        }
        let value = u128::from_le_bytes(wide) >> (self.offset_bits % 8);
        Some((value & ((1u128 << bits) - 1)) as u64)
    }
}

impl Btf {
    /// Where `path` leads in a struct, union or array. It is followed once, and then remembered.
    ///
    /// # Errors
    /// [`FieldError`] with the step that leads nowhere.
    pub fn field(&self, structure: TypeId, path: &str) -> Result<Field, FieldError> {
        self.0
            .paths
            .get_or(structure.0, path, || self.follow(structure, path))
    }

    /// [`Btf::field`] of a struct by name, in bytes.
    ///
    /// # Errors
    /// [`FieldError`] when there is no such struct, no such field, or it is a bitfield.
    pub fn offset_of(&self, structure: &str, path: &str) -> Result<u64, FieldError> {
        let field = self.field(self.structure(structure)?, path)?;
        field
            .byte_offset()
            .ok_or_else(|| FieldError::Bitfield { path: cut(path) })
    }

    fn follow(&self, structure: TypeId, path: &str) -> Result<Field, FieldError> {
        let mut at = Field {
            offset_bits: 0,
            type_id: structure,
            bitfield: None,
            size: None,
            shape: Shape::Other,
        };
        let mut steps = Steps { path, at: 0 };
        loop {
            let part = &path[..steps.at];
            match steps.next()? {
                Some(Step::Member(name)) => self.enter(&mut at, part, name)?,
                Some(Step::Index(index)) => self.index(&mut at, part, index)?,
                None => break,
            }
        }
        at.size = self.size_of(at.type_id);
        at.shape = self.shape(at.type_id);
        Ok(at)
    }

    fn enter(&self, at: &mut Field, part: &str, name: &str) -> Result<(), FieldError> {
        let inner = self.resolve(at.type_id);
        if !self.kind(inner).is_structure() || at.bitfield.is_some() {
            return Err(FieldError::NotAStructure {
                part: cut(part),
                member: cut(name),
                declaration: self.declaration(at.type_id),
                pointer: self.pointee(inner).is_some(),
            });
        }
        let mut budget = MAX_MEMBERS;
        let found = self.member(inner, name, 0, &mut budget);
        let too_deep = || FieldError::TooDeep {
            structure: self.declaration(inner),
            member: cut(name),
        };
        let (offset, member) = found
            .map_err(|TooDeep| too_deep())?
            .ok_or_else(|| self.no_member(inner, name))?;
        let (place, bitfield) = self.place(&member);
        let offset_bits = at
            .offset_bits
            .checked_add(offset)
            .and_then(|bits| bits.checked_add(place));
        *at = Field {
            offset_bits: offset_bits.ok_or_else(too_deep)?,
            type_id: member.type_id,
            bitfield,
            size: None,
            shape: Shape::Other,
        };
        Ok(())
    }

    /// The member of this name, and where the anonymous struct that it is in begins.
    fn member(
        &self,
        structure: TypeId,
        name: &str,
        depth: usize,
        budget: &mut usize,
    ) -> Result<Option<(u64, RawMember)>, TooDeep> {
        for member in self.raw_members(structure) {
            *budget = budget.checked_sub(1).ok_or(TooDeep)?;
            if self.is_string(member.name, name) {
                return Ok(Some((0, member)));
            }
            if member.name != 0 && !self.is_string(member.name, "") {
                continue;
            }
            if depth == MAX_DEPTH {
                return Err(TooDeep);
            }
            if let Some((offset, found)) = self.member(member.type_id, name, depth + 1, budget)? {
                let (outer, _) = self.place(&member);
                return Ok(Some((offset.checked_add(outer).ok_or(TooDeep)?, found)));
            }
        }
        Ok(None)
    }

    fn index(&self, at: &mut Field, part: &str, index: u64) -> Result<(), FieldError> {
        let Some((element, len)) = self.array(at.type_id) else {
            return Err(FieldError::NotAnArray {
                part: cut(part),
                declaration: self.declaration(at.type_id),
            });
        };
        let bad = || FieldError::BadIndex {
            part: cut(part),
            index,
            len,
        };
        // A flexible array ends where its object ends, which its type does not tell.
        if len != 0 && index >= u64::from(len) {
            return Err(bad());
        }
        let size = self.size_of(element).unwrap_or(0);
        let offset = size.checked_mul(index).and_then(|bytes| bytes.checked_mul(8));
        let offset_bits = offset.and_then(|bits| bits.checked_add(at.offset_bits));
        *at = Field {
            offset_bits: offset_bits.ok_or_else(bad)?,
            type_id: element,
            bitfield: None,
            size: None,
            shape: Shape::Other,
        };
        Ok(())
    }

    fn no_member(&self, structure: TypeId, name: &str) -> FieldError {
        let mut names = Vec::new();
        let mut budget = MAX_MEMBERS;
        self.names(structure, 0, &mut budget, &mut names);
        let mut near: Vec<(f64, &str)> = names
            .iter()
            .filter(|other| other.len() <= MAX_TEXT && name.len() <= MAX_TEXT)
            .map(|other| (strsim::jaro_winkler(name, other), *other))
            .filter(|(likeness, _)| *likeness >= NEAR)
            .collect();
        near.sort_by(|one, other| other.0.total_cmp(&one.0));
        FieldError::NoMember {
            structure: self.declaration(structure),
            member: cut(name),
            near: near.iter().take(MAX_NEAR).map(|(_, name)| cut(name)).collect(),
            members: names.iter().take(MAX_SHOWN).map(|name| cut(name)).collect(),
        }
    }

    /// All names that C would find in a struct.
    fn names<'a>(&'a self, structure: TypeId, depth: usize, budget: &mut usize, names: &mut Vec<&'a str>) {
        for member in self.raw_members(structure) {
            let Some(left) = budget.checked_sub(1) else {
                return;
            };
            *budget = left;
            match self.string(member.name) {
                "" if depth < MAX_DEPTH => self.names(member.type_id, depth + 1, budget, names),
                "" => {}
                name => names.push(name),
            }
        }
    }
}

/// Anonymous structs that contain themselves.
struct TooDeep;

enum Step<'a> {
    Member(&'a str),
    Index(u64),
}

/// Takes a path apart.
struct Steps<'a> {
    path: &'a str,
    at: usize,
}

impl<'a> Steps<'a> {
    fn next(&mut self) -> Result<Option<Step<'a>>, FieldError> {
        let (start, rest) = (self.at, &self.path[self.at..]);
        if let Some(inside) = rest.strip_prefix('[') {
            let (digits, _) = inside.split_once(']').ok_or_else(|| self.bad(self.path.len()))?;
            let index = digits
                .parse()
                .ok()
                .filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
            self.at += digits.len() + 2;
            return index
                .map(Step::Index)
                .map(Some)
                .ok_or_else(|| self.bad(start + 1));
        }
        if rest.is_empty() && start > 0 {
            return Ok(None);
        }
        let name = match (rest.strip_prefix('.'), start) {
            (Some(name), 1..) => name,
            (None, 0) => rest,
            _ => return Err(self.bad(start)),
        };
        let end = name.find(['.', '[']).unwrap_or(name.len());
        if end == 0 {
            return Err(self.bad(self.path.len() - name.len()));
        }
        self.at = self.path.len() - name.len() + end;
        Ok(Some(Step::Member(&name[..end])))
    }

    fn bad(&self, at: usize) -> FieldError {
        FieldError::BadPath {
            path: cut(self.path),
            at,
        }
    }
}

/// What a message says behind "no such member".
fn hint(near: &[String], members: &[String]) -> String {
    match (near, members) {
        ([], []) => ": it has none".to_owned(),
        ([], _) if members.len() < MAX_SHOWN => format!("; it has {}", members.join(", ")),
        ([], _) => format!("; it has {}, …", members.join(", ")),
        _ => format!("; did you mean {}?", near.join(" or ")),
    }
}

/// A text of reasonable length.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
