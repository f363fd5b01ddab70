//! Test doubles, for the tests of other crates only: fake guest memory and a scripted machine.
//!
//! *Architecture invariant:* a dev-dependency, never part of the product.
#![forbid(unsafe_code)]

mod machine;
mod memory;

pub use crate::machine::{FakeMachine, Step};
pub use crate::memory::FakeMemory;
