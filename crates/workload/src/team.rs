//! A team: the successive workers of one spawn that work together. Most works have teams of one.

use crate::scratch::Layout;
use crate::{Arena, Slot};

/// A team, as one of its workers sees it.
#[derive(Debug, Clone, Copy)]
pub struct Team<'a> {
    slots: &'a [Slot],
    /// The worker's number in it.
    number: usize,
    own: &'a Slot,
    first: &'a Slot,
}

impl<'a> Team<'a> {
    /// The team of `size` workers, of whom the one in slot `index` is the `nth` of its spawn. `None`: the arena does not
    /// have all of its slots.
    pub fn of(arena: &'a Arena, index: usize, nth: u32, size: u32) -> Option<Team<'a>> {
        let number = nth.checked_rem(size)? as usize;
        let first = index.checked_sub(number)?;
        let slots = arena.slots().get(first..first.checked_add(size as usize)?)?;
        Team::new(slots, number)
    }

    /// The team in `slots`, as its worker `number` sees it.
    pub(crate) fn new(slots: &'a [Slot], number: usize) -> Option<Team<'a>> {
        Some(Team {
            slots,
            number,
            own: slots.get(number)?,
            first: slots.first()?,
        })
    }

    /// The worker's own slot.
    pub fn slot(&self) -> &'a Slot {
        self.own
    }

    /// The worker's number in the team, from 0.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// The slot of the worker with that number.
    pub(crate) fn member(&self, number: usize) -> Option<&'a Slot> {
        self.slots.get(number)
    }

    /// The team's scratch memory.
    pub(crate) fn scratch<T: Layout>(&self) -> &'a T {
        self.first.scratch.laid_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successive_workers_of_a_spawn_are_a_team() {
        let arena = Arena::new(16).unwrap();
        // The first worker of the spawn is in slot 3.
        let check = |nth: u32, size, number, first: usize| {
            let index = 3 + nth as usize;
            let team = Team::of(&arena, index, nth, size).unwrap();
            assert_eq!(team.number(), number);
            assert!(std::ptr::eq(team.slot(), arena.slot(index).unwrap()));
            assert!(std::ptr::eq(team.first, arena.slot(first).unwrap()));
        };
        check(0, 1, 0, 3);
        check(2, 1, 0, 5);
        check(0, 2, 0, 3);
        check(1, 2, 1, 3);
        check(3, 2, 1, 5);
        check(4, 3, 1, 6);
    }

    #[test]
    fn a_team_that_is_not_whole_is_none() {
        let arena = Arena::new(4).unwrap();
        assert!(Team::of(&arena, 3, 0, 2).is_none());
        assert!(Team::of(&arena, 0, 1, 2).is_none());
        assert!(Team::of(&arena, 0, 0, 0).is_none());
        assert!(Team::of(&arena, usize::MAX, 0, 1).is_none());
    }
}
