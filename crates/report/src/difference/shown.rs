//! The two sides of a difference as text: cut to what differs, as exact as it takes to see it.

use std::fmt;

use record::SchedExt;
use spec::{CpuIdle, Gap, GuestTime, IdleTimes, Nanos};

use crate::wording::visible_line;

/// What the first record has, and what the second has.
pub(super) type Sides = (String, String);

/// A text with more characters than this is cut.
const MAX_SHOWN: usize = 200;
/// How many equal characters are shown before the first that differs, where the beginning is cut off.
const BEFORE: usize = 60;

/// Two texts in backquotes, if they differ; long ones around the first character that does.
pub(super) fn texts(recorded: &str, replayed: &str) -> Option<Sides> {
    if recorded == replayed {
        return None;
    }
    let equal = recorded
        .chars()
        .zip(replayed.chars())
        .take_while(|(was, is)| was == is)
        .count();
    let long = |text: &str| text.chars().nth(MAX_SHOWN).is_some();
    // Both begin at the same character, so that the eye can compare them.
    let from = if long(recorded) || long(replayed) {
        equal.saturating_sub(BEFORE)
    } else {
        0
    };
    Some((cut(recorded, from), cut(replayed, from)))
}

/// A text in backquotes, cut at its end if it is long.
pub(super) fn quoted(text: &str) -> String {
    cut(text, 0)
}

/// Two values as they show themselves, if they differ.
pub(super) fn values<T: PartialEq + fmt::Display>(recorded: &T, replayed: &T) -> Option<Sides> {
    (recorded != replayed).then(|| (recorded.to_string(), replayed.to_string()))
}

/// Two spans, if they differ: as spans show themselves, or in ns where that is the same.
pub(super) fn spans(recorded: Nanos, replayed: Nanos) -> Option<Sides> {
    values(&recorded, &replayed).map(|shown| apart(shown, recorded, replayed))
}

/// Two instants, likewise.
pub(super) fn instants(recorded: GuestTime, replayed: GuestTime) -> Option<Sides> {
    values(&recorded, &replayed).map(|shown| apart(shown, recorded.0, replayed.0))
}

/// Both sides in ns where nothing else tells them apart.
fn apart(shown: Sides, recorded: Nanos, replayed: Nanos) -> Sides {
    if shown.0 == shown.1 {
        (format!("{} ns", recorded.0), format!("{} ns", replayed.0))
    } else {
        shown
    }
}

/// Two values in words, if they differ; as they are in memory, where the words are the same.
pub(super) fn differing<T: PartialEq + fmt::Debug>(
    recorded: &T,
    replayed: &T,
    words: impl Fn(&T) -> String,
) -> Option<Sides> {
    if recorded == replayed {
        return None;
    }
    texts(&words(recorded), &words(replayed))
        .or_else(|| texts(&format!("{recorded:?}"), &format!("{replayed:?}")))
}

/// What there is on either side, `nothing` where one has ended.
pub(super) fn either<T>(recorded: Option<&T>, replayed: Option<&T>, words: impl Fn(&T) -> String) -> Sides {
    let side = |value: Option<&T>| value.map_or_else(|| "nothing".to_owned(), &words);
    (side(recorded), side(replayed))
}

pub(super) fn gap_text(gap: &Gap) -> String {
    let Gap {
        span,
        from,
        cpu,
        open,
    } = gap;
    let open = if *open { ", open" } else { "" };
    format!("{span} from {from} on CPU {cpu}{open}")
}

pub(super) fn sched_ext_text(state: &SchedExt) -> String {
    let SchedExt {
        state,
        ops,
        enable_seq,
    } = state;
    let with = ops
        .as_ref()
        .map_or_else(String::new, |ops| format!(" with {ops}"));
    let seq = enable_seq.map_or_else(String::new, |seq| format!(", enable_seq {seq}"));
    format!("{state}{with}{seq}")
}

pub(super) fn idle_text(idle: &IdleTimes) -> String {
    let IdleTimes { from, to, cpus } = idle;
    let one = |CpuIdle { cpu, idle }: &CpuIdle| format!("CPU {cpu} {} ns", idle.0);
    let cpus: Vec<String> = cpus.iter().map(one).collect();
    format!("from {} to {} ns: {}", from.0.0, to.0.0, cpus.join(", "))
}

/// `text` from its character `from` on, cut and in backquotes.
fn cut(text: &str, from: usize) -> String {
    let mut rest = text.chars().skip(from);
    let middle: String = rest.by_ref().take(MAX_SHOWN).collect();
    let middle = visible_line(&middle);
    let before = if from > 0 { "…" } else { "" };
    let after = if rest.next().is_some() { "…" } else { "" };
    format!("`{before}{middle}{after}`")
}
