//! The kernel's own type information: BTF, as `.BTF` of a kernel, of its modules and of BPF programs holds it.
//!
//! ```text
//!  .BTF   header │ types: records of 12 bytes and what their kind appends │ strings
//!                          │ 1   2   3  …  (ids are positions)              │
//!  Layer           starts[id - first] ──► record            names: hash ──► first id, next[id] ──► next of that name
//!  Btf             layers: the kernel's, then a module's: its ids and string offsets continue
//! ```
//!
//! A [`Btf`] keeps the bytes as they are and adds two things: where each record starts, and a hash index of names.
//! Records are read in place when they are asked for. Parsing checks every record once (its kind, that it lies within
//! the section, that every id and every name it refers to exists); what cannot be checked so, chains of types that lead
//! to themselves, is bounded where chains are followed.

mod cache;
mod declaration;
mod enums;
mod fields;
mod format;
mod kinds;
mod layer;
mod types;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use cache::{KernelBtfError, cached};
pub use enums::Enumerator;
pub use fields::{Field, FieldError};
pub use kinds::{Kind, KindSet};
pub use layer::BtfError;
pub use types::{Btf, DatasecVar, IntInfo, MemberInfo, Missing, Prototype, TypeId};
