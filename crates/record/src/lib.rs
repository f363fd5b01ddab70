//! The evidence of one run, what was expected of it, how it was judged, and how all that lies on disk.
//!
//! *Architecture invariant:* a record does not know how it was made. It is plain data: `session` fills it,
//! `check` judges it, faces show it. Evidence comes first, judgement after, so that a saved run can be judged
//! again without a VM.
//!
//! ```text
//! Record ─┬─ plan            what was asked: machine, kernel, scheduler, seed, expectations
//!         ├─ replay_inputs   with the plan enough to make the run again: the machine, the ops of the test
//!         ├─ evidence        what the guest did                      ┐ covered by the record hash:
//!         ├─ judgement       the checks judged from the evidence,    ┘ same hash = same execution
//!         │                  and those judged from samples: not hashed, since observing changes no execution
//!         ├─ series          what the monitor sampled: not hashed
//!         └─ host            versions, host seconds, paths: not hashed
//! ```
#![forbid(unsafe_code)]

mod dump;
mod evidence;
mod expectation;
mod hash;
mod manifest;
mod observation;
mod plan;
mod replay_inputs;
mod repro;
mod series;
mod snapshot;
mod store;
mod tag;
mod value;
mod verdict;
mod wording;

use serde::{Deserialize, Serialize};

pub use dump::{Dump, DumpTrigger};
pub use evidence::{End, Event, EventKind, Evidence, SchedExt, Window};
pub use expectation::{Expectation, Percent, PercentError};
pub use hash::RecordHash;
pub use manifest::Manifest;
pub use observation::Observation;
pub use plan::{KernelFacts, Plan, SchedulerPlan};
pub use replay_inputs::{Attach, AttachError, GuestLimits, Lineage, ReplayInputs};
pub use repro::{CallHistory, Repro, Trace, TracedCall};
pub use series::{
    Counts, CpuSample, Imbalance, MAX_READINGS, MAX_ROWS, MAX_WAITING, Numbers, Running, Sample, Series,
    SeriesBuilder, Unread, Waiter, WindowCounts,
};
pub use snapshot::{Snapshot, TaskRef, View};
pub use store::{
    About, Listed, ListedFile, RecordId, StoreError, abandon, describe, find, list, load, probe, remove, save,
};
pub use tag::{MAX_TAG_BYTES, Tag, TagError, well_known};
pub use value::{Name, NoSuchValue, Value};
pub use verdict::{CheckResult, Judgement, Source, Verdict};

/// The format in which records are written. Major 1 is read, too; another major number is refused, another minor is read.
pub const FORMAT: Format = Format { major: 2, minor: 0 };

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
    /// What it takes to make the run again; `None` in records of format 1.0, and where no machine came up.
    #[serde(default)]
    pub replay_inputs: Option<ReplayInputs>,
    /// What the guest did.
    pub evidence: Evidence,
    /// What was made of it.
    pub judgement: Judgement,
    /// What was seen in the guest's kernel; not part of the execution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observations: Vec<Observation>,
    /// What the test wanted to see of the kernel, in the order in which it was taken; not part of the execution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<Snapshot>,
    /// What failures looked like in the kernel; not part of the execution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dumps: Vec<Dump>,
    /// How it came to the failure, seen in a second execution; not part of this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repro: Option<Repro>,
    /// What the monitor sampled of the CPUs, if there was one; not part of the execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<Series>,
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
            replay_inputs: None,
            evidence,
            judgement,
            observations: Vec::new(),
            snapshots: Vec::new(),
            dumps: Vec::new(),
            repro: None,
            series: None,
            hash,
            host,
        }
    }

    /// The checks that were not passed or skipped.
    pub fn findings(&self) -> impl Iterator<Item = &CheckResult> {
        self.judgement.findings()
    }

    /// The run's verdict: the worst of all checks, whatever they were judged from.
    pub fn verdict(&self) -> Verdict {
        self.judgement.verdict()
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
    /// Host seconds until the machine stood in the agent's first call: a fork's, and those of the boot where there was
    /// no saved machine yet.
    pub boot_seconds: f64,
    /// The command that replays exactly this run.
    pub replay: String,
}
