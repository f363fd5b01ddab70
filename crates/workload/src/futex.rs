//! Waiting for another process, and waking it.

use std::sync::atomic::AtomicU32;

use rustix::thread::futex;

/// Sleeps while `word` is `value`, and sometimes shorter. Not `PRIVATE`: the waker is another process.
pub(crate) fn wait(word: &AtomicU32, value: u32) {
    // `EAGAIN` (the word has changed) and `EINTR` both mean: the caller reads the word again.
    let _ = futex::wait(word, futex::Flags::empty(), value, None);
}

/// Wakes the one who waits at `word`.
pub(crate) fn wake(word: &AtomicU32) {
    // It cannot fail on a mapped, aligned word; and a missed wake would show as a gap.
    let _ = futex::wake(word, futex::Flags::empty(), 1);
}
