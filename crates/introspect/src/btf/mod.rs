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
//! to themselves, is bounded where chains are followed. Paths are followed once and then remembered.
//!
//! Why not the crate `btf-rs` (2.0)? Measured with Debian's 7.2 kernel (5.2 MB, 118 487 types) on a shared machine:
//!
//! | | `btf-rs`, in memory | `btf-rs`, mapped | here |
//! |---|---|---|---|
//! | load | 60 to 100 ms | 1 ms | 13 ms |
//! | 10 000 paths such as `task_struct: se.vruntime` | 35 to 57 ms | 6 s | 5 to 8 ms followed, 0.8 ms remembered |
//!
//! It clones a type for each look at it and its name as a `String`; it refuses a base that is itself split; and it is
//! under the LGPL, which would bind every test program that links this crate.

mod cache;
mod declaration;
mod enums;
mod fields;
mod format;
mod kinds;
mod layer;
mod shape;
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
pub use shape::Shape;
pub use types::{Btf, DatasecVar, IntInfo, MemberInfo, Missing, Prototype, TypeId};
