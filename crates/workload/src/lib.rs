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
//!                                             loop { work.step(&mut telemetry) }
//!  Slot::begin_window   ── window ────────►   SelfTelemetry::stamp sees it, forgets its longest gap
//!  Slot::read           ◄── units, cpus, ──   SelfTelemetry::stamp, count, rest
//!                           wants, gap
//! ```
//!
//! A worker **wants to run** from the instant in `wants_since` on; every time it sees itself running it closes
//! that gap. What a work's wanting means is told in its file: [`Spin`], [`SleepBurst`], [`PingPong`].
//!
//! A step makes no system call unless the work is about one (sleeping, waking): clock and CPU number come
//! from the vDSO, so that measuring does not look like work to the scheduler.

mod arena;
mod burst;
mod clock;
mod compute;
mod gap;
mod lengths;
mod pingpong;
mod random;
mod slot;
mod spin;
mod telemetry;

pub use arena::Arena;
pub use burst::SleepBurst;
pub use clock::{now, sleep_until};
pub use gap::{ClosedGap, longest};
pub use pingpong::{PingPong, Side};
pub use random::Random;
pub use slot::{Reading, Slot};
pub use spin::Spin;
pub use telemetry::SelfTelemetry;

/// What a worker does, a step at a time.
pub trait Work {
    /// Does the next piece of work and writes into the diary what the worker saw. Called for ever, after the
    /// gate opened; it may sleep or wait for a partner, and it may be preempted anywhere.
    fn step(&mut self, telemetry: &mut SelfTelemetry<'_>);
}
