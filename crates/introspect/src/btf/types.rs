//! [`Btf`], and the questions that one record answers.

use std::fmt;
use std::sync::Arc;

use super::fields::{Field, FieldError};
use super::format::Record;
use super::kinds::{Kind, KindSet};
use super::layer::{BtfError, Layer};
use crate::memo::Memo;

/// How many typedefs, qualifiers or array dimensions are followed; beyond, it is a circle.
pub(super) const MAX_CHAIN: usize = 64;

/// All guests are 64-bit machines.
const POINTER_SIZE: u64 = 8;

/// Type information of a kernel, or of a module or BPF program; cheap to clone.
///
/// Ids belong to the `Btf` that gave them, and to those split from it. An id that it does not have is like
/// [`TypeId::VOID`].
#[derive(Clone)]
pub struct Btf(pub(super) Arc<Inner>);

/// What the clones of a [`Btf`] share.
pub(super) struct Inner {
    /// The base first.
    pub(super) layers: Box<[Arc<Layer>]>,
    /// Types by name, first complete ones, for each set of kinds.
    names: Memo<Option<TypeId>>,
    /// Where paths lead in a type.
    pub(super) paths: Memo<Result<Field, FieldError>>,
}

/// A type of a [`Btf`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

/// A type that a kernel does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this kernel has no {kind} {name}")]
pub struct Missing {
    /// What was looked for: `struct`, `function`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
}

/// A member of a struct or union, as it is written there: an anonymous one has an empty name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemberInfo<'a> {
    /// Its name; empty when it has none.
    pub name: &'a str,
    /// Its type.
    pub type_id: TypeId,
    /// Where it begins in the struct, in bits.
    pub offset_bits: u64,
    /// Bits of a bitfield.
    pub bitfield: Option<u8>,
}

/// What an integer looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntInfo {
    /// Bits of its value.
    pub bits: u8,
    /// Has it a sign?
    pub signed: bool,
    /// Is it a `char`?
    pub is_char: bool,
    /// Is it a `bool`?
    pub is_bool: bool,
}

/// What a function takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prototype<'a> {
    /// Its result; [`TypeId::VOID`] for none.
    pub ret: TypeId,
    /// Names and types of its parameters.
    pub params: Vec<(&'a str, TypeId)>,
    /// Takes it more (`...`)?
    pub variadic: bool,
}

/// A variable in a section of a BPF program: `.bss`, `.data`, `.rodata`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatasecVar<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type, not the [`Kind::Var`] itself.
    pub type_id: TypeId,
    /// Bytes from the start of the section.
    pub offset: u32,
    /// Bytes of it.
    pub size: u32,
}

impl TypeId {
    /// No type: the `void` of C.
    pub const VOID: TypeId = TypeId(0);
}

