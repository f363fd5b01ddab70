//! Test doubles, for the tests of other crates only: fake guest memory, page-table writers, scripted machines and their
//! backend.
//!
//! *Architecture invariant:* a dev-dependency, never part of the product.
#![forbid(unsafe_code)]

mod backend;
mod machine;
mod memory;
mod sparse;
mod tables;

pub use crate::backend::FakeBackend;
pub use crate::machine::{FakeMachine, Step};
pub use crate::memory::FakeMemory;
pub use crate::sparse::SparseMemory;
pub use crate::tables::{ArmFormat, ArmTables, X86Page, X86Tables};
