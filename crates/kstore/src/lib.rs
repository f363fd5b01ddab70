//! A kernel request becomes local files: a cache in front of the distribution's packages and this machine's own kernels.
//!
//! *Architecture invariant:* the only crate with network, and that through apt alone. It knows nothing of virtual machines,
//! and reads a kernel's contents only through [`kimage`].
//!
//! ```text
//! "apt:sid" ─► KernelRequest ─► Store::resolve ─┬─ cached, whole, current ─────────────────────────► Kernel
//!                                               └─ apt │ local ─► image, config ─► kimage ─► entry ─┘
//! ```
//!
//! ```no_run
//! # use schedrig_kstore as kstore;
//! let store = kstore::Store::open_default()?;
//! let kernel = store.resolve(&"apt:sid".parse()?, &mut |step| eprintln!("{step:?}"))?;
//! println!("{} in {}", kernel.release, kernel.vmlinux.display());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod apt;
pub mod deb;
mod entry;
mod error;
mod index;
mod kernel;
mod local;
mod progress;
mod request;
mod store;
#[cfg(test)]
mod testing;

pub use apt::{AptError, Programs};
pub use disk::LockError;
pub use entry::Damage;
pub use error::StoreError;
pub use kernel::Kernel;
pub use local::LocalError;
pub use progress::Progress;
pub use request::{AptRequest, DEFAULT_FLAVOUR, KernelRequest, PackagedFile, RequestError};
pub use store::{Entry, Store};
