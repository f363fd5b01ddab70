//! The evidence of one run, what was expected of it, how it was judged, and how all that lies on disk.
//!
//! *Architecture invariant:* a record does not know how it was made. It is plain data: `session` fills it,
//! `check` judges it, faces show it. Evidence comes first, judgement after, so that a saved run can be judged
//! again without a VM.
//!
//! ```text
//! Record ─┬─ plan       what was asked: machine, kernel, scheduler, seed, expectations
//!         ├─ evidence   what the guest did          ┐ the record hash covers these two:
//!         ├─ judgement  what `check` made of it     ┘ same hash = same execution
//!         └─ host       versions, host seconds, paths: never hashed
//! ```
#![forbid(unsafe_code)]

mod evidence;
mod expectation;
mod hash;
mod plan;
mod store;
mod verdict;

use serde::{Deserialize, Serialize};

pub use evidence::{End, Event, Evidence, Happening, SchedExt, Window};
pub use expectation::{Expectation, Percent, PercentError};
pub use hash::RecordHash;
pub use plan::{KernelFacts, Plan, SchedulerPlan};
pub use store::{RecordId, StoreError, load, save};
pub use verdict::{CheckResult, Judgement, Verdict};

/// The format of `record.json`: another major number cannot be read, another minor can.
pub const FORMAT: Format = Format { major: 1, minor: 0 };

/// A version of the format on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// Raised when an older reader would misread.
    pub major: u32,
    /// Raised when something is added that an older reader may ignore.
    pub minor: u32,
}

/// One run; see the crate's picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format it was written in.
    pub format: Format,
    /// What was asked.
    pub plan: Plan,
    /// What the guest did.
    pub evidence: Evidence,
    /// What was made of it.
    pub judgement: Judgement,
    /// Over evidence and judgement.
    pub hash: RecordHash,
    /// How it was made; not part of the execution.
    pub host: HostFacts,
}

impl Record {
    /// A record of today's format, with its hash.
    pub fn new(plan: Plan, evidence: Evidence, judgement: Judgement, host: HostFacts) -> Record {
        let hash = RecordHash::of(&evidence, &judgement);
        Record {
            format: FORMAT,
            plan,
            evidence,
            judgement,
            hash,
            host,
        }
    }
}

/// What is true of the host and of this one making of the run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HostFacts {
    /// Version of the rig.
    pub schedrig: String,
    /// The backend and its version, as in `tcg, QEMU 10.0.2`.
    pub backend: String,
    /// Host seconds from the start of the machine to its end.
    pub seconds: f64,
    /// Host seconds from the start of the machine to the agent's first call.
    pub boot_seconds: f64,
    /// The command that replays exactly this run.
    pub replay: String,
}
