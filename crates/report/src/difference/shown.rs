//! The two sides of a difference as text: cut to what differs, with as many digits as it takes to see it.

use std::fmt;

use record::{End, SchedExt};
use spec::{Gap, Nanos};

/// What the first record has, and what the second has.
pub(super) type Sides = (String, String);

/// A text with more characters than this is cut.
const LONGEST: usize = 200;
/// How many equal characters are shown before the first that differs, where the beginning is cut off.
const BEFORE: usize = 60;

/// Two texts in backquotes, if they differ; long ones around the first character that does.
pub(super) fn texts(recorded: &str, again: &str) -> Option<Sides> {
    if recorded == again {
        return None;
    }
    let equal = recorded
        .chars()
        .zip(again.chars())
        .take_while(|(was, is)| was == is)
        .count();
    let long = |text: &str| text.chars().nth(LONGEST).is_some();
    // Both begin at the same character, so that the eye can compare them.
    let from = if long(recorded) || long(again) {
        equal.saturating_sub(BEFORE)
    } else {
        0
    };
    Some((cut(recorded, from), cut(again, from)))
}

/// A text in backquotes, cut at its end if it is long.
pub(super) fn quoted(text: &str) -> String {
    cut(text, 0)
}

/// Two values as they show themselves, if they differ.
pub(super) fn values<T: PartialEq + fmt::Display>(recorded: &T, again: &T) -> Option<Sides> {
    (recorded != again).then(|| (recorded.to_string(), again.to_string()))
}

/// Two times in seconds, if they differ: to the millisecond, or as exactly as it takes to tell them apart.
pub(super) fn spans(recorded: Nanos, again: Nanos) -> Option<Sides> {
    [3, 6, 9]
        .into_iter()
        .map(|digits| (seconds(recorded, digits), seconds(again, digits)))
        .find(|(was, is)| was != is)
}

/// Two values in words, if they differ; as they are in memory, where the words are the same.
pub(super) fn differing<T: PartialEq + fmt::Debug>(
    recorded: &T,
    again: &T,
    words: impl Fn(&T) -> String,
) -> Option<Sides> {
    if recorded == again {
        return None;
    }
    texts(&words(recorded), &words(again)).or_else(|| texts(&format!("{recorded:?}"), &format!("{again:?}")))
}

/// What there is on either side, `nothing` where one has ended.
pub(super) fn either<T>(recorded: Option<&T>, again: Option<&T>, words: impl Fn(&T) -> String) -> Sides {
    let side = |value: Option<&T>| value.map_or_else(|| "nothing".to_owned(), &words);
    (side(recorded), side(again))
}

/// A time in seconds, cut after that many digits (9 at the most).
pub(super) fn seconds(time: Nanos, digits: usize) -> String {
    let fraction = format!("{:09}", time.0 % 1_000_000_000);
    let fraction = fraction.get(..digits).unwrap_or(&fraction);
    format!("{}.{fraction}s", time.0 / 1_000_000_000)
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
    let SchedExt { state, ops } = state;
    match ops {
        Some(ops) => format!("{state} with {ops}"),
        None => state.clone(),
    }
}

pub(super) fn end_text(end: &End) -> String {
    match end {
        End::PoweredOff => "powered off".to_owned(),
        End::Stopped { during } => format!("stopped as asked: {during}"),
        End::GuestExited { during } => format!("left early: {during}"),
        End::GuestPanic { message } => format!("the kernel panicked: {message}"),
        End::GuestSilent { during } => format!("the guest fell silent: {during}"),
        End::MachineDied { reason } => format!("the machine died: {reason}"),
        End::HostDeadline { during } => format!("the host's deadline passed: {during}"),
    }
}

/// `text` from its character `from` on, cut and in backquotes.
fn cut(text: &str, from: usize) -> String {
    let mut rest = text.chars().skip(from);
    let middle: String = rest.by_ref().take(LONGEST).flat_map(visible).collect();
    let before = if from > 0 { "…" } else { "" };
    let after = if rest.next().is_some() { "…" } else { "" };
    format!("`{before}{middle}{after}`")
}

/// A character as a terminal can show it: a guest may write anything.
fn visible(char: char) -> impl Iterator<Item = char> {
    let plain = matches!(char, '"' | '\'').then_some(char);
    let escaped = plain.is_none().then(|| char.escape_debug());
    plain.into_iter().chain(escaped.into_iter().flatten())
}
