//! Why an op was refused or failed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Op;
use crate::{ExitStatus, GuestTime, Nanos, Topology};

/// An op was refused before it reached the guest, or failed in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum OpError {
    /// A system call of the agent failed.
    #[error("{doing}: {message} (errno {errno}){}", Next(next))]
    System {
        /// What was being done, with its values.
        doing: String,
        /// The error number; 0 where there is none.
        errno: i32,
        /// Its text.
        message: String,
        /// What to do about it; empty where nothing is known.
        next: String,
    },
    /// A program ended before it had done what was waited for.
    #[error("{program} ended at {at} before it attached: {status}")]
    EndedEarly {
        /// Its path.
        program: String,
        /// When.
        at: GuestTime,
        /// How.
        status: ExitStatus,
    },
    /// A program did not do in time what was waited for, and was ended.
    #[error("{program} did not {what} within {within}")]
    TimedOut {
        /// Its path.
        program: String,
        /// What was waited for.
        what: String,
        /// How long.
        within: Nanos,
    },
    /// The op does not fit the agent's state.
    #[error("{0}")]
    State(String),
    /// The agent could not decode the host's command.
    #[error("the agent did not understand the host: {0}")]
    NotUnderstood(String),
    /// The agent was sent an op that the host carries out.
    #[error("the host carries out `{op}` itself and must not send it; this is a defect of schedrig")]
    ByHost {
        /// The op's name.
        op: String,
    },
    /// The machine lacks CPUs that the op names.
    #[error("the machine {topology} has no {what}; it has the CPUs {}", topology.all_cpus())]
    NoSuchCpus {
        /// The machine's shape.
        topology: Topology,
        /// What it lacks.
        what: String,
    },
    /// A value of the op is out of bounds.
    #[error("{0}")]
    Invalid(String),
}

impl OpError {
    /// The machine has no `what`.
    pub fn no_such_cpus(topology: &Topology, what: String) -> OpError {
        OpError::NoSuchCpus {
            topology: *topology,
            what,
        }
    }

    /// Was it refused, so that the guest is as it was? Nothing follows from that for whoever schedules its tasks.
    pub fn is_refusal(&self) -> bool {
        match self {
            OpError::System { .. }
            | OpError::State(_)
            | OpError::NotUnderstood(_)
            | OpError::ByHost { .. } => true,
            OpError::NoSuchCpus { .. } | OpError::Invalid(_) => true,
            OpError::EndedEarly { .. } | OpError::TimedOut { .. } => false,
        }
    }

    /// The same error with what to do about it, where it is a system call's.
    #[must_use]
    pub fn advise(self, next: &str) -> OpError {
        match self {
            OpError::System {
                doing,
                errno,
                message,
                ..
            } => OpError::System {
                doing,
                errno,
                message,
                next: next.to_owned(),
            },
            other => other,
        }
    }
}

struct Next<'e>(&'e str);

impl fmt::Display for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            next => write!(f, "; {next}"),
        }
    }
}

/// A text that is no op.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpTextError {
    /// No op has that keyword.
    #[error("unknown op `{keyword}`; ops: {}", Usages)]
    Unknown {
        /// The first word.
        keyword: String,
    },
    /// What follows the keyword is wrong.
    #[error("op `{text}`: {reason}; write `{usage}`")]
    Arguments {
        /// The whole text.
        text: String,
        /// How it is typed.
        usage: &'static str,
        /// What is wrong.
        reason: String,
    },
}

struct Usages;

impl fmt::Display for Usages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, form) in Op::forms().enumerate() {
            let separator = if nth == 0 { "" } else { ", " };
            write!(f, "{separator}`{}`", form.usage)?;
        }
        Ok(())
    }
}
