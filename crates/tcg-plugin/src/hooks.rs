// SPDX-License-Identifier: GPL-2.0-or-later
//! The table of hooks: looked up at translation, counted at execution.

use std::sync::atomic::{AtomicU64, Ordering};

/// All hooks of a machine; it does not change once the guest runs.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// In the order of the owner's commands: a hook's index is its name.
    hooks: Vec<Hook>,
    /// (address, index), sorted.
    by_address: Vec<(u64, u32)>,
}

#[derive(Debug)]
struct Hook {
    address: u64,
    every: u64,
    hits: AtomicU64,
}

/// An execution that is to be reported.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Of the instruction.
    pub(crate) address: u64,
    /// Executions so far, this one included.
    pub(crate) hits: u64,
}

impl Hooks {
    /// Hooks at these (address, every), in the order of their indices.
    pub(crate) fn new(specs: &[(u64, u64)]) -> Hooks {
        let hooks = specs.iter().map(|(address, every)| Hook {
            address: *address,
            every: (*every).max(1),
            hits: AtomicU64::new(0),
        });
        let mut by_address: Vec<_> = specs
            .iter()
            .zip(0..)
            .map(|((address, _), index)| (*address, index))
            .collect();
        by_address.sort_unstable();
        Hooks {
            hooks: hooks.collect(),
            by_address,
        }
    }

    /// The indices of the hooks at `address`.
    pub(crate) fn at(&self, address: u64) -> impl Iterator<Item = u32> {
        let first = self.by_address.partition_point(|(at, _)| *at < address);
        self.by_address[first..]
            .iter()
            .take_while(move |(at, _)| *at == address)
            .map(|(_, index)| *index)
    }

    /// Counts an execution of hook `index`; the hit, if the owner wants to hear of this one.
    pub(crate) fn hit(&self, index: u32) -> Option<Hit> {
        let hook = self.hooks.get(index as usize)?;
        let hits = hook.hits.fetch_add(1, Ordering::Relaxed) + 1;
        hits.is_multiple_of(hook.every).then_some(Hit {
            address: hook.address,
            hits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hooks_can_share_an_address() {
        let hooks = Hooks::new(&[(0x20, 1), (0x10, 1), (0x20, 1)]);
        assert_eq!(hooks.at(0x20).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(hooks.at(0x10).collect::<Vec<_>>(), [1]);
        assert_eq!(hooks.at(0x18).count(), 0);
        assert_eq!(Hooks::default().at(0).count(), 0);
    }

    #[test]
    fn every_nth_hit_is_reported_with_its_count() {
        let check = |every: u64, expect: &[u64]| {
            let hooks = Hooks::new(&[(0x10, every)]);
            let seen: Vec<u64> = (0..6).filter_map(|_| Some(hooks.hit(0)?.hits)).collect();
            assert_eq!(seen, expect, "every {every}");
        };
        check(3, &[3, 6]);
        check(1, &[1, 2, 3, 4, 5, 6]);
        check(0, &[1, 2, 3, 4, 5, 6]);
        check(7, &[]);
    }

    #[test]
    fn an_unknown_hook_is_never_reported() {
        assert_eq!(Hooks::default().hit(3), None);
    }
}
