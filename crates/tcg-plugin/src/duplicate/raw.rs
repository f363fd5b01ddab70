// SPDX-License-Identifier: GPL-2.0-or-later
//! System calls without the C library: they allocate nothing, take no lock, and touch no thread's `errno`, so they may be
//! made while other threads stand still anywhere.

use std::arch::asm;
use std::ffi::c_long;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::io::Errno;

/// Makes a system call; a negative number is an error's.
///
/// # Safety
/// As for that call with these arguments.
pub(super) unsafe fn syscall(number: c_long, arguments: [usize; 6]) -> isize {
    let result: isize;
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: the caller vouches for the call; the kernel changes these registers and the memory that the call is told.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// The result of a call as a number, or its error.
pub(super) fn checked(result: isize) -> Result<usize, Errno> {
    usize::try_from(result).map_err(|_| {
        let number = i32::try_from(-result).unwrap_or(libc::EINVAL);
        Errno::from_io_error(&io::Error::from_raw_os_error(number)).unwrap_or(Errno::INVAL)
    })
}

/// Sleeps while `at` has this value, at most so long; may return earlier. False: the time is over.
pub(super) fn wait(at: &AtomicU32, value: u32, within: Option<Duration>) -> bool {
    let timeout = within.map(|within| libc::timespec {
        tv_sec: within.as_secs().cast_signed(),
        tv_nsec: within.subsec_nanos().into(),
    });
    let timeout = timeout
        .as_ref()
        .map_or(0, |timeout| std::ptr::from_ref(timeout) as usize);
    let operation = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    let arguments = [at.as_ptr() as usize, operation, value as usize, timeout, 0, 0];
    // SAFETY: the word and the time live during the call.
    let result = unsafe { syscall(libc::SYS_futex, arguments) };
    result != -(libc::ETIMEDOUT as isize)
}

/// Adds one, and wakes whoever waits for a change.
pub(super) fn advance(at: &AtomicU32) {
    at.fetch_add(1, Ordering::SeqCst);
    let operation = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as usize;
    let everybody = i32::MAX as usize;
    // SAFETY: the word lives during the call.
    unsafe {
        syscall(
            libc::SYS_futex,
            [at.as_ptr() as usize, operation, everybody, 0, 0, 0],
        )
    };
}

/// The base of this thread's thread-local storage.
pub(super) fn thread_pointer() -> usize {
    /// `ARCH_GET_FS` in arch/x86/include/uapi/asm/prctl.h
    const ARCH_GET_FS: usize = 0x1003;
    let mut base = 0usize;
    // SAFETY: the kernel writes the base to a live word.
    unsafe {
        syscall(
            libc::SYS_arch_prctl,
            [ARCH_GET_FS, (&raw mut base) as usize, 0, 0, 0, 0],
        )
    };
    base
}

/// This thread's id.
pub(super) fn thread_id() -> i32 {
    // SAFETY: the call has no arguments.
    (unsafe { syscall(libc::SYS_gettid, [0; 6]) }) as i32
}

/// Blocks these signals, as a bit each, in this thread; returns those that were blocked before.
pub(super) fn block_signals(signals: u64) -> u64 {
    let mut before = 0u64;
    let arguments = [
        libc::SIG_SETMASK as usize,
        (&raw const signals) as usize,
        (&raw mut before) as usize,
        size_of::<u64>(),
        0,
        0,
    ];
    // SAFETY: both sets are live words of the kernel's length.
    unsafe { syscall(libc::SYS_rt_sigprocmask, arguments) };
    before
}
