//! Exit codes: an interface for scripts.

use std::process::ExitCode;

use schedrig::{RigError, Verdict};

/// How the program ends; 64 and above as in sysexits(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Passed, or skipped with a reason.
    Pass = 0,
    /// A promise was broken.
    Fail = 1,
    /// It could not be judged.
    Inconclusive = 2,
    /// The command line is wrong.
    Usage = 64,
    /// Something that is needed is missing or cannot be had.
    Unavailable = 69,
    /// The rig itself failed.
    Software = 70,
    /// Somebody pressed Ctrl-C: 128 + SIGINT.
    Interrupted = 130,
}

impl Exit {
    /// The code for an error that kept a command from its result.
    pub(crate) fn of(error: &anyhow::Error) -> Exit {
        if error.is::<Usage>() {
            return Exit::Usage;
        }
        match error.downcast_ref::<RigError>() {
            Some(
                RigError::Topology(_)
                | RigError::GroupName(_)
                | RigError::Weight(_)
                | RigError::NoSuchCpus { .. }
                | RigError::CpuSet(_),
            ) => Exit::Usage,
            Some(
                RigError::Kernel { .. }
                | RigError::Scheduler { .. }
                | RigError::NoScheduler { .. }
                | RigError::Qemu(_)
                | RigError::Replay(_)
                | RigError::Saves(_)
                | RigError::Live(_)
                | RigError::NoHome,
            ) => Exit::Unavailable,
            _ if error.is::<kstore::StoreError>()
                || error.is::<record::StoreError>()
                || error.is::<saves::StoreError>() =>
            {
                Exit::Unavailable
            }
            _ => Exit::Software,
        }
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Pass | Verdict::Skip => Exit::Pass,
            Verdict::Fail => Exit::Fail,
            Verdict::Inconclusive => Exit::Inconclusive,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A value of the command line that only a closer look finds wrong.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
