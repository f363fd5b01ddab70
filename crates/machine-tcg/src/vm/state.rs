//! Where a machine is in its life: the states of the `machine` crate's picture.

use machine::{ExitReason, MachineError};

#[derive(Debug)]
pub(super) enum State {
    /// Frozen before the first instruction; a fork: before its original's console and call were reported.
    New,
    Frozen,
    Running,
    Ended(ExitReason),
}

impl State {
    pub(super) fn name(&self) -> &'static str {
        match self {
            State::New => "frozen before its first instruction",
            State::Frozen => "frozen",
            State::Running => "running",
            State::Ended(_) => "ended",
        }
    }

    /// The plugin reads commands only while the guest is frozen.
    pub(super) fn require_frozen(&self, operation: &'static str) -> Result<(), MachineError> {
        match self {
            State::New | State::Frozen => Ok(()),
            State::Running | State::Ended(_) => Err(self.refuse(operation, "frozen")),
        }
    }

    pub(super) fn require_running(&self, operation: &'static str) -> Result<(), MachineError> {
        match self {
            State::Running => Ok(()),
            State::New | State::Frozen | State::Ended(_) => Err(self.refuse(operation, "running")),
        }
    }

    pub(super) fn refuse(&self, operation: &'static str, needed: &'static str) -> MachineError {
        MachineError::State {
            operation,
            needed,
            found: self.name(),
        }
    }
}
