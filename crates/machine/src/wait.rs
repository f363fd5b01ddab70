//! Waits for an event descriptor without consuming its event (contract B12).

use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// How a wait ended. None of these needs handling: a waiter checks its own condition, and waits again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// The descriptor is readable, and nothing was read.
    Ready,
    /// The time has passed.
    TimedOut,
    /// A signal was delivered.
    Interrupted,
    /// The descriptor will never be readable: its other end is closed, or it is for writing.
    Hopeless,
    /// `poll` failed.
    Failed(Errno),
}

/// Waits until the descriptor is readable, at most for `timeout`. Nothing is read, so one write wakes all waiters.
pub fn wait_readable(fd: BorrowedFd<'_>, timeout: Duration) -> Woken {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    // A time beyond what the kernel takes means without a limit.
    let timeout = Timespec::try_from(timeout).ok();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(0) => Woken::TimedOut,
        Ok(_) if fds[0].revents().contains(PollFlags::IN) => Woken::Ready,
        Ok(_) => Woken::Hopeless,
        Err(Errno::INTR) => Woken::Interrupted,
        Err(errno) => Woken::Failed(errno),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, OwnedFd};
    use std::sync::Barrier;
    use std::thread;
    use std::time::Instant;

    use rustix::event::{EventfdFlags, eventfd};
    use rustix::pipe::pipe;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn event() -> OwnedFd {
        eventfd(0, EventfdFlags::NONBLOCK).unwrap()
    }

    fn signal(event: &OwnedFd) {
        rustix::io::write(event, &1u64.to_ne_bytes()).unwrap();
    }

    /// B12: what woke it is still there to read, as often as one waits.
    #[test]
    fn a_wait_takes_nothing() {
        let event = event();
        signal(&event);
        for _ in 0..3 {
            assert_eq!(wait_readable(event.as_fd(), LONG), Woken::Ready);
        }
        let mut count = [0; 8];
        rustix::io::read(&event, &mut count).unwrap();
        assert_eq!(u64::from_ne_bytes(count), 1);
        assert_eq!(wait_readable(event.as_fd(), Duration::ZERO), Woken::TimedOut);
    }

    /// B12: without an event it returns when its time has passed, and not before.
    #[test]
    fn a_wait_ends_with_its_time() {
        let event = event();
        let begin = Instant::now();
        let span = Duration::from_millis(20);
        assert_eq!(wait_readable(event.as_fd(), span), Woken::TimedOut);
        assert!(begin.elapsed() >= span);
    }

    /// B12: one write wakes all.
    #[test]
    fn one_write_wakes_all() {
        let event = event();
        let all = Barrier::new(5);
        let woken = thread::scope(|scope| {
            let wait = || {
                all.wait();
                wait_readable(event.as_fd(), LONG)
            };
            let waiting: Vec<_> = (0..4).map(|_| scope.spawn(wait)).collect();
            all.wait();
            signal(&event);
            let woken: Vec<_> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
            woken
        });
        assert_eq!(woken, [Woken::Ready; 4]);
    }

    /// B12: a descriptor that can never be ready does not hold the one who waits.
    #[test]
    fn an_error_returns_at_once() {
        let (reader, writer) = pipe().unwrap();
        drop(writer);
        // The end of a pipe is told as a hang-up, without anything to read.
        assert_eq!(wait_readable(reader.as_fd(), LONG), Woken::Hopeless);
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        assert_eq!(wait_readable(writer.as_fd(), LONG), Woken::Hopeless);
    }

    /// B12: a time beyond what the kernel takes is no panic.
    #[test]
    fn the_longest_time_is_a_time() {
        let event = event();
        signal(&event);
        assert_eq!(wait_readable(event.as_fd(), Duration::MAX), Woken::Ready);
    }
}
