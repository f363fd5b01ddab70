//! Coordinates one run: sees a [`machine::Machine`], makes a record's evidence.
//!
//! *Architecture invariant:* a session sees `dyn Machine` only and knows no backend. It gathers evidence and
//! never judges it.
//!
//! The agent is a server that stands still: it asks "what next?" with a call, and from that instant until the
//! answer nothing in the guest moves. So a session is a plain sequence of ops ([`spec::op`]), and the code between two
//! ops looks at a frozen machine:
//!
//! ```text
//!            start                  apply(op)
//!  (machine) ─────► frozen in call ──answer──► running ──► Reply ──► frozen in call …
//!                                              │  ▲
//!                                              │  └─ Ack ── Notice: into the evidence
//!                                              ├─ hook on the tick: guest time; is it silent? is a query due?
//!                                              └─ Exit, Deadline ──► over: every later op says why
//! ```
//!
//! Where a machine stands in a call, its session can be saved with it and gone on with in any fork ([`Session::go_on`]), or
//! have a twin ([`Session::twin`]).
#![forbid(unsafe_code)]

mod agent;
mod chain;
mod closure;
mod exchange;
mod port;
mod programs;
mod replay;
mod session;
mod standing;
mod status;
mod watchdog;

pub use agent::{InitrdError, KERNEL_ARGUMENTS, KernelConfig, initrd};
pub use chain::chain;
pub use closure::{ClosureError, GuestFile, Program};
pub use exchange::ExchangeError;
pub use observe::{
    Hit, HitAction, HitFilter, HitFn, HitKind, InstrumentError, Look, LookError, LookFn, NoRoom, Observed,
    SnapshotError,
};
pub use replay::{ReplayError, ScriptPlayer, read_program};
pub use session::{Failed, Limits, SaveError, Session, SessionError, Start};
pub use standing::{Standing, StandingError};
pub use status::{Doing, Status};
pub use watchdog::{GuestClock, WatchdogError};
