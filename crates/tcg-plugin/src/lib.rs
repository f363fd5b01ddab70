// SPDX-License-Identifier: GPL-2.0-or-later
//! The shared object that QEMU loads: calls, hooks and watches.
//!
//! QEMU hands every block of guest code to a plugin when it translates it, and lets the plugin attach callbacks
//! to single instructions. With one execution thread (`-accel tcg,thread=single`) a callback runs in that thread,
//! between two guest instructions: while it blocks, no vCPU executes and no guest clock advances.
//!
//! ```text
//!  QEMU                         plugin                                   owner (machine-tcg)
//!  loads the file          ──►  install: take the channel, start the
//!                               guardian thread
//!  first block translated  ──►  Report: Ready ─────────────────────────► launched; hooks are chosen
//!                                             ◄──── Command: (Hook, Watch)* Resume
//!  call, hook, store       ──►  Report: Call, Hook, Watch ─────────────► frozen: reads, writes guest RAM
//!                                             ◄──── Command: (Hook, Watch, Remove, Count, Duplicate)* Resume
//!                               guardian sees the channel hang up  ◄──── owner gone, however it died
//!  gone                    ◄──  _exit
//! ```
//!
//! *Architecture invariant:* no policy. What a call means, which hooks exist and when a run is over is decided by the
//! owner. The messages are those of the crate `tcg-channel`.

// QEMU's functions exist only in the process that loads the plugin, so a test program could not be linked with them.
#[cfg_attr(test, expect(dead_code, reason = "only QEMU's process is duplicated"))]
mod duplicate;
#[cfg(not(test))]
mod ffi;
mod instruments;
#[cfg(not(test))]
mod memory;
#[cfg(not(test))]
mod owner;
#[cfg(not(test))]
mod plugin;
#[cfg(not(test))]
mod random;
#[cfg(not(test))]
mod registers;
