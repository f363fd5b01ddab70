//! What programs of the guest ask for: the protocol, without a machine (contracts D1 to D12, F6).
//!
//! ```text
//!  frame ─► header whole? ─► kind known? ─► from a program? ─► payload whole? ─► its length? ─► what it asks for
//!              │ no             │ no            │ no               │ no            │ no             │
//!              └────────────────┴───────────────┴──────────────────┴───────────────┴─► refused      ▼
//!                                                                  └──► recorded ◄── evidence ──── action
//! ```
//!
//! No program is trusted. [`Dispatcher`] takes a frame and says what is to be done, what is recorded, and what the program
//! is answered; [`ProgramQuota`] bounds what programs may do to a run. Both are plain values: `session::programs` reads the
//! frames out of the guest's memory, carries the actions out and writes the answers.
//!
//! Evidence is recorded as it came, damaged or not. A frame that is not taken is refused at once with the reason, and
//! counted.

mod counts;
mod dispatcher;
mod disposition;
mod evidence;
mod quota;

use kimage::BuildId;
use record::{Observation, Value};
use spec::GuestTime;

pub(crate) use disposition::{Action, Disposition};
pub(crate) use quota::ProgramQuota;

use dispatcher::Dispatcher;

/// The programs of a run, as far as they have called the host.
#[derive(Debug, Clone, Default)]
pub(crate) struct Programs {
    dispatcher: Dispatcher,
    pub(crate) quota: ProgramQuota,
}

impl Programs {
    /// What becomes of a frame; `host` is the build of the kernel that the host has the files of.
    pub(crate) fn take(&mut self, frame: &[u8], host: Option<BuildId>) -> Disposition {
        self.dispatcher.take(frame, host)
    }

    /// How many frames came and what became of them; `None` where no program has called.
    pub(crate) fn observation(&self, at: GuestTime) -> Option<Observation> {
        let counts = self.dispatcher.counts();
        if counts.is_empty() && self.quota.unreadable() == 0 {
            return None;
        }
        let kinds = counts
            .by_kind
            .iter()
            .map(|(kind, count)| (evidence::letters(*kind), Value::from(*count)));
        let seen = Value::tree([
            ("by_kind", Value::tree(kinds)),
            ("unknown", Value::from(counts.unknown)),
            ("damaged", Value::from(counts.damaged)),
            ("refused", Value::from(counts.refused)),
            ("unreadable", Value::from(self.quota.unreadable())),
            ("not_in_the_record", Value::from(self.quota.unrecorded())),
        ]);
        Some(Observation {
            at,
            asked: "frames of the guest's programs".to_owned(),
            seen,
        })
    }
}
