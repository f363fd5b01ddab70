//! Kernel files as bytes: from a `vmlinuz` to its release, build id, BTF and symbols.
//!
//! Architecture invariant: this crate knows file formats only. It does not know where a kernel came from (no
//! network, no package manager), nor what a running one looks like (no virtual machine, no relocation): every
//! address it returns is a *link* address.
//!
//! ```text
//!  file ──format──► bzImage ──bzimage──► payload ──unpack──► ELF ──elf──► sections, notes, segments
//!                   ELF ─────────────────────────────────────┤    ├─banner──► release
//!                   ELF.xz, .zst, .gz, .lz4 ──unpack─────────┘    └─symtab or kallsyms──► Symbols
//!                                                                           │
//!  (arm64)          Image ──────────────────────────────────► flat ─banner, kallsyms─► sections by their symbols
//!                   Image.gz, .zst, … ──unpack───────────────┤
//!                   EFI image ──zboot──► payload ──unpack────┘
//! ```
//!
//! Every value in a file is a claim: every offset is checked before it is followed, every size has a bound
//! ([`MAX_UNPACKED`] for what a decompressor may write), and no input makes this crate panic or loop.
#![forbid(unsafe_code)]

mod banner;
mod build_id;
mod bytes;
pub mod bzimage;
mod elf;
mod flat;
mod format;
mod image;
pub mod kallsyms;
mod link_addresses;
mod sched_ext;
mod symbols;
mod symtab;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod unpack;
mod wrapping;
mod zboot;

pub use build_id::{BuildId, BuildIdError};
pub use elf::Segment;
pub use format::{Arch, Architecture};
pub use image::{FeatureError, ImageError, KernelImage};
pub use kallsyms::KallsymsError;
pub use link_addresses::{LinkAddresses, SymtabError};
pub use sched_ext::has_sched_ext;
pub use symbols::{MapError, Symbol, Symbols};
pub use unpack::{Compression, MAX_UNPACKED};
pub use zboot::ZbootError;
