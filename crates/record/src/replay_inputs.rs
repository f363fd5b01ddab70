//! What it takes to make a run again.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use spec::op::HostProgram;
use spec::{GuestTime, Nanos, Op};

use crate::Manifest;

/// With the plan, all that decides a run: made again from this, it is the same execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayInputs {
    /// The machine.
    pub manifest: Manifest,
    /// The scheduler's program, as it was found on the host.
    pub scheduler: Option<HostProgram>,
    /// How long things may take.
    pub limits: GuestLimits,
    /// When the scheduler was attached. Records of before there was a choice have none.
    #[serde(default)]
    pub attach: Attach,
    /// The seed where the run began, if its own entered later, by the op `seed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin_seed: Option<u64>,
    /// Where the run was forked from another one, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<Lineage>,
    /// The ops that the test applied, once the scheduler was attached: a test's body is code of the host, and nothing else
    /// of it reaches the guest.
    pub script: Vec<Op>,
}

/// A run that goes on from an instant of another one: its script begins with that one's, followed by its own seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// The other run's name.
    pub of: String,
    /// How many ops of the script are that run's.
    pub ops: usize,
    /// The guest's time there.
    pub at: GuestTime,
    /// Which one of its forks this is, from 0.
    pub nth: u32,
}

/// When the scheduler of a run is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attach {
    /// Once for all runs: each is a fork of a machine that was saved with the scheduler attached.
    Once,
    /// In the run itself, when its seed has entered.
    #[default]
    Fresh,
    /// By a step of the run: what comes before it happens under the kernel's own scheduler.
    Step,
}

impl Attach {
    /// All of them.
    pub const ALL: [Attach; 3] = [Attach::Once, Attach::Fresh, Attach::Step];
}

/// A text that is not [`Attach`]'s.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` says nothing about when a scheduler is attached; write `once`, `fresh` or `step`")]
pub struct AttachError(String);

impl FromStr for Attach {
    type Err = AttachError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "once" => Ok(Attach::Once),
            "fresh" => Ok(Attach::Fresh),
            "step" => Ok(Attach::Step),
            other => Err(AttachError(other.to_owned())),
        }
    }
}

impl fmt::Display for Attach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Attach::Once => "once",
            Attach::Fresh => "fresh",
            Attach::Step => "step",
        })
    }
}

/// How long things may take, in guest time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestLimits {
    /// From the kernel's first instruction to the agent's first call.
    pub boot: Nanos,
    /// A command, beyond the time that it asks for.
    pub silence: Nanos,
    /// A scheduler, to attach, and to end when it is asked to.
    pub scheduler: Nanos,
}