impl Btf {
    /// Reads a `.BTF` section that stands alone: a kernel's or a BPF program's.
    ///
    /// # Errors
    /// [`BtfError`] with whatever is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Btf, BtfError> {
        Btf::above(&[], bytes)
    }

    /// Reads a `.BTF` section whose ids and strings continue those of `base`: a module's.
    ///
    /// # Errors
    /// [`BtfError`] with whatever is wrong; a wrong base is not always noticed.
    pub fn parse_split(base: &Btf, bytes: &[u8]) -> Result<Btf, BtfError> {
        Btf::above(&base.0.layers, bytes)
    }

    /// The type of this name and of one of these kinds: the first that is complete, of the base before the split.
    pub fn find(&self, name: &str, kinds: KindSet) -> Option<TypeId> {
        self.0
            .names
            .get_or(kinds.bits(), name, || self.first(name, kinds))
    }

    fn first(&self, name: &str, kinds: KindSet) -> Option<TypeId> {
        let mut all = self.find_all(name, kinds);
        let first = all.next()?;
        if self.is_complete(first) {
            return Some(first);
        }
        Some(all.find(|id| self.is_complete(*id)).unwrap_or(first))
    }

    /// All types of this name and of one of these kinds, in ascending order.
    pub fn find_all<'a>(&'a self, name: &'a str, kinds: KindSet) -> impl Iterator<Item = TypeId> + use<'a> {
        let layers = self.0.layers.iter().enumerate();
        layers
            .flat_map(move |(index, layer)| layer.named(name, &self.0.layers[..index]))
            .map(TypeId)
            .filter(move |id| kinds.contains(self.kind(*id)))
    }

    /// A struct or union by name.
    ///
    /// # Errors
    /// [`Missing`] when the kernel has none.
    pub fn structure(&self, name: &str) -> Result<TypeId, Missing> {
        self.find(name, KindSet::STRUCTURE).ok_or_else(|| Missing {
            kind: "struct",
            name: name.to_owned(),
        })
    }

    /// All ids, in ascending order.
    pub fn ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        let end = self.0.layers.last().map_or(1, |layer| layer.end_id());
        (1..end).map(TypeId)
    }

    /// Its name; empty when it has none.
    pub fn name(&self, id: TypeId) -> &str {
        self.record(id).map_or("", |record| self.string(record.name))
    }

    /// The text at an offset of the strings; empty where there is none.
    pub fn text(&self, offset: u32) -> &str {
        self.string(offset)
    }

    /// Its kind.
    pub fn kind(&self, id: TypeId) -> Kind {
        self.record(id).map_or(Kind::Void, |record| record.kind)
    }

    /// Bytes of a value of this type, through typedefs, qualifiers and arrays; `None` for what has no size, and for
    /// what is declared only.
    pub fn size_of(&self, id: TypeId) -> Option<u64> {
        let (mut id, mut count) = (id, 1u64);
        for _ in 0..MAX_CHAIN {
            let record = self.record(id)?;
            let one = match record.kind {
                Kind::Ptr => POINTER_SIZE,
                Kind::Int
                | Kind::Float
                | Kind::Enum
                | Kind::Enum64
                | Kind::Struct
                | Kind::Union
                | Kind::Datasec => u64::from(record.word),
                Kind::Array => {
                    count = count.checked_mul(u64::from(record.extra(2)))?;
                    id = TypeId(record.extra(0));
                    continue;
                }
                Kind::Func | Kind::FuncProto | Kind::DeclTag => return None,
                _ => {
                    id = TypeId(record.target()?);
                    continue;
                }
            };
            return count.checked_mul(one);
        }
        None
    }

    /// The type behind typedefs, `const`, `volatile`, `restrict` and type tags; [`TypeId::VOID`] when they go in a
    /// circle.
    pub fn resolve(&self, id: TypeId) -> TypeId {
        let mut id = id;
        for _ in 0..MAX_CHAIN {
            match self.record(id) {
                Some(record) if record.kind.is_modifier() => id = TypeId(record.word),
                _ => return id,
            }
        }
        TypeId::VOID
    }

    /// What a pointer leads to.
    pub fn pointee(&self, id: TypeId) -> Option<TypeId> {
        let record = self.record(self.resolve(id))?;
        (record.kind == Kind::Ptr).then_some(TypeId(record.word))
    }

    /// The type that a typedef, a qualifier, a pointer, a function or a variable is about, one step.
    pub fn target(&self, id: TypeId) -> Option<TypeId> {
        Some(TypeId(self.record(id)?.target()?))
    }

    /// Elements of an array: their type and number; 0 of a flexible array.
    pub fn array(&self, id: TypeId) -> Option<(TypeId, u32)> {
        let record = self.record(self.resolve(id))?;
        (record.kind == Kind::Array).then(|| (TypeId(record.extra(0)), record.extra(2)))
    }

    /// What an integer looks like.
    pub fn int(&self, id: TypeId) -> Option<IntInfo> {
        let record = self.record(self.resolve(id))?;
        (record.kind == Kind::Int).then(|| {
            let encoding = record.extra(0);
            IntInfo {
                bits: encoding as u8,
                signed: encoding >> 24 & 1 != 0,
                is_char: encoding >> 24 & 2 != 0,
                is_bool: encoding >> 24 & 4 != 0,
            }
        })
    }

    /// The members of a struct or union, as they are written there; none for another type.
    pub fn members(&self, id: TypeId) -> impl Iterator<Item = MemberInfo<'_>> {
        self.raw_members(id).map(|raw| MemberInfo {
            name: self.string(raw.name),
            type_id: raw.type_id,
            offset_bits: self.place(&raw).0,
            bitfield: self.place(&raw).1,
        })
    }

    /// A function by name.
    pub fn function(&self, name: &str) -> Option<Prototype<'_>> {
        self.prototype(self.find(name, KindSet::FUNC)?)
    }

    /// What a function, a function type or a pointer to one takes and gives.
    pub fn prototype(&self, id: TypeId) -> Option<Prototype<'_>> {
        let id = self.pointee(id).map_or(id, |to| self.resolve(to));
        let id = match self.kind(id) {
            Kind::Func => self.target(id)?,
            _ => id,
        };
        let record = self.record(self.resolve(id))?;
        if record.kind != Kind::FuncProto {
            return None;
        }
        let mut params: Vec<_> = record
            .pairs()
            .map(|[name, to]| (self.string(name), TypeId(to)))
            .collect();
        // The mark for `...` is a last parameter without name and type.
        let variadic = params.last() == Some(&("", TypeId::VOID));
        if variadic {
            params.pop();
        }
        Some(Prototype {
            ret: TypeId(record.word),
            params,
            variadic,
        })
    }

    /// The variables of a section, in the order of the section; none when there is no such section.
    pub fn datasec_vars(&self, name: &str) -> impl Iterator<Item = DatasecVar<'_>> {
        let id = self.find(name, KindSet::DATASEC).unwrap_or(TypeId::VOID);
        self.section_vars(id)
    }

    /// The variables of this section; none of another type.
    pub fn section_vars(&self, id: TypeId) -> impl Iterator<Item = DatasecVar<'_>> {
        let record = self
            .record(self.resolve(id))
            .filter(|record| record.kind == Kind::Datasec);
        let all = record.into_iter().flat_map(|record| record.triples());
        all.map(|[var, offset, size]| DatasecVar {
            name: self.name(TypeId(var)),
            type_id: self.target(TypeId(var)).unwrap_or(TypeId::VOID),
            offset,
            size,
        })
    }

    fn above(base: &[Arc<Layer>], bytes: &[u8]) -> Result<Btf, BtfError> {
        let layer = Layer::parse(bytes, base)?;
        let layers = base.iter().cloned().chain([Arc::new(layer)]).collect();
        Ok(Btf(Arc::new(Inner {
            layers,
            names: Memo::default(),
            paths: Memo::default(),
        })))
    }

    /// An enumeration without values is one that is declared only.
    fn is_complete(&self, id: TypeId) -> bool {
        self.record(id).is_none_or(|record| match record.kind {
            Kind::Enum | Kind::Enum64 => !record.tail.is_empty(),
            kind => kind != Kind::Fwd,
        })
    }

    pub(super) fn record(&self, id: TypeId) -> Option<Record<'_>> {
        let mut layers = self.0.layers.iter().rev();
        layers.find(|layer| layer.first_id <= id.0)?.record(id.0)
    }

    pub(super) fn raw_members(&self, id: TypeId) -> impl Iterator<Item = RawMember> + use<'_> {
        let record = self
            .record(self.resolve(id))
            .filter(|record| record.kind.is_structure());
        record.into_iter().flat_map(|record| {
            record.triples().map(move |[name, to, offset]| RawMember {
                name,
                type_id: TypeId(to),
                offset,
                flag: record.flag,
            })
        })
    }

    /// Where a member begins, in bits, and its bits if it is a bitfield.
    pub(super) fn place(&self, member: &RawMember) -> (u64, Option<u8>) {
        if member.flag {
            let bits = (member.offset >> 24) as u8;
            return (
                u64::from(member.offset & 0x00ff_ffff),
                (bits != 0).then_some(bits),
            );
        }
        // Without the flag, what makes a bitfield is an integer type of its own, with fewer bits than its bytes have.
        let offset = u64::from(member.offset);
        let record = self.record(self.resolve(member.type_id));
        match record.filter(|record| record.kind == Kind::Int) {
            Some(int) => {
                let (bits, shift) = (int.extra(0) as u8, int.extra(0) >> 16 & 0xff);
                let narrow = shift != 0 || u64::from(bits) != 8 * u64::from(int.word);
                (
                    offset + u64::from(shift),
                    (narrow || !offset.is_multiple_of(8)).then_some(bits),
                )
            }
            None => (offset, None),
        }
    }

    /// The string at `offset`; empty where there is none, or none in UTF-8.
    pub(super) fn string(&self, offset: u32) -> &str {
        let bytes = self
            .layer_of_string(offset)
            .map_or(&[][..], |layer| layer.string(offset));
        str::from_utf8(bytes).unwrap_or_default()
    }

    pub(super) fn is_string(&self, offset: u32, text: &str) -> bool {
        self.layer_of_string(offset)
            .is_some_and(|layer| layer.is_string(offset, text.as_bytes()))
    }

    fn layer_of_string(&self, offset: u32) -> Option<&Layer> {
        let mut layers = self.0.layers.iter().rev();
        layers
            .find(|layer| layer.first_string <= offset)
            .map(|layer| &**layer)
    }
}

impl fmt::Debug for Btf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.0.layers.iter().map(|layer| layer.ids()).collect();
        f.debug_struct("Btf").field("ids", &ids).finish_non_exhaustive()
    }
}

/// A member as the format has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawMember {
    pub(super) name: u32,
    pub(super) type_id: TypeId,
    offset: u32,
    flag: bool,
}
