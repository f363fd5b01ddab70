//! What is wrong in a file: where, what is allowed, and which word was probably meant.

use std::fmt;
use std::ops::Range;

/// Something that is wrong in a scenario's text.
///
/// Shown with its place first, to follow a file's name and a colon:
///
/// ```text
/// 2:1: unknown field `topologie`, expected one of `topology`, `memory`; did you mean `topology`?
///   |
/// 2 | topologie = "1n1l2c1t"
///   | ^^^^^^^^^
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistake {
    /// The line, from 1; 0: the whole text.
    pub line: usize,
    /// The character in it, from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub what: String,
    /// The line's text.
    excerpt: String,
    /// How many characters of it are meant.
    width: usize,
}

/// What the reader of TOML says of types, and what is said instead.
const IN_WORDS: &[(&str, &str)] = &[
    ("expected i64", "expected a whole number"),
    ("expected a sequence", "expected a list, as in `[…]`"),
    ("expected a boolean", "expected `true` or `false`"),
];

/// How much of a line is shown.
const MAX_EXCERPT: usize = 160;

impl Mistake {
    /// What the reader of TOML says.
    pub(super) fn of(text: &str, error: &toml::de::Error) -> Mistake {
        let mut what = error.message().to_owned();
        for (wrong, right) in IN_WORDS {
            what = what.replace(wrong, right);
        }
        Mistake::at(text, error.span().unwrap_or(0..0), &what)
    }

    /// Something at that place.
    pub(super) fn at(text: &str, span: Range<usize>, what: &str) -> Mistake {
        // What a file holds must not steer a terminal.
        let harmless = |text: &str| text.replace(|c: char| c.is_control() && c != '\t', "\u{fffd}");
        let what = &harmless(what);
        let what = match nearest(what) {
            Some(word) => format!("{what}; did you mean `{word}`?"),
            None => what.to_owned(),
        };
        if span.is_empty() && span.start == 0 {
            return Mistake {
                line: 0,
                column: 0,
                what,
                excerpt: String::new(),
                width: 0,
            };
        }
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = text.get(begin..span.start).unwrap_or_default().chars().count() + 1;
        let excerpt = text
            .get(begin..)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(MAX_EXCERPT)
            .collect::<String>();
        let excerpt = harmless(&excerpt);
        let meant = text
            .get(span)
            .unwrap_or_default()
            .lines()
            .next()
            .unwrap_or_default();
        let width = meant.chars().count().max(1);
        let width = width.min((excerpt.chars().count() + 1).saturating_sub(column).max(1));
        Mistake {
            line,
            column,
            what,
            excerpt,
            width,
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mistake {
            line,
            column,
            what,
            excerpt,
            width,
        } = self;
        if *line == 0 {
            return write!(f, " {what}");
        }
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let tabs_kept = excerpt.chars().take(column - 1);
        let indent: String = tabs_kept.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        write!(f, "{line}:{column}: {what}")?;
        if *column > MAX_EXCERPT {
            return Ok(());
        }
        writeln!(f)?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {excerpt}")?;
        write!(f, "{margin} | {indent}{}", "^".repeat(*width))
    }
}

/// The word of the allowed ones that is nearest to the wrong one: a message quotes the wrong one first.
fn nearest(what: &str) -> Option<&str> {
    let mut quoted = what.split('`').skip(1).step_by(2);
    // Both may have arguments behind them.
    let word = |quoted: &'_ str| {
        let is_part = |c: char| c.is_alphabetic() || c == '-' || c == '_';
        quoted.find(|c| !is_part(c)).unwrap_or(quoted.len())
    };
    let wrong = quoted.next()?;
    let wrong = &wrong[..word(wrong)];
    let candidates = quoted.map(|quoted| &quoted[..word(quoted)]);
    let ranked = candidates.map(|word| (strsim::osa_distance(wrong, word), word));
    let (distance, word) = ranked.min_by_key(|(distance, _)| *distance)?;
    let near = (1..=2).contains(&distance) && distance < wrong.chars().count().min(word.chars().count());
    near.then_some(word)
}
