//! What a backend must do: the [`Machine`] trait, its events, and the register view.
//!
//! *Architecture invariant:* this crate knows neither QEMU nor KVM. `session` sees a `dyn Machine` only; a
//! backend implements it. What not every backend can do is told by [`Caps`], never by a downcast.
//!
//! A machine is always in one of three states:
//!
//! ```text
//!            next() → Call, Hook, Watch           next() → Exit
//!  running ───────────────────────► frozen      ───────────────► ended
//!     ▲                               │              (from running)
//!     └──────────── resume() ─────────┘
//! ```
//!
//! A new machine is frozen before its first instruction: hooks are set, then `resume` lets it go. A fork of a saved
//! machine is used like the new machine that its original was: its first `resume` brings it to the call in which the
//! original was saved, with the original's console as an event before it, in no time.
#![forbid(unsafe_code)]

mod caps;
mod event;
mod registers;
pub mod slots;
pub mod wait;

use std::path::Path;
use std::time::Instant;

use guestmem::{GuestVirt, PhysMem};

pub use caps::{Backend, Caps};
pub use event::{
    Call, Event, ExitReason, ExitReport, HookHit, HookId, HookSpec, Instrument, WatchHit, WatchId, WatchSpec,
    When, Width,
};
pub use registers::Registers;

/// One virtual machine, owned by one thread.
pub trait Machine: Send {
    /// What this backend can do.
    fn caps(&self) -> Caps;

    /// Guest RAM, readable and writable in every state.
    fn memory(&self) -> &dyn PhysMem;

    /// Asks for an [`Event::Hook`] when a vCPU is about to execute the instruction at `at`. Where
    /// [`Caps::late_hooks`] is false, only before the first `resume`; where it is true, only of a frozen machine, and
    /// after the first `resume` only where a function of the kernel begins that ftrace could trace, or a BPF program.
    fn hook(&mut self, at: GuestVirt, spec: HookSpec) -> Result<HookId, MachineError>;

    /// Asks for an [`Event::Watch`] when the kernel has stored to the number at `at`, by that address: what is stored by
    /// way of another address of the same memory is not seen. The machine must be frozen.
    fn watch(&mut self, at: GuestVirt, spec: WatchSpec) -> Result<WatchId, MachineError>;

    /// Forgets a hook or a watch. The machine must be frozen.
    fn remove(&mut self, which: Instrument) -> Result<(), MachineError>;

    /// How often a hook's address was executed, or a watch's condition held. The machine must be frozen.
    fn hits(&mut self, which: Instrument) -> Result<u64, MachineError>;

    /// Waits for the next event, at most until `deadline` in host time (the last resort: a deterministic run
    /// ends by guest time long before). After `Call`, `Hook` and `Watch` the machine is frozen until `resume`; after
    /// `Deadline` it still runs; after `Exit` it has ended. `Console` tells what the guest wrote before the event
    /// that the following `next` brings at once: so the console's pieces, too, are the same in every execution.
    fn next(&mut self, deadline: Instant) -> Result<Event, MachineError>;

    /// Lets a frozen machine run on. What the guest is to know was written to its memory before.
    fn resume(&mut self) -> Result<(), MachineError>;

    /// The console so far, as bytes; complete up to the frozen instant.
    fn console(&self) -> Result<Vec<u8>, MachineError>;

    /// Saves a machine that is frozen in a call into the existing directory, for its backend to fork, and ends it.
    /// After an error the directory may hold half a save. Needs [`Caps::saves`].
    fn save(self: Box<Self>, into: &Path) -> Result<(), MachineError>;

    /// Ends the machine, whatever its state, and tells how it ended. Nothing of it is left behind.
    fn kill(self: Box<Self>) -> ExitReport;
}

/// A backend could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The call does not fit the machine's state, see the crate's picture.
    #[error("{operation} needs a {needed} machine, and this one is {found}")]
    State {
        /// The method that was called.
        operation: &'static str,
        /// The state it needs.
        needed: &'static str,
        /// The state it found.
        found: &'static str,
    },
    /// The backend cannot take this hook.
    #[error("hook at {at}: {reason}")]
    Hook {
        /// The address asked for.
        at: GuestVirt,
        /// Why, and what to do instead.
        reason: String,
    },
    /// The backend cannot take this watch.
    #[error("watch at {at}: {reason}")]
    Watch {
        /// The address asked for.
        at: GuestVirt,
        /// Why, and what to do instead.
        reason: String,
    },
    /// The channel to the process that executes the guest failed.
    #[error("talk to the process that executes the guest ({doing})")]
    Channel {
        /// What was being done.
        doing: &'static str,
        /// The failed system call.
        #[source]
        source: std::io::Error,
    },
    /// That process said something that is not in the protocol.
    #[error("the process that executes the guest broke its protocol: {what}; this is a defect of schedrig")]
    Protocol {
        /// What was wrong.
        what: String,
    },
    /// The machine could not be saved.
    #[error("save the machine")]
    Save(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The console could not be read.
    #[error("read the guest's console")]
    Console(#[source] std::io::Error),
}
