// SPDX-License-Identifier: GPL-2.0-or-later
//! Hooks and watches: looked up by address, counted at each hit.
//!
//! ```text
//!  index (as in commands and reports) ──► Instrument: at, every, hits
//!  early: by address, at translation          late: by address, where a function begins
//!  watches: by overlap with a store
//! ```

use tcg_channel::Condition;

/// All hooks and watches of a machine, by index: in the order of the owner's commands.
#[derive(Debug, Default)]
pub(crate) struct Instruments {
    all: Vec<Instrument>,
    /// (address, index) of the hooks that code is translated with, sorted.
    early: Vec<(u64, u32)>,
    /// (address, index) of the others, sorted.
    late: Vec<(u64, u32)>,
    /// Indices of the watches.
    watches: Vec<u32>,
}

#[derive(Debug)]
struct Instrument {
    kind: Kind,
    /// Report every n-th hit; 0 = none.
    every: u64,
    hits: u64,
}

#[derive(Debug)]
enum Kind {
    Hook { address: u64 },
    Watch(Watched),
    Removed,
}

/// What a watch compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) address: u64,
    pub(crate) width: u16,
    pub(crate) condition: Condition,
    /// The value after the last store.
    pub(crate) last: u64,
}

/// An execution that must be reported.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// Of the instruction.
    pub(crate) address: u64,
    /// Executions so far, this one included.
    pub(crate) hits: u64,
}

/// Bytes of an instruction's longest store.
const MAX_STORE: u64 = 64;

impl Instruments {
    /// Adds a hook before the first code is translated.
    pub(crate) fn early(&mut self, address: u64, every: u64) {
        let index = self.add(Kind::Hook { address }, every);
        insert(&mut self.early, (address, index));
    }

    /// Adds a hook at code that may be translated already.
    pub(crate) fn late(&mut self, address: u64, every: u64) {
        let index = self.add(Kind::Hook { address }, every);
        insert(&mut self.late, (address, index));
    }

    /// Adds a watch.
    pub(crate) fn watch(&mut self, watched: Watched, every: u64) {
        let index = self.add(Kind::Watch(watched), every);
        self.watches.push(index);
    }

    fn add(&mut self, kind: Kind, every: u64) -> u32 {
        let index = self.all.len() as u32;
        self.all.push(Instrument { kind, every, hits: 0 });
        index
    }

    /// Removes a hook or a watch. Code that was translated with it keeps its callback.
    pub(crate) fn remove(&mut self, index: u32) {
        if let Some(instrument) = self.all.get_mut(index as usize) {
            instrument.kind = Kind::Removed;
        }
        self.early.retain(|(_, other)| *other != index);
        self.late.retain(|(_, other)| *other != index);
        self.watches.retain(|other| *other != index);
    }

    /// Hits so far.
    pub(crate) fn count(&self, index: u32) -> u64 {
        self.all
            .get(index as usize)
            .map_or(0, |instrument| instrument.hits)
    }

    /// The indices of the early hooks at `address`.
    pub(crate) fn early_at(&self, address: u64) -> impl Iterator<Item = u32> {
        at(&self.early, address)
    }

    /// The indices of the late hooks at `address`.
    pub(crate) fn late_at(&self, address: u64) -> impl Iterator<Item = u32> {
        at(&self.late, address)
    }

    /// Counts an execution of hook `index`; returns the hit if it must be reported.
    pub(crate) fn hit(&mut self, index: u32) -> Option<Hit> {
        let instrument = self.all.get_mut(index as usize)?;
        let Kind::Hook { address } = instrument.kind else {
            return None;
        };
        let hits = instrument.hit()?;
        Some(Hit { address, hits })
    }

    /// The addresses at which a store may concern a watch; empty without watches.
    pub(crate) fn watched_span(&self) -> std::ops::Range<u64> {
        let places = || self.watches.iter().filter_map(|index| self.watched(*index));
        let first = places().map(|watched| watched.address).min();
        let last = places().map(|watched| watched.address).max();
        match (first, last) {
            (Some(first), Some(last)) => first.saturating_sub(MAX_STORE)..last.saturating_add(8),
            _ => 0..0,
        }
    }

    /// The watch of that index.
    pub(crate) fn watched(&self, index: u32) -> Option<Watched> {
        match self.all.get(index as usize)?.kind {
            Kind::Watch(watched) => Some(watched),
            _ => None,
        }
    }

    /// The watches that a store of so many bytes concerns.
    pub(crate) fn stored(&self, address: u64, len: u64) -> Vec<u32> {
        let concerns = |watched: Watched| {
            address < watched.address.saturating_add(watched.width.into())
                && watched.address < address.saturating_add(len)
        };
        let all = self.watches.iter().copied();
        all.filter(|index| self.watched(*index).is_some_and(concerns))
            .collect()
    }

    /// The indices of all watches.
    pub(crate) fn watches(&self) -> Vec<u32> {
        self.watches.clone()
    }

