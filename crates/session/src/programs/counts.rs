//! How many frames came, and what became of them.

use std::collections::BTreeMap;

use wire::FrameKind;

/// Counts of frames. All saturate.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// By kind, whatever became of them.
    pub(crate) by_kind: BTreeMap<FrameKind, u64>,
    /// Of a kind that this version does not know.
    pub(crate) unknown: u64,
    /// Damaged, in the header or in the payload, or cut off.
    pub(crate) damaged: u64,
    /// Refused, for whatever reason: unknown and damaged ones among them.
    pub(crate) refused: u64,
}

impl Counts {
    /// Did no frame come?
    pub(crate) fn is_empty(&self) -> bool {
        self.by_kind.is_empty() && self.refused == 0
    }

    pub(super) fn came(&mut self, kind: FrameKind) {
        count(self.by_kind.entry(kind).or_default());
    }
}

/// One more.
pub(super) fn count(number: &mut u64) {
    *number = number.saturating_add(1);
}
