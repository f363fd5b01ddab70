//! Looks at a kernel that stands still: decides what to look at and when, and keeps what is seen.
//!
//! *Architecture invariant:* this crate sees a [`introspect::GuestKernel`], reaches a machine by [`MachinePort`] alone,
//! and makes plain data. It does not decide when a guest stands still, and judges nothing.
#![forbid(unsafe_code)]

mod bounded;
pub mod call_history;
pub mod complaint;
mod dump;
mod kernel_var;
pub mod monitor;
mod observer;
pub mod periodic;
mod port;
mod snapshot;

pub use bounded::{BoundedVec, Full, MAX_EVENTS, MAX_PROGRAM_WATCHES, MAX_SNAPSHOTS, Put, TaggedVec};
pub use dump::{LastWords, Waiting, dump, last_words, longest_wait};
pub use kernel_var::{KernelVar, KernelVarError};
pub use observer::{
    AfterHit, Hit, HitAction, HitFilter, HitFn, HitKind, InstrumentError, Look, LookError, LookFn, NoRoom,
    Observed, Observer, Phase, RawHit, SnapshotError,
};
pub use port::MachinePort;
pub use snapshot::snapshot;

/// `SCX_EXIT_ERROR`: the exit kinds of a scheduler from here on are errors; those below are ends that somebody asked for
/// (contract E13).
pub const EXIT_ERROR: u64 = 1024;
