//! Enumerations and their constants.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::format::Record;
use super::kinds::{Kind, KindSet};
use super::types::{Btf, TypeId};

/// A constant of an enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enumerator<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value; of an unsigned one with 64 bits, the same bits: see [`Enumerator::unsigned`].
    pub value: i64,
    /// Has the enumeration negative values?
    pub signed: bool,
}

impl Enumerator<'_> {
    /// The value's bits, without a sign: `SCX_DSQ_LOCAL` is `0xc000000000000002`.
    pub fn unsigned(&self) -> u64 {
        self.value as u64
    }
}

impl Btf {
    /// The constants of an enumeration, in their order; none for another type.
    pub fn enumerators(&self, id: TypeId) -> impl Iterator<Item = Enumerator<'_>> {
        let record = self.record(self.resolve(id));
        let signed = record.is_some_and(|record| record.flag);
        raw_enumerators(record).map(move |(name, value)| Enumerator {
            name: self.string(name),
            value,
            signed,
        })
    }

    /// The name of a value, the first of several.
    pub fn enum_name(&self, id: TypeId, value: i64) -> Option<&str> {
        let mut all = raw_enumerators(self.record(self.resolve(id)));
        all.find(|raw| raw.1 == value).map(|raw| self.string(raw.0))
    }

    /// The value of a constant: of this enumeration (or typedef of one), else of any, also one without a name.
    pub fn enum_value(&self, of: Option<&str>, name: &str) -> Option<i64> {
        let Some(of) = of else {
            return self.constant(name);
        };
        let mut ids = self.find_all(of, KindSet::ENUM | KindSet::TYPEDEF);
        ids.find_map(|id| {
            let mut all = raw_enumerators(self.record(self.resolve(id)));
            all.find(|raw| self.is_string(raw.0, name)).map(|raw| raw.1)
        })
    }

    fn constant(&self, name: &str) -> Option<i64> {
        self.0.layers.iter().find_map(|layer| {
            let constants = layer
                .constants
                .get_or_init(|| Constants::of(self, layer.ids().map(TypeId)));
            constants.find(self, name)
        })
    }
}

/// The constants of all enumerations of a layer.
pub(super) struct Constants {
    /// Offset of the name, and the value.
    table: HashTable<(u32, i64)>,
    hasher: DefaultHashBuilder,
}

impl Constants {
    fn of(btf: &Btf, ids: impl Iterator<Item = TypeId>) -> Constants {
        let hasher = DefaultHashBuilder::default();
        let mut table = HashTable::new();
        for raw in ids.flat_map(|id| raw_enumerators(btf.record(id))) {
            let name = btf.string(raw.0);
            let hash = hasher.hash_one(name);
            // The first of a name stays.
            table
                .entry(
                    hash,
                    |other: &(u32, i64)| btf.is_string(other.0, name),
                    |other| hasher.hash_one(btf.string(other.0)),
                )
                .or_insert(raw);
        }
        Constants { table, hasher }
    }

    fn find(&self, btf: &Btf, name: &str) -> Option<i64> {
        let hash = self.hasher.hash_one(name);
        let found = self.table.find(hash, |raw| btf.is_string(raw.0, name));
        found.map(|raw| raw.1)
    }
}

/// Offsets of names, and values.
fn raw_enumerators(record: Option<Record<'_>>) -> impl Iterator<Item = (u32, i64)> {
    let of = |kind| record.filter(|record| record.kind == kind).into_iter();
    let narrow = of(Kind::Enum).flat_map(|record| {
        record.pairs().map(move |[name, value]| {
            let value = if record.flag {
                i64::from(value.cast_signed())
            } else {
                i64::from(value)
            };
            (name, value)
        })
    });
    let wide = of(Kind::Enum64).flat_map(|record| {
        record
            .triples()
            .map(|[name, low, high]| (name, (u64::from(high) << 32 | u64::from(low)) as i64))
    });
    narrow.chain(wide)
}
