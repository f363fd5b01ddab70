//! Counts of comparisons between what the rig reads and what the guest says of itself.
//!
//! The guest moves while it reads a file of its own, so the rig looks before and after:
//!
//! ```text
//!   rig queries (before) ── agent reads the file (theirs) ── rig queries (after)
//!   before == after  ⇒  theirs must be exactly that        counted as exact
//!   before != after  ⇒  theirs must lie between            counted as moving
//! ```
//! A task that is listed and was in no queue before and after has come and gone: its count of switches tells.
//! What can go up and down can come back, too. So where its CPU stood still it must be what it was before or after, and
//! elsewhere is counted as exact or as moving.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// Values by what they are of (`cfs_rq .load_avg`) and where (`cpu0 /a`).
pub(crate) type Facts = BTreeMap<(String, String), Fact>;
/// The guest's words for them.
pub(crate) type Words = BTreeMap<(String, String), String>;

/// How often a task has switched: for [`Tally::facts`] alone, and told by no file.
pub(crate) const SWITCHES: &str = "switches so far";

/// A value as the rig reads it, in the form that tells how the kernel prints it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fact {
    /// A number that only grows.
    Count(i128),
    /// A number that goes up and down.
    Level(i128),
    /// Time in ns that only grows, printed by `SPLIT_NS`.
    Clock(i64),
    /// Time in ns that goes up and down, printed by `SPLIT_NS`.
    Span(i64),
    /// A number that goes up and down, in hex with `0x`.
    Hex(u64),
    /// A word.
    Word(String),
}

impl Fact {
    /// What the guest's word says, as a value of this kind.
    fn read(&self, word: &str) -> Option<Fact> {
        match self {
            Fact::Count(_) => word.parse().ok().map(Fact::Count),
            Fact::Level(_) => word.parse().ok().map(Fact::Level),
            Fact::Clock(_) => split_ns(word).map(Fact::Clock),
            Fact::Span(_) => split_ns(word).map(Fact::Span),
            Fact::Hex(_) => u64::from_str_radix(word.strip_prefix("0x")?, 16)
                .ok()
                .map(Fact::Hex),
            Fact::Word(_) => Some(Fact::Word(word.to_owned())),
        }
    }

    /// As the kernel prints it: `SPLIT_NS` loses the sign of what is above -1 ms.
    fn printed(&self) -> Fact {
        let lossy = |ns: i64| if ns > -1_000_000 { ns.abs() } else { ns };
        match self {
            Fact::Clock(ns) => Fact::Clock(lossy(*ns)),
            Fact::Span(ns) => Fact::Span(lossy(*ns)),
            other => other.clone(),
        }
    }

    /// Its place among those of a kind that only grows.
    fn grown(&self) -> Option<i128> {
        match self {
            Fact::Count(count) => Some(*count),
            Fact::Clock(ns) => Some((*ns).into()),
            _ => None,
        }
    }
}

/// `-1.048576`: milliseconds with six digits.
fn split_ns(word: &str) -> Option<i64> {
    let (ms, fraction) = word.split_once('.').filter(|(_, fraction)| fraction.len() == 6)?;
    format!("{ms}{fraction}").parse().ok()
}

/// Differences that are shown.
const MOST_SHOWN: usize = 400;

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

    /// All that the guest says, where the rig has a value for it before and after. A word for which it has none is a
    /// difference, and so is a value before and after for which there is no word.
    pub(crate) fn facts(&mut self, before: &Facts, theirs: &Words, after: &Facts) {
        let stood = |at: &str| {
            let cpu = at.split([' ', '/']).next().unwrap_or(at);
            let clock = &("clock".to_owned(), cpu.to_owned());
            before.get(clock) == after.get(clock)
        };
        // The last word of a place is the task that it is of.
        let came_and_went = |at: &str| {
            let task = at.rsplit(' ').next().unwrap_or(at);
            let switches = &(SWITCHES.to_owned(), task.to_owned());
            before.get(switches) != after.get(switches)
        };
        for ((subject, at), word) in theirs {
            let place = &(subject.clone(), at.clone());
            match (before.get(place), after.get(place)) {
                (Some(before), Some(after)) => {
                    self.fact(subject, at, before, word, after, stood(at));
                }
                (None, None) if came_and_went(at) => self.counts(subject).moving += 1,
                // What came or went while the guest read can be in its words or not.
                (Some(_), None) | (None, Some(_)) => self.counts(subject).moving += 1,
                (None, None) => self.difference(
                    subject,
                    format!("{subject} {at}: the guest says {word}, the rig nothing"),
                ),
            }
        }
        for ((subject, at), value) in before
            .iter()
            .filter(|((subject, _), _)| subject != "clock" && subject != SWITCHES)
        {
            let place = &(subject.clone(), at.clone());
            if after.contains_key(place) && !theirs.contains_key(place) {
                self.difference(
                    subject,
                    format!("{subject} {at}: {value:?}, and the guest says nothing"),
                );
            }
        }
    }

    fn fact(&mut self, subject: &str, at: &str, before: &Fact, word: &str, after: &Fact, stood: bool) {
        let theirs = before.read(word);
        let (before, after) = (before.printed(), after.printed());
        let still = before == after && theirs.as_ref() == Some(&before);
        let fits = match &theirs {
            None => false,
            Some(_) if still => true,
            Some(theirs) => match (before.grown(), theirs.grown(), after.grown()) {
                (Some(before), Some(theirs), Some(after)) => {
                    before != after && (before..=after).contains(&theirs)
                }
                // Another CPU may change what is of this one, as when it pulls a task; then it must be one of both.
                _ => !stood || before != after && (theirs == &before || theirs == &after),
            },
        };
        self.count(subject, still, fits, || {
            format!("{subject} {at}: {before:?} before, the guest says {word}, {after:?} after")
        });
    }

    fn counts(&mut self, subject: &str) -> &mut Counts {
        self.counts.entry(subject.to_owned()).or_default()
    }

    fn difference(&mut self, subject: &str, what: String) {
        self.counts(subject).differences += 1;
        self.differences.push(what);
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
        let first: Vec<_> = self
            .differences
            .iter()
            .take(MOST_SHOWN)
            .map(String::as_str)
            .collect();
        assert!(first.is_empty(), "{title}:\n{}", first.join("\n"));
        assert!(
            sum.exact >= least,
            "{title}: {} exact comparisons, of {least} at least",
            sum.exact
        );
    }
}
