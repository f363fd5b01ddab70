//! How many frames came, and what became of them.

use std::collections::BTreeMap;

use wire::FrameKind;

/// Counts of frames. All saturate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    /// By kind, whatever became of them.
    pub by_kind: BTreeMap<FrameKind, u64>,
    /// Of a kind that this version does not know.
    pub unknown: u64,
    /// Damaged, in the header or in the payload, or cut off.
    pub damaged: u64,
    /// Refused, for whatever reason: these two among them.
    pub refused: u64,
}

impl Counts {
    /// How many of this kind came.
    pub fn of(&self, kind: FrameKind) -> u64 {
        self.by_kind.get(&kind).copied().unwrap_or_default()
    }

    pub(super) fn came(&mut self, kind: FrameKind) {
        count(self.by_kind.entry(kind).or_default());
    }
}

/// One more.
pub(super) fn count(number: &mut u64) {
    *number = number.saturating_add(1);
}
