//! Guest memory from the outside: typed addresses, volatile copies, page walks.
//!
//! *Architecture invariant:* this crate knows bytes and page tables. It does not know BTF, tasks or virtual
//! machines: the owner of guest RAM passes it in as a [`PhysMem`].
//!
//! The guest may write while we read, so no reference into its memory is ever formed: every access is a copy
//! (`vm-memory` does them), and one of 1, 2, 4 or 8 aligned bytes is a single volatile access. An address
//! from the guest is a claim; it becomes bytes only by a walk, which reports where it ended and why.
//!
//! ```text
//! GuestVirt ──walk(PageTables)──► GuestPhys ──PhysMem──► bytes
//!     │        x86-64 · aarch64       ▲         SharedRam: a running machine's
//!     └────────Linear (no tables)─────┘         ProcessRam: one whose RAM is its process's own
//!                                               ImageRam: a saved one's
//! ```
//!
//! All architectures are always compiled, and chosen at run time: an x86 host can read an aarch64 guest.
#![forbid(unsafe_code)]

pub mod aarch64;
mod address;
mod cached;
mod extents;
mod image;
mod layout;
mod linear;
mod phys;
mod process;
mod ranges;
mod scan;
mod shared;
mod virt;
mod walk;
pub mod x86_64;

pub use address::{GuestPhys, GuestVirt};
pub use cached::CachedSpace;
pub use image::{ImageError, ImageRam};
pub use layout::{LayoutError, RamLayout, Region, Stretch};
pub use linear::Linear;
pub use phys::{Extent, MemError, PhysMem};
pub use process::{ProcessRam, ProcessRamError};
pub use ranges::{Ranges, Span};
pub use scan::{Find, PagesWithPrefix, Search};
pub use shared::{SharedRam, SharedRamError};
pub use virt::{AddressSpace, VirtError, WriteError};
pub use walk::{Leaf, PageTables, WalkError};
