//! The memory that the agent shares with the workers that it forks.

use std::io;
use std::ptr::NonNull;

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::Slot;

/// A shared anonymous mapping of a fixed number of slots. A process forked later sees the same slots. The
/// mapping begins as zeroes, and so does a slot.
#[derive(Debug)]
pub struct Arena {
    slots: NonNull<Slot>,
    capacity: usize,
}

// SAFETY: `Slot` is made of atomics only and is `Sync`; the mapping stays until the arena is dropped.
unsafe impl Sync for Arena {}
// SAFETY: as above; nothing in it belongs to the thread that made it.
unsafe impl Send for Arena {}

impl Arena {
    /// Maps `capacity` slots, all of them new. Pages that are not used cost nothing.
    pub fn new(capacity: usize) -> io::Result<Arena> {
        let len = capacity
            .checked_mul(size_of::<Slot>())
            .filter(|len| *len > 0)
            .ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: no address is asked for, so no mapping of ours can be replaced.
        let base = unsafe {
            mmap_anonymous(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
            )
        }?;
        let slots = NonNull::new(base.cast::<Slot>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Arena { slots, capacity })
    }

    /// How many slots there are.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// All slots.
    pub fn slots(&self) -> &[Slot] {
        // SAFETY: the mapping has `capacity` slots, its base is page-aligned, and it lives as long as `self`; every pattern
        // of bytes is a valid `Slot`, and all access goes through atomics.
        unsafe { std::slice::from_raw_parts(self.slots.as_ptr(), self.capacity) }
    }

    /// The slot at `index`; `None` where there is none.
    pub fn slot(&self, index: usize) -> Option<&Slot> {
        self.slots().get(index)
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping, and references into it cannot outlive `self`.
        let _ = unsafe { munmap(self.slots.as_ptr().cast(), self.capacity * size_of::<Slot>()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_slots_as_asked_for() {
        let arena = Arena::new(3).unwrap();
        assert!(arena.slot(2).is_some());
        assert!(arena.slot(3).is_none());
        assert!(Arena::new(0).is_err());
        assert!(Arena::new(usize::MAX).is_err());
    }

    #[test]
    fn a_fresh_slot_is_a_new_one() {
        let arena = Arena::new(1).unwrap();
        assert_eq!(arena.slot(0).unwrap().read(), Slot::new().read());
        assert!(!arena.slot(0).unwrap().has_arrived());
    }

    #[test]
    fn slots_do_not_overlap() {
        let arena = Arena::new(2).unwrap();
        let (first, second) = (arena.slot(0).unwrap(), arena.slot(1).unwrap());
        first.count_unit();
        assert_eq!(second.read().work_units, 0);
        assert_eq!(arena.slot(0).unwrap().read().work_units, 1);
    }
}
