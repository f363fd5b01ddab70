//! The door: the call's buffer, and the call instruction, at which the host reads a request from the buffer and writes
//! its answer over it.

use std::ptr::NonNull;
use std::{io, slice};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use wire::call;

/// The call's buffer. All its pages are present and locked, and it is left out of forks: a page that is
/// shared copy-on-write with a child would be replaced while the host uses it.
pub struct Door {
    buffer: NonNull<u8>,
    capacity: usize,
}

// SAFETY: no other value refers to the buffer.
unsafe impl Send for Door {}

/// A frame is longer than the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message of {len} bytes does not fit the buffer of {capacity}")]
pub struct TooLong {
    /// The frame's length, in bytes.
    pub len: usize,
    /// The buffer's length, in bytes.
    pub capacity: usize,
}

impl Door {
    /// Maps a buffer of `capacity` bytes.
    ///
    /// # Errors
    /// The kernel's error, when the buffer cannot be mapped or locked.
    pub fn new(capacity: usize) -> io::Result<Door> {
        // SAFETY: no address is asked for, so no mapping of ours can be replaced.
        let base = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                capacity,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE | MapFlags::POPULATE,
            )
        }?;
        let buffer = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let door = Door { buffer, capacity };
        // SAFETY: this is exactly the mapping; the child that misses it never touches it.
        unsafe { madvise(base, capacity, Advice::LinuxDontFork) }?;
        // SAFETY: this is exactly the mapping.
        unsafe { mlock(base, capacity) }?;
        Ok(door)
    }

    /// Sends a frame, and returns the buffer as the host left it: with the answer, or without a host with the frame itself.
    /// No guest time passes in between.
    ///
    /// # Errors
    /// [`TooLong`], and nothing was sent.
    pub fn call(&mut self, frame: &[u8]) -> Result<&[u8], TooLong> {
        let (len, capacity) = (frame.len(), self.capacity);
        let room = self.bytes().get_mut(..len).ok_or(TooLong { len, capacity })?;
        room.copy_from_slice(frame);
        // SAFETY: the instruction's registers are set as `wire::call` demands; the host writes the buffer only.
        unsafe { call_host(self.buffer, len, capacity) };
        Ok(self.bytes())
    }

    fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is `capacity` bytes, initialised, lives as long as `self`, and `self` is borrowed
        // exclusively. The host touches it only during the call, when no slice exists.
        unsafe { slice::from_raw_parts_mut(self.buffer.as_ptr(), self.capacity) }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping, and no slice of it outlives `self`.
        let _ = unsafe { munmap(self.buffer.as_ptr().cast(), self.capacity) };
    }
}

/// Executes the call instruction.
///
/// # Safety
/// `buffer` is valid for reads and writes of `capacity` bytes, and the first `len` of them are the request.
#[cfg(target_arch = "x86_64")]
unsafe fn call_host(buffer: NonNull<u8>, len: usize, capacity: usize) {
    // SAFETY: a no-operation by itself; the host, if there is one, writes at most `capacity` bytes at `buffer`,
    // which the caller guarantees. Memory is not declared untouched, so the compiler reads it again.
    unsafe {
        std::arch::asm!(
            ".quad {call}",
            call = const u64::from_le_bytes(call::INSTRUCTION),
            in("rdi") buffer.as_ptr(),
            in("rsi") len,
            in("rdx") capacity,
            options(nostack, preserves_flags),
        );
    }
}

/// This architecture has no call instruction yet: no host answers.
///
/// # Safety
/// As for the other architectures.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn call_host(_buffer: NonNull<u8>, _len: usize, _capacity: usize) {}
