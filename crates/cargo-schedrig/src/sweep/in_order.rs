//! Runs in the order of their seeds, whichever ends first.

use std::collections::BTreeMap;

/// Holds back what came early.
#[derive(Debug)]
pub(crate) struct InOrder<T> {
    next: u64,
    early: BTreeMap<u64, T>,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        InOrder {
            next: 0,
            early: BTreeMap::new(),
        }
    }
}

impl<T> InOrder<T> {
    /// Takes the one at that place.
    pub(crate) fn put(&mut self, place: u64, one: T) {
        self.early.insert(place, one);
    }

    /// The next one, if it has come.
    pub(crate) fn next(&mut self) -> Option<T> {
        let one = self.early.remove(&self.next)?;
        self.next += 1;
        Some(one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_out_by_place_and_wait_for_those_before_them() {
        let mut runs = InOrder::default();
        let mut out = Vec::new();
        for place in [2, 0, 3, 1] {
            runs.put(place, place * 10);
            out.push(std::iter::from_fn(|| runs.next()).collect::<Vec<_>>());
        }
        assert_eq!(out, [vec![], vec![0], vec![], vec![10, 20, 30]]);
    }
}
