//! What is done to a kernel that stands still, and what is kept of looks at it.
//!
//! *Architecture invariant:* this crate sees a [`introspect::GuestKernel`], and frames of the guest's programs
//! ([`dispatch`]), and makes plain data. It knows no machine, does not decide when a guest stands still, and judges
//! nothing.
#![forbid(unsafe_code)]

mod bounded;
pub mod call_history;
pub mod complaint;
pub mod dispatch;
mod dump;
mod kernel_var;
pub mod monitor;
pub mod periodic;
mod snapshot;

pub use bounded::{BoundedVec, Full, Put, STORED_EVENTS, STORED_SNAPSHOTS, TaggedVec, USER_WATCHES};
pub use dump::{LastWords, Waiting, dump, last_words, longest_wait};
pub use kernel_var::{KernelVar, KernelVarError};
pub use snapshot::snapshot;

/// `SCX_EXIT_ERROR`: kinds of a scheduler's exit from here on are errors; below are the ends that somebody wanted (contract E13).
pub const EXIT_ERROR: u64 = 1024;
