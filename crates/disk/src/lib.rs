//! Files and directories that are whole or not there, and locks with a deadline.
//!
//! The caches of the project stand on three habits, and this crate has what they need:
//!
//! 1. Something new is written aside, synced, and renamed to its place; so what has its name is whole.
//! 2. Two that want the same thing meet at a lock that its holder's death releases, and neither waits without end.
//! 3. Something that is taken away gets another name first; so nobody sees half of it.
//!
//! *Architecture invariant:* this crate knows paths and bytes. What is in a file, and what a lock guards, is its
//! callers' affair.
#![forbid(unsafe_code)]

pub mod files;
pub mod lock;

pub use lock::{Lock, LockError};
