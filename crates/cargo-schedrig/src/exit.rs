//! Exit codes: an interface for scripts.

use std::process::ExitCode;

use schedrig::{RigError, Verdict};

/// How the program ends; 64 and above as in sysexits(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Passed, or skipped with a reason.
    Pass = 0,
    /// A promise was broken.
    Fail = 1,
    /// It could not be judged.
    Inconclusive = 2,
    /// The command line is wrong.
    Usage = 64,
    /// Something required is missing or cannot be used.
    Unavailable = 69,
    /// The rig itself failed.
    Software = 70,
    /// Ctrl-C: 128 + SIGINT.
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
                | RigError::Seed { .. }
                | RigError::GroupName(_)
                | RigError::Weight(_)
                | RigError::Op(_)
                | RigError::Cpus(_)
                | RigError::Time(_)
                | RigError::Lacks(_)
                | RigError::Scenario(_),
            ) => Exit::Usage,
            _ if error.is::<scenario::FileError>() => Exit::Usage,
            Some(
                RigError::Kernel { .. }
                | RigError::Scheduler { .. }
                | RigError::NoScheduler { .. }
                | RigError::Probe(_)
                | RigError::Replay(_)
                | RigError::Record(_)
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

/// Exit codes other than the usual ones, for scripts.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct Policy {
    /// Exit with 1 when the run was skipped.
    #[arg(long, help_heading = "Checks")]
    no_skip_mode: bool,
    /// Exit with 0 when the run could not be judged.
    #[arg(long, help_heading = "Checks")]
    allow_inconclusive: bool,
    /// Use at most N CPUs of the host; one is enough for any machine.
    #[arg(long, value_name = "N")]
    cpu_cap: Option<u32>,
}

impl Policy {
    /// The code for a verdict.
    pub(crate) fn exit(self, verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Skip if self.no_skip_mode => Exit::Fail,
            Verdict::Inconclusive if self.allow_inconclusive => Exit::Pass,
            verdict => verdict.into(),
        }
    }

    /// Checks that there is a CPU to run on.
    ///
    /// # Errors
    /// [`Usage`] where there is none.
    pub(crate) fn check(self) -> Result<(), Usage> {
        match self.cpu_cap {
            Some(0) => Err(Usage("--cpu-cap must be ≥ 1 CPU (got 0)".to_owned())),
            _ => Ok(()),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// A value of the command line that is wrong in a way that the parser does not see.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        policy: Policy,
    }

    fn policy(words: &[&str]) -> Policy {
        Line::try_parse_from([&["x"], words].concat())
            .map(|line| line.policy)
            .unwrap()
    }

    /// F13: 0 for a pass or a skip, 1 for a fail, 2 for what could not be judged; an option changes it.
    #[test]
    fn a_verdict_has_its_exit_code_unless_an_option_changes_it() {
        let codes = |words: &[&str]| {
            [Verdict::Pass, Verdict::Skip, Verdict::Fail, Verdict::Inconclusive]
                .map(|verdict| policy(words).exit(verdict) as u8)
        };
        assert_eq!(codes(&[]), [0, 0, 1, 2]);
        assert_eq!(codes(&["--no-skip-mode"]), [0, 1, 1, 2]);
        assert_eq!(codes(&["--allow-inconclusive"]), [0, 0, 1, 0]);
    }

    /// F13: zero CPUs is a number, and is refused before the run begins.
    #[test]
    fn zero_cpus_are_refused_before_the_run_begins() {
        assert!(policy(&["--cpu-cap", "1"]).check().is_ok());
        let error = policy(&["--cpu-cap", "0"]).check().unwrap_err().to_string();
        assert!(error.contains("must be ≥ 1 CPU (got 0)"), "{error}");
    }
}
