//! The deterministic backend: QEMU TCG driven through a plugin.
//!
//! A run is a pure function of (kernel, initramfs, command line, topology, memory, seed, shift): one execution
//! thread, virtual time that counts instructions, and no device whose answers depend on the host's time. See
//! [`command_line`] for the recipe. The plugin (crate `tcg-plugin`) freezes the guest between two instructions and
//! waits for this crate, which embeds it as bytes. Their messages are the crate `tcg-channel`.
//!
//! ```text
//!  owner (this crate)                                 QEMU
//!   guest RAM ◄───── memfd, mapped by both ──────────► memory-backend-file
//!   console   ◄───── memfd ─────────────────────────── -serial file:
//!   initramfs ────── memfd ──────────────────────────► -initrd
//!   plugin    ────── memfd ──────────────────────────► -plugin
//!   events    ◄────► socket pair: channel ───────────► plugin: channel=FD
//!   exit reason ◄─── socket pair: QMP ───────────────► -mon
//!   stderr    ◄───── memfd
//! ```
//!
//! Everything that QEMU reads or writes is an inherited descriptor: there is no directory to clean up and there are no
//! names that could collide, however either process ends. QEMU does not outlive its owner: the plugin watches the channel.
//!
//! A call is the 8-byte NOP `0f 1f 84 00` + `SRIG`, executed in user space with `rdi` = buffer, `rsi` = the request's
//! length, `rdx` = the buffer's capacity. The guest must have *written* to every page of the buffer before: a page that
//! it never touched is not mapped, and one that it only read may be the kernel's zero page or the page cache's.
//!
//! *Architecture invariant:* this crate knows neither the inside of a kernel nor the meaning of a call.
#![forbid(unsafe_code)]

mod backend;
mod command_line;
mod config;
mod duplicate;
mod exit;
mod fork;
mod launch;
mod link;
mod memfd;
mod process;
mod qemu;
mod qmp;
mod ram;
mod running;
mod saved;
mod vm;

pub use backend::TcgBackend;
pub use command_line::{BeginDescriptor, Descriptors, RECIPE, command_line};
pub use config::{TcgConfig, TcgOptions};
pub use duplicate::DuplicateError;
pub use fork::{ForkCost, TcgForkError};
pub use launch::{LaunchError, PLUGIN};
pub use qemu::{Qemu, QemuError};
pub use qmp::QmpError;
pub use running::{MemoryError, Running};
pub use saved::{SaveError, Saved, SavedError};
pub use vm::TcgMachine;
