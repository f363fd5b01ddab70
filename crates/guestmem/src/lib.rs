//! Guest memory from the outside: typed addresses, volatile copies, page walks.
//!
//! *Architecture invariant:* this crate knows bytes and page tables. It does not know BTF, tasks or virtual
//! machines: whoever owns guest RAM hands it over as a [`PhysMem`].
//!
//! The guest may write while we read, so no reference into its memory is ever formed: every access is a copy
//! through volatile reads and writes (`vm-memory` does them). An address that the guest names is a claim; it
//! becomes bytes only by a walk that says where it ended.
//!
//! ```text
//! GuestVirt ──walk(root, levels)──► GuestPhys ──PhysMem──► bytes
//! ```
#![forbid(unsafe_code)]

mod address;
mod phys;
mod virt;
pub mod x86_64;

pub use address::{GuestPhys, GuestVirt};
pub use phys::{MemError, PhysMem, RamLayout, Region, SharedRam, SharedRamError};
pub use virt::{AddressSpace, VirtError};
