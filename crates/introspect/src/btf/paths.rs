//! Paths that were followed before, and where they led.

use std::hash::BuildHasher;
use std::sync::{PoisonError, RwLock};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::fields::Field;
use super::types::TypeId;

/// Paths kept. They are written in programs, so there are few; if not, it begins anew.
const MAX_PATHS: usize = 1 << 14;

/// What [`super::Btf::field`] found.
#[derive(Default)]
pub(super) struct Paths {
    table: RwLock<HashTable<(TypeId, Box<str>, Field)>>,
    hasher: DefaultHashBuilder,
}

impl Paths {
    pub(super) fn get(&self, structure: TypeId, path: &str) -> Option<Field> {
        let hash = self.hasher.hash_one((structure, path));
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let found = table.find(hash, |known| known.0 == structure && *known.1 == *path);
        found.map(|known| known.2)
    }

    pub(super) fn put(&self, structure: TypeId, path: &str, field: Field) {
        let hash_of = |structure: TypeId, path: &str| self.hasher.hash_one((structure, path));
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if table.len() == MAX_PATHS {
            table.clear();
        }
        table
            .entry(
                hash_of(structure, path),
                |known| known.0 == structure && *known.1 == *path,
                |known| hash_of(known.0, &known.1),
            )
            .or_insert_with(|| (structure, path.into(), field));
    }
}
