//! What was found by name before.

use std::hash::BuildHasher;
use std::sync::OnceLock;

use hashbrown::DefaultHashBuilder;

/// Names are written in programs, so there are some hundreds. Beyond, they are looked for each time.
const SLOTS: usize = 1 << 11;
/// Slots tried for one name.
const PROBES: usize = 8;
/// The longest name, in bytes, that is remembered: longer than what is written by hand.
const MAX_NAME: usize = 256;

/// Answers by name, and by what they are names of. Each is written once and stays, so readers wait for nobody.
pub(crate) struct Memo<V> {
    /// Made at the first name.
    slots: OnceLock<Box<[Slot<V>]>>,
    hasher: DefaultHashBuilder,
}

type Slot<V> = OnceLock<Box<Known<V>>>;

struct Known<V> {
    of: u32,
    name: Box<str>,
    value: V,
}

impl<V> Default for Memo<V> {
    fn default() -> Self {
        Memo {
            slots: OnceLock::new(),
            hasher: DefaultHashBuilder::default(),
        }
    }
}

impl<V: Clone> Memo<V> {
    /// What `find` found when this was asked for first.
    pub(crate) fn get_or(&self, of: u32, name: &str, find: impl FnOnce() -> V) -> V {
        if name.len() > MAX_NAME {
            return find();
        }
        let slots = self
            .slots
            .get_or_init(|| (0..SLOTS).map(|_| Slot::new()).collect());
        let start = self.hasher.hash_one((of, name)) as usize;
        for probe in 0..PROBES {
            let slot = &slots[start.wrapping_add(probe) % SLOTS];
            match slot.get() {
                Some(known) if known.of == of && *known.name == *name => return known.value.clone(),
                Some(_) => {}
                None => {
                    let value = find();
                    // Another thread can have been faster; then it is found there, or looked for again.
                    let _ = slot.set(Box::new(Known {
                        of,
                        name: name.into(),
                        value: value.clone(),
                    }));
                    return value;
                }
            }
        }
        find()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_not_looked_for_again() {
        let memo = Memo::default();
        assert_eq!(memo.get_or(1, "se.vruntime", || 8), 8);
        assert_eq!(memo.get_or(1, "se.vruntime", || unreachable!()), 8);
        assert_eq!(memo.get_or(2, "se.vruntime", || 16), 16);
        assert_eq!(memo.get_or(1, "se", || 0), 0);
    }

    #[test]
    fn more_names_than_are_remembered_have_their_own_answers() {
        let memo = Memo::default();
        let name = |n: usize| n.to_string().repeat(1 + n % 40);
        for round in 0..2 {
            for n in 0..3 * SLOTS {
                let found = memo.get_or(0, &name(n), || name(n));
                assert_eq!(found, name(n), "round {round}");
            }
        }
    }
}
