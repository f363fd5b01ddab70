//! Why a machine ended, by the evidence that it left.

use std::process::ExitStatus;

use machine::ExitReason;

/// The prefix of the kernel's last message (`panic()` in `kernel/panic.c`).
const PANIC: &str = "Kernel panic - not syncing: ";

/// Bytes of QEMU's standard error that a report keeps: the last ones.
const MAX_STDERR: usize = 2048;

/// The evidence of how a machine ended.
#[derive(Debug)]
pub(crate) struct ExitEvidence<'a> {
    /// How QEMU ended; `None` if it could not be reaped.
    pub(crate) status: Option<ExitStatus>,
    /// QMP's `ShutdownCause`, if it was reported.
    pub(crate) shutdown: Option<&'a str>,
    pub(crate) console: &'a [u8],
    pub(crate) stderr: &'a [u8],
}

impl ExitEvidence<'_> {
    /// QEMU exits with status 0 after a power-off and after a reset alike, so the shutdown cause decides. A panic is a
    /// reset (`panic=-1`) with the kernel's message before it.
    pub(crate) fn reason(&self) -> ExitReason {
        let Some(status) = self.status else {
            return self.died("it cannot be reaped".to_owned());
        };
        if !status.success() {
            return self.died(status.to_string());
        }
        match (self.shutdown, panic_message(self.console)) {
            (Some("guest-shutdown"), _) => ExitReason::PoweredOff,
            (Some("guest-reset" | "guest-panic"), Some(message)) => ExitReason::GuestPanic { message },
            (Some("guest-reset"), None) => ExitReason::Reset,
            (reason, _) => self.died(format!(
                "{status}, shutdown reason: {}",
                reason.unwrap_or("none given")
            )),
        }
    }

    fn died(&self, status: String) -> ExitReason {
        ExitReason::Died {
            status,
            stderr: tail(self.stderr),
        }
    }
}

/// The text after the first panic line's prefix; later lines are of errors within the panic.
fn panic_message(console: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(console);
    let message = text.split_once(PANIC)?.1;
    Some(message.lines().next().unwrap_or_default().trim().to_owned())
}

/// The last of `stderr`, from the beginning of a line where it was cut.
pub(crate) fn tail(stderr: &[u8]) -> String {
    let cut = stderr.len().saturating_sub(MAX_STDERR);
    let text = String::from_utf8_lossy(&stderr[cut..]);
    let text = match text.split_once('\n') {
        Some((_, rest)) if cut > 0 => rest,
        _ => &text,
    };
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    const PANICKED: &[u8] =
        b"[    1.5] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000700\r\n[ 1.6] more\r\n";

    fn reason(wait_status: i32, shutdown: Option<&str>, console: &[u8]) -> ExitReason {
        ExitEvidence {
            status: Some(ExitStatus::from_raw(wait_status)),
            shutdown,
            console,
            stderr: b"qemu: so long\n",
        }
        .reason()
    }

    #[test]
    fn a_power_off_is_one_even_after_a_panic_on_the_console() {
        assert_eq!(
            reason(0, Some("guest-shutdown"), PANICKED),
            ExitReason::PoweredOff
        );
    }

    #[test]
    fn a_panic_is_named_by_its_line() {
        let message = "Attempted to kill init! exitcode=0x00000700".to_owned();
        assert_eq!(
            reason(0, Some("guest-reset"), PANICKED),
            ExitReason::GuestPanic { message }
        );
    }

    #[test]
    fn a_reset_without_a_panic_is_the_guests_own() {
        assert_eq!(reason(0, Some("guest-reset"), b""), ExitReason::Reset);
    }

    #[test]
    fn everything_else_is_a_death() {
        let check = |wait_status, shutdown, expect: &str| {
            let ExitReason::Died { status, stderr } = reason(wait_status, shutdown, b"") else {
                panic!("{expect}: not a death");
            };
            assert!(status.contains(expect), "{expect} in {status}");
            assert_eq!(stderr, "qemu: so long");
        };
        check(0, Some("host-signal"), "host-signal");
        check(0, None, "none given");
        check(9, None, "signal: 9");
        check(0x100, Some("guest-shutdown"), "exit status: 1");
    }

    #[test]
    fn only_the_last_lines_of_stderr_are_kept() {
        let long = format!("{}\nlast words\n", "x".repeat(3000));
        assert_eq!(tail(long.as_bytes()), "last words");
        assert_eq!(tail(b"first\nsecond\n"), "first\nsecond");
        assert_eq!(tail(&vec![0xff; 5000]).chars().count(), 2048);
    }
}
