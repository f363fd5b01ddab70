//! What a type can be: [`Kind`], and sets of kinds to look for.

use std::fmt;
use std::ops::BitOr;

/// The kind of a type, `BTF_KIND_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// No type at all: id 0.
    Void,
    /// An integer, `bool` and `char` among them.
    Int,
    /// A pointer.
    Ptr,
    /// An array.
    Array,
    /// A struct.
    Struct,
    /// A union.
    Union,
    /// An enumeration with values of at most 32 bits.
    Enum,
    /// A struct or union that is declared and not defined.
    Fwd,
    /// Another name for a type.
    Typedef,
    /// `volatile`
    Volatile,
    /// `const`
    Const,
    /// `restrict`
    Restrict,
    /// A function; its type is a [`Kind::FuncProto`].
    Func,
    /// The type of a function: result and parameters.
    FuncProto,
    /// A variable.
    Var,
    /// A section with variables.
    Datasec,
    /// A floating point number.
    Float,
    /// A tag on a type, a member, a parameter or a variable.
    DeclTag,
    /// A tag on what a pointer leads to, such as `__rcu`.
    TypeTag,
    /// An enumeration with values of 64 bits.
    Enum64,
}

/// A set of kinds: `KindSet::STRUCT | KindSet::UNION`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KindSet(u32);

impl Kind {
    /// All kinds; the position is the number in the format.
    pub const ALL: [Kind; 20] = [
        Kind::Void,
        Kind::Int,
        Kind::Ptr,
        Kind::Array,
        Kind::Struct,
        Kind::Union,
        Kind::Enum,
        Kind::Fwd,
        Kind::Typedef,
        Kind::Volatile,
        Kind::Const,
        Kind::Restrict,
        Kind::Func,
        Kind::FuncProto,
        Kind::Var,
        Kind::Datasec,
        Kind::Float,
        Kind::DeclTag,
        Kind::TypeTag,
        Kind::Enum64,
    ];

    /// The kind with this number; `Void` is no kind of a record.
    pub(crate) fn of_record(number: u32) -> Option<Kind> {
        match number {
            0 => None,
            _ => Kind::ALL.get(number as usize).copied(),
        }
    }

    /// True for what [`super::Btf::resolve`] strips.
    pub fn is_modifier(self) -> bool {
        KindSet::MODIFIER.contains(self)
    }

    /// True for structs and unions.
    pub fn is_structure(self) -> bool {
        KindSet::STRUCTURE.contains(self)
    }

    /// True for enumerations of both sizes.
    pub fn is_enum(self) -> bool {
        KindSet::ENUM.contains(self)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Void => "void",
            Kind::Int => "int",
            Kind::Ptr => "pointer",
            Kind::Array => "array",
            Kind::Struct => "struct",
            Kind::Union => "union",
            Kind::Enum | Kind::Enum64 => "enum",
            Kind::Fwd => "forward declaration",
            Kind::Typedef => "typedef",
            Kind::Volatile => "volatile",
            Kind::Const => "const",
            Kind::Restrict => "restrict",
            Kind::Func => "function",
            Kind::FuncProto => "function type",
            Kind::Var => "variable",
            Kind::Datasec => "section",
            Kind::Float => "float",
            Kind::DeclTag => "declaration tag",
            Kind::TypeTag => "type tag",
        })
    }
}

impl KindSet {
    /// As a number that no other set has.
    pub(super) fn bits(self) -> u32 {
        self.0
    }

    /// Every kind.
    pub const ANY: KindSet = KindSet(u32::MAX);
    /// Integers.
    pub const INT: KindSet = KindSet::of(Kind::Int);
    /// Floating point numbers.
    pub const FLOAT: KindSet = KindSet::of(Kind::Float);
    /// Structs.
    pub const STRUCT: KindSet = KindSet::of(Kind::Struct);
    /// Unions.
    pub const UNION: KindSet = KindSet::of(Kind::Union);
    /// Structs and unions.
    pub const STRUCTURE: KindSet = KindSet::STRUCT.or(KindSet::UNION);
    /// Structs and unions that are declared only.
    pub const FWD: KindSet = KindSet::of(Kind::Fwd);
    /// Enumerations of both sizes.
    pub const ENUM: KindSet = KindSet::of(Kind::Enum).or(KindSet::of(Kind::Enum64));
    /// Typedefs.
    pub const TYPEDEF: KindSet = KindSet::of(Kind::Typedef);
    /// Functions.
    pub const FUNC: KindSet = KindSet::of(Kind::Func);
    /// Variables.
    pub const VAR: KindSet = KindSet::of(Kind::Var);
    /// Sections.
    pub const DATASEC: KindSet = KindSet::of(Kind::Datasec);
    /// Whatever names a type: all but functions, variables, sections and tags.
    pub const TYPE: KindSet = KindSet::STRUCTURE
        .or(KindSet::ENUM)
        .or(KindSet::TYPEDEF)
        .or(KindSet::INT)
        .or(KindSet::FLOAT);
    /// What a type can be wrapped in without being another: typedefs, qualifiers, type tags.
    pub const MODIFIER: KindSet = KindSet::TYPEDEF
        .or(KindSet::of(Kind::Const))
        .or(KindSet::of(Kind::Volatile))
        .or(KindSet::of(Kind::Restrict))
        .or(KindSet::of(Kind::TypeTag));

    /// The set of one kind.
    pub const fn of(kind: Kind) -> KindSet {
        KindSet(1 << kind as u8)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: KindSet) -> KindSet {
        KindSet(self.0 | other.0)
    }

    /// Is `kind` in the set?
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

impl From<Kind> for KindSet {
    fn from(kind: Kind) -> KindSet {
        KindSet::of(kind)
    }
}

impl BitOr for KindSet {
    type Output = KindSet;

    fn bitor(self, other: KindSet) -> KindSet {
        self.or(other)
    }
}

impl fmt::Debug for KindSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds = Kind::ALL.iter().filter(|kind| self.contains(**kind));
        f.debug_set().entries(kinds).finish()
    }
}
