//! Counts of comparisons between what the rig reads and what the guest says of itself.
//!
//! The guest moves while it reads a file of its own, so the rig looks before and after:
//!
//! ```text
//!   rig looks (before) ── agent reads the file (theirs) ── rig looks (after)
//!   before == after  ⇒  theirs must be exactly that        counted as exact
//!   before != after  ⇒  theirs must lie between            counted as moving
//! ```

use std::collections::BTreeMap;
use std::fmt::Debug;

/// Comparisons so far, by subject.
#[derive(Default)]
pub(crate) struct Tally {
    counts: BTreeMap<String, Counts>,
    differences: Vec<String>,
}

#[derive(Default)]
struct Counts {
    exact: usize,
    moving: usize,
    differences: usize,
}

impl Tally {
    /// A value that can be ordered and can only have moved from `before` to `after`, in either direction.
    pub(crate) fn value<T: PartialOrd + Debug>(
        &mut self,
        subject: &str,
        at: &str,
        before: &T,
        theirs: &T,
        after: &T,
    ) {
        let between = (before <= theirs && theirs <= after) || (after <= theirs && theirs <= before);
        self.count(subject, before == after, between, || {
            format!("{subject} {at}: {before:?} before, the guest says {theirs:?}, {after:?} after")
        });
    }

    /// A value that cannot move while the guest reads it.
    pub(crate) fn exact<T: PartialEq + Debug>(&mut self, subject: &str, at: &str, ours: &T, theirs: &T) {
        self.count(subject, true, ours == theirs, || {
            format!("{subject} {at}: {ours:?}, and the guest says {theirs:?}")
        });
    }

    fn count(&mut self, subject: &str, still: bool, fits: bool, difference: impl FnOnce() -> String) {
        let counts = self.counts.entry(subject.to_owned()).or_default();
        if !fits {
            counts.differences += 1;
            self.differences.push(difference());
        } else if still {
            counts.exact += 1;
        } else {
            counts.moving += 1;
        }
    }

    /// Prints the table; fails on a difference, and on fewer than `least` exact comparisons of all subjects together.
    pub(crate) fn finish(self, title: &str, least: usize) {
        println!("{title}");
        println!(
            "  {:<28} {:>7} {:>7} {:>12}",
            "compared", "exact", "moving", "differences"
        );
        let mut sum = Counts::default();
        for (subject, counts) in &self.counts {
            println!(
                "  {subject:<28} {:>7} {:>7} {:>12}",
                counts.exact, counts.moving, counts.differences
            );
            sum.exact += counts.exact;
            sum.moving += counts.moving;
            sum.differences += counts.differences;
        }
        println!(
            "  {:<28} {:>7} {:>7} {:>12}",
            "all", sum.exact, sum.moving, sum.differences
        );
        let first: Vec<_> = self.differences.iter().take(40).map(String::as_str).collect();
        assert!(first.is_empty(), "{title}:\n{}", first.join("\n"));
        assert!(
            sum.exact >= least,
            "{title}: {} exact comparisons, of {least} at least",
            sum.exact
        );
    }
}
