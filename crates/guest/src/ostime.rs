//! Guest time as the kernel's calls take it.

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
