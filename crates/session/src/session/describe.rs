//! A run's ends and commands, in words.

use machine::{ExitReason, MachineError};
use record::End;
use wire::Command;

use super::SessionError;
use crate::chain::chain;

pub(super) fn ended(reason: ExitReason, doing: &str) -> End {
    match reason {
        ExitReason::GuestPanic { message } => End::GuestPanic { message },
        reason @ (ExitReason::PoweredOff | ExitReason::Reset) => End::GuestExited {
            during: format!("while {doing}: {reason}"),
        },
        reason @ (ExitReason::Died { .. } | ExitReason::Killed) => End::MachineDied {
            reason: format!("{reason}, while {doing}"),
        },
    }
}

pub(super) fn machine_died(error: &MachineError) -> End {
    End::MachineDied { reason: chain(error) }
}

pub(super) fn describe_end(end: &End) -> String {
    match end {
        End::PoweredOff => "the guest was switched off".to_owned(),
        End::GuestExited { during } => format!("the guest shut down unexpectedly, {during}"),
        End::Stopped { during } => format!("the run was stopped as asked, {during}"),
        End::GuestPanic { message } => format!("the guest kernel panicked: {message}"),
        End::GuestSilent { during } => format!("the guest fell silent: {during}"),
        End::MachineDied { reason } => reason.clone(),
        End::HostDeadline { during } => format!("the host-time limit passed {during}"),
    }
}

pub(super) fn describe(command: &Command) -> String {
    match command {
        Command::Seed { .. } => "the agent is seeded".to_owned(),
        Command::WriteFile { path, .. } => format!("the agent writes {path}"),
        Command::ReadFile { path } => format!("the agent reads {path}"),
        Command::MakeCgroup(group) => format!("the agent makes cgroup {}", group.name),
        Command::Spawn {
            group, work, count, ..
        } => format!("the agent makes {count} {work} workers in {group}"),
        Command::StartScheduler { argv, .. } => format!("the agent starts {}", argv.join(" ")),
        Command::StopScheduler { .. } => "the agent stops the scheduler".to_owned(),
        Command::RunFor { span } => format!("the workers run for {span}"),
        Command::Exec { argv, .. } => format!("the agent runs {}", argv.join(" ")),
        Command::PowerOff => "the guest powers off".to_owned(),
    }
}

pub(super) fn mismatch(command: &str, reply: &dyn std::fmt::Debug) -> SessionError {
    let reply: String = format!("{reply:?}").chars().take(120).collect();
    SessionError::Mismatch {
        command: command.to_owned(),
        reply,
    }
}

/// For whoever looks on: `SCHEDRIG_LOG=schedrig::console=info`.
pub(super) fn show(console: &[u8]) {
    for line in text(console).lines() {
        tracing::info!(target: "schedrig::console", "{line}");
    }
}

/// Console and logs as text: what is not UTF-8 is replaced, carriage returns of the serial line go.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\r', "")
}
