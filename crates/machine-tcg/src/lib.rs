//! The deterministic backend: QEMU TCG driven through a plugin.
//!
//! A run is a pure function of (kernel, initramfs, command line, topology, memory, seed, shift): one execution
//! thread, virtual time that counts instructions, and no device that answers when the host pleases. See
//! [`command_line`] for the recipe. The plugin (crate `tcg-plugin`) stops the guest between two instructions and
//! waits for us.
//!
//! ```text
//!  owner (this crate)                                 QEMU
//!   guest RAM ◄───── memfd, mapped by both ──────────► memory-backend-file
//!   console   ◄───── memfd ─────────────────────────── -serial file:
//!   initramfs ────── memfd ──────────────────────────► -initrd
//!   plugin    ────── memfd ──────────────────────────► -plugin
//!   events    ◄────► socket pair: channel ───────────► plugin: channel=FD
//!   why it ended ◄── socket pair: QMP ───────────────► -mon
//!   stderr    ◄───── memfd
//! ```
//!
//! Everything that QEMU gets is an inherited descriptor, so there is no directory to clean up and no name to
//! collide, however either process dies. QEMU does not outlive its owner: the plugin watches the channel.
//!
//! A call is the 8-byte NOP `0f 1f 84 00` + `SRIG`, executed in user space with `rdi` = buffer, `rsi` = the request's
//! length, `rdx` = the buffer's capacity. The guest must have *written* to every page of the buffer before: a page that
//! it never touched is not mapped, and one that it only read may be the kernel's zero page or the page cache's.
//!
//! *Architecture invariant:* this crate knows nothing of what is inside of a kernel, nor what a call means.
#![forbid(unsafe_code)]

mod command_line;
mod config;
mod exit;
mod fork;
mod launch;
mod link;
mod memfd;
mod process;
mod qemu;
mod qmp;
mod running;
mod saved;
mod tcg;

pub use command_line::{BeginDescriptor, Descriptors, RECIPE, command_line};
pub use config::TcgConfig;
pub use fork::{ForkCost, ForkError};
pub use launch::{LaunchError, PLUGIN};
pub use qemu::{Qemu, QemuError};
pub use qmp::QmpError;
pub use running::{Running, RunningError};
pub use saved::{SaveError, Saved, SavedError};
pub use tcg::TcgMachine;
