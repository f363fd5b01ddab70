//! Files and directories that are whole or not there, and locks with a deadline.
//!
//! The project's caches rest on three rules, and this crate has the operations for them:
//!
//! 1. Something new is written aside, synced, and renamed to its place; so a file under its final name is whole.
//! 2. Two processes that want the same thing take one lock in turn. The kernel releases the lock of a dead holder, and
//!    every wait has a deadline.
//! 3. A file or directory is renamed before it is removed; so no reader sees half of it.
//!
//! *Architecture invariant:* this crate knows paths and bytes. It does not know what a file contains or what a
//! lock guards.
#![forbid(unsafe_code)]

pub mod files;
pub mod lock;

pub use lock::{Lock, LockError};
