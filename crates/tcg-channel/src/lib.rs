//! The messages between QEMU's plugin and the process that owns the machine: two fixed-size little-endian packets.
//!
//! *Architecture invariant:* this crate knows layouts only. When a message is sent, and what it leads to, is decided by
//! the crates on both sides: `tcg-plugin` (GPL-2.0-or-later) and `machine-tcg`, which embeds the plugin as bytes. Both are
//! built from the same sources, so no version is negotiated.
//!
//! The channel is a Unix socket pair of sequenced packets: one packet is one message.
//!
//! ```text
//! Command, owner → plugin, 40 bytes       Report, plugin → owner, 208 bytes
//!   0 u32 kind: 1 hook, 2 resume,           0 u32 kind: 1 ready, 2 call, 3 hook, 4 watch, 5 count,
//!         3 watch, 4 remove, 5 count,             6 duplicated, 7 is duplicate, 8 not duplicated
//!         6 duplicate, 7 seed, 8 unobserved 4 u32 index of the hook or watch; process; refusal
//!   4 u16 width, u16 condition              8 u64 hits; the refusal's number
//!   8 u64 address, index or seed           16 u64 value before the store (watch)
//!  16 u64 every                            24 u64 value after it (watch)
//!  24 u64 operand of the condition         32 u64 × 22 registers, in the order of REGISTERS
//!  32 u64 current value (watch)
//! ```
//!
//! Fields that a kind does not use are zero, and a packet that differs from the encoding of every message has no meaning.
//! Hooks and watches are counted together, from 0, in the order of the commands that set them. The plugin reads commands
//! only while the guest is frozen.
//!
//! A report does not name the vCPU: QEMU 10.0 passes a plugin the number of another vCPU where all vCPUs share one thread.
#![forbid(unsafe_code)]

mod bytes;
mod code;
mod command;
mod duplicate;
mod registers;
mod report;

pub use code::FUNCTION_ENTRIES;
pub use command::{COMMAND_SIZE, Command, Condition};
pub use duplicate::{DUPLICATE_DESCRIPTORS, HELD, Refusal};
pub use registers::{PER_CPU_BASES, REGISTERS, RIP, Values};
pub use report::{Cause, REPORT_SIZE, Report};
