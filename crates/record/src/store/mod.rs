//! Records on disk: a directory each, with an index and a file for each part.
//!
//! ```text
//! DIR/fair-shares-0123456789ab/
//!     record.json           the index: format, hash, plan, judgement, replay inputs, host, and the list of the files
//!     evidence.json         what the guest did: groups, events, windows, end
//!     console.log           the kernel's console           ┐ the rest of the evidence
//!     scheduler.log         what the scheduler's program wrote ┘
//!     series.json           what the monitor sampled
//!     observations.json     answers and hits
//!     snapshots/TAG.json    the kernel at an instant; TAG.txt shows it
//!     dumps/TAG.json        the kernel at a failure; TAG.txt shows it
//!     repro.json            the calls that led to the failure, from a second execution
//! ```
//!
//! The index lists each file with its size and SHA-256: a file that is missing, cut or altered is an error when the record
//! is loaded. Texts for people (`*.txt`) are made from the files beside them and are not listed. A path that is listed and
//! not known is of a later minor version, and left alone.
//!
//! A record is written aside and renamed, so a directory with that name is whole. Its name holds the record hash: the same
//! execution made twice is one directory.
//!
//! `v1` reads records of format 1, which were one `record.json`.

mod error;
mod find;
mod index;
mod list;
mod read;
mod v1;
mod write;

pub use error::StoreError;
pub use find::{RecordId, find};
pub use list::{About, Listed, ListedFile, describe, list, remove};
pub use read::load;
pub use write::{abandon, probe, save};

#[cfg(test)]
mod tests;
