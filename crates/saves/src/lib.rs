//! A cache of saved machines on disk: one creator each, bounded, least recently used goes first.
//!
//! *Architecture invariant:* this crate does not know what a machine is, nor what a save contains. A save is a
//! directory that a caller's function fills, and a manifest, any value that serialises to JSON, that describes the save.
//!
//! ```text
//! <store>/
//! ├── <key>/              a save; the key is made from its manifest, see `key_of`
//! │   ├── …               the creator's files
//! │   ├── manifest.json   {version, manifest}; written last
//! │   └── .used           its mtime is the last use; locked while a process uses the save, see `usage`
//! ├── .new-<key>/         being written by the holder of the key's lock; a leftover if that lock is free
//! ├── .gone-<key>-…/      being removed
//! └── .locks/
//!     ├── 00 … ff         locks of the creators of keys that begin with these digits
//!     └── store           held while saves are evicted
//! ```
//!
//! ```text
//! obtain ─┬─ exists, with the wanted manifest ───────────────────────────────────────────────────────► Entry
//!         └─ else: the key's lock ─┬─ exists now ────────────────────────────────────────────────────► Entry
//!                                  └─ else: make .new-<key> ─► sync ─► rename ─► unlock ─► evict ────► Entry
//! ```
//!
//! A directory with a key's name is whole: it is synced before it gets that name, and renamed before anything in it is
//! removed. The lock of a creator that dies is released; the next waiting creator makes the save. Every wait has a
//! deadline.
//!
//! ```no_run
//! # use schedrig_saves as saves;
//! let store = saves::Store::open_default()?;
//! let manifest = ("what the save must be", 42);
//! let entry = store.obtain(&manifest, &mut |step| eprintln!("{step:?}"), |directory| {
//!     std::fs::write(directory.join("ram"), b"...")
//! })?;
//! let ram = std::fs::File::open(entry.directory.join("ram"))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod error;
mod listing;
mod manifest;
mod removal;
mod store;
mod usage;

#[cfg(test)]
mod tests;

pub use error::{ObtainError, StoreError};
pub use listing::Listed;
pub use manifest::key_of;
pub use store::{Entry, Progress, Store};
