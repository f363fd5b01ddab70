//! A cache of saved machines on disk: one creator each, bounded, least recently used goes first.
//!
//! *Architecture invariant:* this crate does not know what a machine is, nor what is inside of a save. A save is a
//! directory that a caller's function fills, and a manifest, any value that becomes JSON, that says what it must be.
//!
//! ```text
//! <store>/
//! ├── <key>/              a save; the key is made from its manifest, see `key_of`
//! │   ├── …               what its creator wrote
//! │   ├── manifest.json   {version, manifest}; written last
//! │   └── .used           its mtime is the last use; locked while somebody uses the save, see `usage`
//! ├── .new-<key>/         being written by the holder of the key's lock; a leftover if that is free
//! ├── .gone-<key>-…/      being removed
//! └── .locks/
//!     ├── 00 … ff         creators of the keys that begin so meet here
//!     └── store           held while saves are evicted
//! ```
//!
//! ```text
//! obtain ─┬─ there, and its manifest is the wanted one ──────────────────────────────────────────────► Entry
//!         └─ else: the key's lock ─┬─ there now ─────────────────────────────────────────────────────► Entry
//!                                  └─ else: make .new-<key> ─► sync ─► rename ─► unlock ─► evict ────► Entry
//! ```
//!
//! A directory that has a key's name is whole: it was synced before it got that name, and loses it before anything in
//! it is removed. A creator that dies releases its lock by dying; the next one in the queue makes the save. Nothing is
//! waited for without end.
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
