//! The work that a guest's workers perform, and how they measure themselves.
//!
//! *Architecture invariant:* this crate knows one machine: the one that it runs on. It does not know virtual
//! machines, frames, cgroups or who asked for the work.
//!
//! A worker is a process. It shares one [`Slot`] with the agent, in an [`Arena`] that was mapped before the
//! fork; nothing in it needs a lock, and a worker that stops at any instruction leaves it readable:
//!
//! ```text
//!  agent (SCHED_FIFO)                         worker
//!  Slot::open(now)      ── gate ──────────►   SelfTelemetry::wait_at_gate
//!                                             loop { steps.step(&mut telemetry) }
//!  Slot::begin_window   ── window ────────►   SelfTelemetry::stamp sees it, forgets its longest gap
//!  Slot::read           ◄── units, cpus, ──   SelfTelemetry::stamp, count, want_from
//!                           wants, gap
//! ```
//!
//! A worker **wants to run** from the instant in `wants_since` on; every time it sees itself running it closes
//! that gap. When the workers of a type of work want to run is said in the type's file below `work`.
//!
//! [`behaviour`] is the table from a [`spec::Work`] to what performs it. Workers that work together are a [`Team`] and
//! share scratch memory, which their work lays out.
//!
//! A step makes no system call unless the work is about one (sleeping, waking): clock and CPU number come
//! from the vDSO, so that measuring does not look like work to the scheduler.

mod arena;
mod clock;
mod compute;
mod futex;
mod gap;
mod lengths;
mod random;
mod scratch;
mod slot;
mod team;
mod telemetry;
mod work;

pub use arena::Arena;
pub use clock::{now, sleep_until};
pub use gap::{ClosedGap, longest};
pub use random::Random;
pub use slot::{Reading, Slot};
pub use team::Team;
pub use telemetry::SelfTelemetry;
pub use work::{Behaviour, Steps, behaviour};
