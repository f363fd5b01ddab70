//! The guest's kernel read from outside, against what the guest itself reads of it.

mod placement;
#[expect(dead_code, reason = "the first comparisons come with the next change")]
mod truth;
