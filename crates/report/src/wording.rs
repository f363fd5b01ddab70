//! How numbers and foreign texts are put into words, in every view alike.
//!
//! A duration is shown as [`spec::Nanos`] shows itself, an instant as [`spec::GuestTime`] does. Only in a table, where a
//! column has one unit, it is a [`decimal`] of that unit.

use record::SchedulerPlan;

/// `1 call`, `2 calls`: for nouns whose plural ends in an s.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// `part / whole` with that many digits, rounded half up, from integers alone. Of nothing, everything is nothing.
pub(crate) fn decimal(part: u128, whole: u128, digits: u32) -> String {
    let scale = 10u128.pow(digits);
    let scaled = match whole {
        0 => 0,
        whole => (part.saturating_mul(scale).saturating_mul(2).saturating_add(whole)) / (whole * 2),
    };
    match digits {
        0 => scaled.to_string(),
        digits => format!(
            "{}.{:0width$}",
            scaled / scale,
            scaled % scale,
            width = digits as usize
        ),
    }
}

/// The scheduler's program with its arguments, or `eevdf`.
pub(crate) fn scheduler(plan: Option<&SchedulerPlan>) -> String {
    plan.map_or_else(
        || "eevdf".to_owned(),
        |plan| {
            plan.args.iter().fold(plan.program.clone(), |line, argument| {
                format!("{line} {argument}")
            })
        },
    )
}

/// A text as a terminal can show it: a guest may write anything. Lines stay lines.
pub(crate) fn visible(text: &str) -> String {
    escaped(text, "\"'\\\n\t")
}

/// A text on one line, such that two different texts stay different.
pub(crate) fn visible_line(text: &str) -> String {
    escaped(text, "\"'")
}

/// Escapes control characters and the like, except for those in `plain`.
fn escaped(text: &str, plain: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if plain.contains(char) {
            escaped.push(char);
        } else {
            escaped.extend(char.escape_debug());
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_not_many() {
        let shown: Vec<String> = [0, 1, 2].iter().map(|number| count(*number, "call")).collect();
        assert_eq!(shown, ["0 calls", "1 call", "2 calls"]);
    }

    #[test]
    fn decimals_are_rounded_half_up_and_keep_their_zeros() {
        let check = |part, whole, digits, expect: &str| assert_eq!(decimal(part, whole, digits), expect);
        check(3_996_499_999, 1_000_000_000, 3, "3.996");
        check(3_996_500_000, 1_000_000_000, 3, "3.997");
        check(999_999_999, 1_000_000_000, 3, "1.000");
        check(30_000, 1_000, 3, "30.000");
        check(1, 3, 1, "0.3");
        check(17, 2, 0, "9");
        check(5, 0, 1, "0.0");
        check(u128::MAX, 1, 3, &decimal(u128::MAX, 1, 3));
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        let text = "a\u{1b}[2J \"ö\"\n\\n";
        assert_eq!(visible(text), "a\\u{1b}[2J \"ö\"\n\\n");
        assert_eq!(visible_line(text), "a\\u{1b}[2J \"ö\"\\n\\\\n");
    }
}
