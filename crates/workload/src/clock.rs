//! The worker's clock: `CLOCK_MONOTONIC`, read through the vDSO.

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};
use spec::{GuestTime, Nanos};

const NANOS_PER_SEC: u64 = 1_000_000_000;

/// Now.
pub fn now() -> GuestTime {
    GuestTime(from_timespec(clock_gettime(ClockId::Monotonic)))
}

/// The time that this thread has spent on a CPU. A system call: the vDSO does not know it.
pub(crate) fn on_cpu() -> Nanos {
    from_timespec(clock_gettime(ClockId::ThreadCPUTime))
}

/// Sleeps until `deadline`; returns at once where that has passed.
pub fn sleep_until(deadline: GuestTime) {
    let deadline = Timespec {
        tv_sec: (deadline.0.0 / NANOS_PER_SEC).cast_signed(),
        tv_nsec: (deadline.0.0 % NANOS_PER_SEC).cast_signed(),
    };
    // Only a signal handler could interrupt it, and a worker has none.
    let _ = clock_nanosleep_absolute(ClockId::Monotonic, &deadline);
}

/// `by` after `time`; saturates.
pub(crate) fn later(time: GuestTime, by: Nanos) -> GuestTime {
    GuestTime(Nanos(time.0.0.saturating_add(by.0)))
}

fn from_timespec(time: Timespec) -> Nanos {
    // Both clocks start at 0 and never run backwards.
    Nanos(time.tv_sec.cast_unsigned() * NANOS_PER_SEC + time.tv_nsec.cast_unsigned())
}
