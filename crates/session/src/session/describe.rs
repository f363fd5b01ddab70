//! How a run ended, in words; and what the guest writes, as text.

use machine::{ExitReason, MachineError};
use record::End;

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

/// Shows the console to a user who asked for it: `SCHEDRIG_LOG=schedrig::console=info`.
pub(super) fn show(console: &[u8]) {
    for line in text(console).lines() {
        tracing::info!(target: "schedrig::console", "{line}");
    }
}

/// Console and logs as text: what is not UTF-8 is replaced, carriage returns of the serial line and terminal escapes go.
pub(crate) fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace('\r', "");
    anstream::adapter::strip_str(&text).to_string()
}
