//! Frames of the guest's programs → what is to be done (contracts D1 to D12, F2, F6).
//!
//! ```text
//!  frame ─► header whole? ─► kind known? ─► from a program? ─► payload whole? ─► its length? ─► what it asks for
//!              │ no             │ no            │ no               │ no            │ no             │
//!              └────────────────┴───────────────┴──────────────────┴───────────────┴─► refused      ▼
//!                                                                  └──► kept, too ◄─── evidence ── action
//! ```
//!
//! [`Dispatcher`] is a state machine of plain values: it takes a frame and the guest's time, and says what is to be done
//! and what the guest is told. It neither knows how frames travel nor carries anything out.
//!
//! Evidence is kept as it came, damaged or not: who judges it decides. What is not taken is refused at once with its
//! reason, and counted; where the field's tools drop a frame in silence and let its sender wait for a deadline, this one
//! answers.

mod bucket;
mod counts;
mod dispatcher;
mod disposition;
mod kaslr;
mod lifecycle;
mod phases;

pub use bucket::{Bucket, Evidence, MOST_EVIDENCE, MOST_EVIDENCE_BYTES, NoRoom};
pub use counts::Counts;
pub use dispatcher::{Dispatcher, Setup};
pub use disposition::{Action, Disposition, Refusal};
pub use kaslr::{Addresses, Learned, LinkedKernel, MovedKernel, Once, SlideError, slide};
pub use lifecycle::{Lifecycle, WrongKernel};
pub use phases::Phases;
