//! What a backend must do: the [`Backend`] trait, the [`Machine`]s that it makes, their events and registers.
//!
//! *Architecture invariant:* this crate knows neither QEMU nor KVM. `schedrig` chooses a [`Backend`] in one file, and
//! `session` drives a `dyn Machine`. Abilities that not every backend has are in [`Caps`], and never behind a downcast:
//! whoever needs one asks [`Caps::require`] before anything starts.
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
//! A new machine is frozen before its first instruction: hooks are set, then `resume` starts it. A fork of a saved machine
//! is used in the same way: its first `resume` executes nothing, and the following `next` reports the original's console
//! and then the call in which the original was saved. A duplicate stands where its original stands, and the first that it
//! does is to be resumed.
#![forbid(unsafe_code)]

mod backend;
mod caps;
mod config;
mod event;
pub mod registers;
pub mod slots;
pub mod wait;

use std::path::Path;
use std::time::Instant;

use guestmem::{GuestVirt, PhysMem};

pub use backend::{
    Backend, BootError, Executor, ForkError, Identity, OpenError, ProbeError, RunningError, RunningMachine,
    SavedMachine, Source,
};
pub use caps::{Ability, BackendKind, Caps, LacksAbility, Offered, Requirement};
pub use config::MachineConfig;
pub use event::{
    Call, Event, ExitReason, ExitReport, HookHit, HookId, HookSpec, Instrument, VcpuId, WatchHit, WatchId,
    WatchSpec, When, Width,
};
pub use registers::{AddressSpaceId, Registers};

/// One virtual machine, owned by one thread.
pub trait Machine: Send {
    /// What this machine's backend can do.
    fn caps(&self) -> Caps;

    /// Guest RAM, readable and writable until the machine has ended; that of one that was not duplicated, and is no duplicate, in
    /// every state.
    fn memory(&self) -> &dyn PhysMem;

    /// Gives up watches, and hooks after the first `resume`: a machine that nobody looks at executes faster. Only before the
    /// first `resume`. Changes no execution.
    fn unobserved(&mut self) -> Result<(), MachineError>;

    /// Sets a hook: an [`Event::Hook`] when a vCPU is about to execute the instruction at `at`. The machine must be frozen.
    /// After the first `resume` that needs [`Caps::late_hooks`], and `at` must be the first instruction of a kernel function
    /// that ftrace could trace, or of a BPF program.
    fn hook(&mut self, at: GuestVirt, spec: HookSpec) -> Result<HookId, MachineError>;

    /// Sets a watch: an [`Event::Watch`] when the kernel has stored to the number at `at`. A store to the same memory by
    /// another virtual address is not reported. The machine must be frozen.
    fn watch(&mut self, at: GuestVirt, spec: WatchSpec) -> Result<WatchId, MachineError>;

    /// Removes a hook or a watch. The machine must be frozen.
    fn remove(&mut self, which: Instrument) -> Result<(), MachineError>;

    /// How often a hook's address was executed, or a watch's condition held. The machine must be frozen.
    fn hits(&mut self, which: Instrument) -> Result<u64, MachineError>;

    /// Waits for the next event, at most until `deadline` in host time (the last resort: a deterministic run
    /// ends by guest time long before). After `Call`, `Hook` and `Watch` the machine is frozen until `resume`; after
    /// `Deadline` it still runs; after `Exit` it has ended. `Console` holds what the guest wrote before the event
    /// that the following `next` returns at once: so the console's pieces, too, are the same in every execution.
    fn next(&mut self, deadline: Instant) -> Result<Event, MachineError>;

    /// Resumes a frozen machine. An answer for the guest is written to its memory before.
    fn resume(&mut self) -> Result<(), MachineError>;

    /// Seeds what the machine itself draws at random from now on, such as the numbers of RDRAND, as far as its backend can. The
    /// machine must be frozen.
    fn seed(&mut self, seed: u64) -> Result<(), MachineError>;

    /// The console so far, as bytes; complete up to the frozen instant.
    fn console(&self) -> Result<Vec<u8>, MachineError>;

    /// Saves a machine that is frozen in a call into an existing directory, from which [`Backend::open`] takes it, and ends
    /// it. After an error the directory may hold half a save. Needs [`Caps::saves`].
    fn save(self: Box<Self>, into: &Path) -> Result<(), MachineError>;

    /// A second machine that stands where this one stands: the same guest, the same hooks and watches under the same names.
    /// The two know nothing of each other from then on, and each executes as this one would have without the other. The
    /// machine must be frozen, with all its events taken. Needs [`Caps::duplicates`].
    fn duplicate(&mut self) -> Result<Box<dyn Machine>, MachineError>;

    /// What the correctness of duplicates depends on, as one line of text: builds of what executes the guest, and the host.
    fn duplicates_depend_on(&self) -> String;

    /// Ends the machine, whatever its state, and returns how it ended. Its process and files are gone afterwards.
    fn kill(self: Box<Self>) -> ExitReport;
}

/// A machine could not carry out an operation.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The call does not fit the machine's state, see the crate's picture.
    #[error(
        "{operation} needs a {needed} machine, and this one is {found}; resume it, or wait for its next event"
    )]
    State {
        /// The method that was called.
        operation: &'static str,
        /// The state it needs.
        needed: &'static str,
        /// The state it found.
        found: &'static str,
    },
    /// The backend lacks an ability that the operation needs.
    #[error(transparent)]
    Lacks(#[from] LacksAbility),
    /// The backend cannot set this hook.
    #[error("hook at {at}: {reason}")]
    Hook {
        /// The address asked for.
        at: GuestVirt,
        /// Why, and what to do instead.
        reason: String,
    },
    /// The backend cannot set this watch.
    #[error("watch at {at}: {reason}")]
    Watch {
        /// The address asked for.
        at: GuestVirt,
        /// Why, and what to do instead.
        reason: String,
    },
    /// The channel to the process that executes the guest failed.
    #[error("exchange messages with the process that executes the guest ({doing})")]
    Channel {
        /// What was being done.
        doing: &'static str,
        /// The failed system call.
        #[source]
        source: std::io::Error,
    },
    /// That process sent something that is not in the protocol.
    #[error("the process that executes the guest broke its protocol: {what}; this is a defect of schedrig")]
    Protocol {
        /// What was wrong.
        what: String,
    },
    /// The machine could not be saved.
    #[error("save the machine")]
    Save(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The machine could not be duplicated; where it has not ended, it is as it was.
    #[error("duplicate the machine")]
    Duplicate(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The console could not be read.
    #[error("read the guest's console")]
    Console(#[source] std::io::Error),
}