    /// Sets the value of watch `index` that no store of the guest has made.
    pub(crate) fn refresh(&mut self, index: u32, now: u64) {
        if let Some(Instrument {
            kind: Kind::Watch(watched),
            ..
        }) = self.all.get_mut(index as usize)
        {
            watched.last = now;
        }
    }

    /// Records the value after a store to watch `index`; returns the hits so far and the old value if the hit must be reported.
    pub(crate) fn stored_value(&mut self, index: u32, new: u64) -> Option<(u64, u64)> {
        let instrument = self.all.get_mut(index as usize)?;
        let Kind::Watch(watched) = &mut instrument.kind else {
            return None;
        };
        let old = std::mem::replace(&mut watched.last, new);
        if !watched.condition.holds(old, new) {
            return None;
        }
        Some((instrument.hit()?, old))
    }
}

impl Instrument {
    /// Counts a hit; returns the hits so far if this one must be reported.
    fn hit(&mut self) -> Option<u64> {
        self.hits += 1;
        (self.every != 0 && self.hits.is_multiple_of(self.every)).then_some(self.hits)
    }
}

fn insert(sorted: &mut Vec<(u64, u32)>, entry: (u64, u32)) {
    let place = sorted.partition_point(|other| *other < entry);
    sorted.insert(place, entry);
}

fn at(sorted: &[(u64, u32)], address: u64) -> impl Iterator<Item = u32> {
    let first = sorted.partition_point(|(at, _)| *at < address);
    sorted[first..]
        .iter()
        .take_while(move |(at, _)| *at == address)
        .map(|(_, index)| *index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(address: u64, width: u16, condition: Condition) -> Watched {
        Watched {
            address,
            width,
            condition,
            last: 0,
        }
    }

    #[test]
    fn two_hooks_can_share_an_address() {
        let mut hooks = Instruments::default();
        for address in [0x20, 0x10, 0x20] {
            hooks.early(address, 1);
        }
        hooks.late(0x20, 1);
        assert_eq!(hooks.early_at(0x20).collect::<Vec<_>>(), [0, 2]);
        assert_eq!(hooks.early_at(0x10).collect::<Vec<_>>(), [1]);
        assert_eq!(hooks.early_at(0x18).count(), 0);
        assert_eq!(hooks.late_at(0x20).collect::<Vec<_>>(), [3]);
        assert_eq!(Instruments::default().early_at(0).count(), 0);
    }

    #[test]
    fn every_nth_hit_is_reported_with_its_count() {
        let check = |every: u64, expect: &[u64]| {
            let mut hooks = Instruments::default();
            hooks.early(0x10, every);
            let seen: Vec<u64> = (0..6).filter_map(|_| Some(hooks.hit(0)?.hits)).collect();
            assert_eq!(seen, expect, "every {every}");
            assert_eq!(hooks.count(0), 6);
        };
        check(3, &[3, 6]);
        check(1, &[1, 2, 3, 4, 5, 6]);
        check(0, &[]);
        check(7, &[]);
    }

    #[test]
    fn an_unknown_or_removed_one_is_never_reported() {
        let mut hooks = Instruments::default();
        assert_eq!(hooks.hit(3), None);
        hooks.late(0x10, 1);
        hooks.watch(watched(0x40, 8, Condition::Stored), 1);
        hooks.remove(0);
        hooks.remove(1);
        hooks.remove(9);
        assert_eq!(hooks.late_at(0x10).count(), 0);
        assert_eq!(hooks.hit(0), None);
        assert_eq!(hooks.stored_value(1, 5), None);
        assert!(hooks.watched_span().is_empty());
    }

    #[test]
    fn a_store_concerns_what_it_overlaps() {
        let mut watches = Instruments::default();
        watches.watch(watched(0x1000, 4, Condition::Stored), 1);
        watches.watch(watched(0x1004, 1, Condition::Stored), 1);
        let check = |address: u64, len: u64, expect: &[u32]| {
            assert_eq!(watches.stored(address, len), expect, "{len} at {address:#x}");
            let reached = watches.watched_span().contains(&address);
            assert!(reached || expect.is_empty(), "{len} at {address:#x}");
        };
        check(0x1000, 4, &[0]);
        check(0x1000, 8, &[0, 1]);
        check(0xfff, 1, &[]);
        check(0xff8, 16, &[0, 1]);
        check(0x1003, 1, &[0]);
        check(0x1004, 2, &[1]);
        check(0x1005, 8, &[]);
        check(u64::MAX, 8, &[]);
    }

    #[test]
    fn a_watch_knows_the_value_before_each_store() {
        let mut watches = Instruments::default();
        watches.watch(watched(0x1000, 8, Condition::AtLeast(10)), 2);
        assert_eq!(watches.watches(), [0]);
        assert_eq!(watches.stored_value(0, 9), None);
        assert_eq!(watches.stored_value(0, 10), None, "the first of two");
        assert_eq!(watches.stored_value(0, 3), None);
        assert_eq!(watches.stored_value(0, 12), Some((2, 3)));
        watches.refresh(0, 40);
        watches.stored_value(0, 41);
        assert_eq!(watches.stored_value(0, 42), Some((4, 41)));
        assert_eq!(watches.count(0), 4);
    }
}
