//! Scratch memory: what the workers of a team share for their work, beyond what every worker has.
//!
//! Each slot has a little of it, and all workers of a team use their first member's. A work lays it out itself, as a
//! struct of atomics, in its own file; nothing else knows the layout.

use std::sync::atomic::AtomicU64;

/// How many words there are.
const WORDS: usize = 8;

/// The scratch memory of one slot. It begins as zeroes.
#[derive(Debug, Default)]
pub(crate) struct Scratch([AtomicU64; WORDS]);

/// What a work makes of its scratch memory.
///
/// # Safety
/// All fields are atomics, so that workers may use it at the same time through shared references, and every pattern
/// of bytes is a value.
pub(crate) unsafe trait Layout {}

impl Scratch {
    /// The memory, laid out as `T`. Every worker of a team asks for the same `T`.
    pub(crate) fn laid_out<T: Layout>(&self) -> &T {
        const {
            assert!(
                size_of::<T>() <= size_of::<Scratch>(),
                "the layout is larger than the scratch memory"
            );
            assert!(
                align_of::<T>() <= align_of::<Scratch>(),
                "the layout needs another alignment"
            );
        }
        let memory = std::ptr::from_ref(&self.0).cast::<T>();
        // SAFETY: `T` fits into the memory and its alignment, as was checked above; the memory lives as long as `self`;
        // by the contract of `Layout` whatever is in it is a `T`, and all access goes through atomics. Nobody uses the
        // memory by another layout: a slot has one worker, and a team one work.
        unsafe { &*memory }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

    use super::*;

    #[derive(Debug)]
    struct Pair {
        small: AtomicU8,
        large: AtomicU32,
    }

    // SAFETY: two atomics.
    unsafe impl Layout for Pair {}

    #[test]
    fn a_layout_begins_as_zeroes_and_is_shared() {
        let scratch = Scratch::default();
        let (one, other) = (scratch.laid_out::<Pair>(), scratch.laid_out::<Pair>());
        assert_eq!(one.small.load(Ordering::Relaxed), 0);
        one.large.store(7, Ordering::Relaxed);
        assert_eq!(other.large.load(Ordering::Relaxed), 7);
        assert_eq!(other.small.load(Ordering::Relaxed), 0);
    }
}
