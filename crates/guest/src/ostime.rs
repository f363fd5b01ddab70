//! Guest time as the kernel's calls take it, and the nudge that makes a task's accounting fresh.

use rustix::process::Pid;
use rustix::time::Timespec;
use spec::{GuestTime, Nanos};

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// Now, on the guest's `CLOCK_MONOTONIC`.
pub(crate) fn now() -> GuestTime {
    workload::now()
}

/// `span` after `time`; saturates.
pub(crate) fn after(time: GuestTime, span: Nanos) -> GuestTime {
    GuestTime(Nanos(time.0.0.saturating_add(span.0)))
}

/// From now until `deadline`, as `ppoll` takes it; zero where it has passed.
pub(crate) fn until(deadline: GuestTime) -> Timespec {
    let left = deadline.since(now()).0;
    Timespec {
        tv_sec: (left / NANOS_PER_SEC).cast_signed(),
        tv_nsec: (left % NANOS_PER_SEC).cast_signed(),
    }
}

/// Brings the accounting of a running process up to now. `/proc/PID/schedstat` shows the on-CPU time as of the
/// last tick; reading the process's CPU clock makes the kernel add what has run since
/// (`task_sched_runtime` in kernel/sched/core.c).
pub(crate) fn refresh_accounting(pid: Pid) {
    let (mut clock, mut time) = (
        0,
        libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        },
    );
    // SAFETY: `clock` is valid for a write.
    if unsafe { libc::clock_getcpuclockid(pid.as_raw_nonzero().get(), &raw mut clock) } == 0 {
        // SAFETY: `time` is valid for a write. A process that is gone gives an error, and nothing to refresh.
        let _ = unsafe { libc::clock_gettime(clock, &raw mut time) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_deadline_leaves_no_time() {
        let left = until(GuestTime(Nanos(1)));
        assert_eq!((left.tv_sec, left.tv_nsec), (0, 0));
        let left = until(after(now(), Nanos::from_secs(10)));
        assert_eq!(left.tv_sec, 9);
    }

    #[test]
    fn no_end_of_time_is_reached() {
        assert_eq!(after(now(), Nanos(u64::MAX)), GuestTime(Nanos(u64::MAX)));
        until(GuestTime(Nanos(u64::MAX)));
    }
}
