//! What a record's kinds are called in a sentence: one spelling for the session's errors, the checks' reasons and the
//! reports.

use std::fmt;

use crate::{DumpTrigger, End, EventKind};

/// As in `the guest kernel panicked: Fatal exception`.
impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Finished => f.write_str("the run came to its end"),
            End::GuestExited { during } => write!(f, "the guest shut down unexpectedly, {during}"),
            End::Stopped { during } => write!(f, "the run stopped as requested, {during}"),
            End::GuestPanic { message } => write!(f, "the guest kernel panicked: {message}"),
            End::GuestSilent { during } => write!(f, "the guest stopped responding: {during}"),
            End::MachineDied { reason } => write!(f, "the machine died: {reason}"),
            End::HostDeadline { during } => write!(f, "the host-time limit passed, {during}"),
        }
    }
}

/// As in `a task is stuck: a/2[111] has waited 1.032s on CPU 0`.
impl fmt::Display for DumpTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DumpTrigger::SchedulerError {} => f.write_str("the scheduler ends with an error"),
            DumpTrigger::Stuck { waiting } => write!(f, "a task is stuck: {waiting}"),
            DumpTrigger::HalfTimeout { waiting } => {
                write!(f, "half of the sched_ext watchdog timeout has passed: {waiting}")
            }
            DumpTrigger::KernelReport { message } => write!(f, "the kernel reports: {message}"),
            DumpTrigger::Sampled { violation } => f.write_str(violation),
            DumpTrigger::CheckFailed { check } => {
                write!(f, "check `{check}` failed: the kernel at the end of the run")
            }
            DumpTrigger::Stopped { asked } => write!(f, "stopped as asked: {asked} was hit"),
            DumpTrigger::Sentence(sentence) => f.write_str(sentence),
        }
    }
}

/// As in `spawned a/0 (pid 110), nice 0: spin`.
impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventKind::Booted { release, cpus } => write!(f, "booted {release} on {cpus} CPUs"),
            EventKind::Spawned { id, pid, work, nice } => {
                write!(f, "spawned {id} (pid {pid}), nice {nice}: {work}")
            }
            EventKind::SchedulerAttached { ops, pid, .. } => {
                write!(f, "scheduler {ops} (pid {pid}) attached")
            }
            EventKind::SchedulerExited { status, asked } => {
                let asked = if *asked { "as asked" } else { "unasked" };
                write!(f, "scheduler exited {asked}: {status}")
            }
            EventKind::SchedulerFailed { reason, .. } => write!(f, "scheduler failed: {reason}"),
            EventKind::Applied { op } => write!(f, "applied {op}"),
            EventKind::Executed { program, status } => write!(f, "executed {program}: {status}"),
            EventKind::Note { key, value } => write!(f, "note {key} = {value}"),
            EventKind::Sent {
                frame,
                payload,
                intact,
            } => {
                let damaged = if *intact { "" } else { " (damaged)" };
                write!(f, "sent {frame}{damaged}: {payload}")
            }
            EventKind::Refused { reason } => write!(f, "refused: {reason}"),
            EventKind::BodyFailed { reason, .. } => write!(f, "the test's body failed: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_has_one_spelling() {
        let during = || "while the workers run for 2s".to_owned();
        let check = |end: End, expect: &str| assert_eq!(end.to_string(), expect);
        check(End::Finished, "the run came to its end");
        check(
            End::GuestExited { during: during() },
            "the guest shut down unexpectedly, while the workers run for 2s",
        );
        check(
            End::Stopped { during: during() },
            "the run stopped as requested, while the workers run for 2s",
        );
        check(
            End::GuestPanic {
                message: "Fatal exception".into(),
            },
            "the guest kernel panicked: Fatal exception",
        );
        check(
            End::GuestSilent {
                during: "nothing came for 5s".into(),
            },
            "the guest stopped responding: nothing came for 5s",
        );
        check(
            End::MachineDied {
                reason: "signal 9".into(),
            },
            "the machine died: signal 9",
        );
        check(
            End::HostDeadline { during: during() },
            "the host-time limit passed, while the workers run for 2s",
        );
    }
}
