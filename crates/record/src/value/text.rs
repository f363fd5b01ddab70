//! A [`Value`] for people: one line for a scalar, a block for a tree, a table for a list of like trees.
//!
//! ```text
//! nr_running  2                              scalars: names as wide as the widest of their tree
//! clock       1234.567890 ms                 times as /proc/sched_debug has them (SPLIT_NS)
//! idle        ?1                             no value; the reasons are listed below all
//! waits       1, 2, 3                        lists of scalars
//! cfs:                                       trees, indented
//!   load  1024
//! tasks:                                     trees of scalars, as a table: numbers right, words left, - where a tree
//!   pid  comm                                has no such value
//!     1  init
//! other:                                     any other list
//!   [0]:
//!     x:
//!       y  1
//!
//! ?1  why there is no value
//! ```
//! Nothing is cut, no line ends in a space, and no control character comes through: a guest names its tasks.

use std::fmt::{self, Write};

use super::{Name, Value};

const INDENT: usize = 2;

impl Value {
    /// The value as text for people; the lines end in `\n`, the last does not.
    pub fn to_text(&self) -> String {
        let mut text = Text::default();
        match inline(self, &mut text.reasons) {
            Some(line) => text.lines.push(line),
            None => text.block(self, 0),
        }
        if !text.reasons.is_empty() {
            text.lines.push(String::new());
            for (index, why) in text.reasons.iter().enumerate() {
                text.lines.push(format!("?{}  {}", index + 1, words(why)));
            }
        }
        text.lines.join("\n")
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

#[derive(Default)]
struct Text {
    lines: Vec<String>,
    /// Why values are missing, each reason once.
    reasons: Vec<String>,
}

impl Text {
    /// A list or tree that needs lines of its own.
    fn block(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Tree(entries) => {
                let named = entries.iter().map(|(name, value)| (words(name), value));
                self.entries(&named.collect::<Vec<_>>(), indent);
            }
            Value::List(values) => match columns(values) {
                Some(columns) => self.table(values, &columns, indent),
                None => {
                    let numbered = values.iter().enumerate();
                    let numbered = numbered.map(|(index, value)| (format!("[{index}]"), value));
                    self.entries(&numbered.collect::<Vec<_>>(), indent);
                }
            },
            _ => {}
        }
    }

    fn entries(&mut self, entries: &[(String, &Value)], indent: usize) {
        let lines: Vec<Option<String>> = entries
            .iter()
            .map(|(_, value)| inline(value, &mut self.reasons))
            .collect();
        let scalars = entries.iter().zip(&lines).filter(|(_, line)| line.is_some());
        let width = scalars.map(|((name, _), _)| width(name)).max().unwrap_or(0);
        for ((name, value), line) in entries.iter().zip(lines) {
            match line {
                Some(line) => self.line(indent, &format!("{}  {line}", padded(name, width, false))),
                None => {
                    self.line(indent, &format!("{name}:"));
                    self.block(value, indent + INDENT);
                }
            }
        }
    }

    fn table(&mut self, rows: &[Value], columns: &[&Name], indent: usize) {
        let mut lines = vec![String::new(); rows.len() + 1];
        for (index, column) in columns.iter().enumerate() {
            let values: Vec<Option<&Value>> = rows.iter().map(|row| row_entry(row, column)).collect();
            let right = values.iter().flatten().all(|value| is_number(value));
            let cells = values.iter().map(|value| match value {
                Some(value) => inline(value, &mut self.reasons).unwrap_or_default(),
                None => "-".to_owned(),
            });
            let cells: Vec<String> = std::iter::once(words(column)).chain(cells).collect();
            let widest = cells.iter().map(|cell| width(cell)).max().unwrap_or(0);
            for (line, cell) in lines.iter_mut().zip(&cells) {
                let gap = if index > 0 { "  " } else { "" };
                let _ = write!(line, "{gap}{}", padded(cell, widest, right));
            }
        }
        for line in lines {
            self.line(indent, &line);
        }
    }

    fn line(&mut self, indent: usize, line: &str) {
        self.lines.push(format!("{:indent$}{}", "", line.trim_end()));
    }
}

/// The value in one line, unless it needs a block.
fn inline(value: &Value, reasons: &mut Vec<String>) -> Option<String> {
    Some(match value {
        Value::Bool(yes) => yes.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Unsigned(number) => number.to_string(),
        Value::Time(ns) => time(*ns),
        Value::Hex(number) => format!("{number:#x}"),
        Value::Text(text) => words(text),
        Value::Missing(why) => {
            let known = reasons.iter().position(|reason| reason == why);
            let index = known.unwrap_or_else(|| {
                reasons.push(why.clone());
                reasons.len() - 1
            });
            format!("?{}", index + 1)
        }
        Value::List(values) if values.iter().all(is_scalar) => match values.as_slice() {
            [] => "-".to_owned(),
            _ => {
                let values: Vec<String> = values.iter().filter_map(|value| inline(value, reasons)).collect();
                values.join(", ")
            }
        },
        Value::Tree(entries) if entries.is_empty() => "-".to_owned(),
        Value::List(_) | Value::Tree(_) => return None,
    })
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::List(_) | Value::Tree(_))
}

fn is_inline(value: &Value) -> bool {
    match value {
        Value::List(values) => values.iter().all(is_scalar),
        Value::Tree(entries) => entries.is_empty(),
        _ => true,
    }
}

/// What cannot be read is as wide as a number.
fn is_number(value: &Value) -> bool {
    matches!(
        value,
        Value::Int(_) | Value::Unsigned(_) | Value::Time(_) | Value::Hex(_) | Value::Missing(_)
    )
}

/// The columns of a table of these, in the order in which they first come; `None` if they make no table.
fn columns(rows: &[Value]) -> Option<Vec<&Name>> {
    let mut columns: Vec<&Name> = Vec::new();
    for row in rows {
        let Value::Tree(entries) = row else {
            return None;
        };
        for (index, (name, value)) in entries.iter().enumerate() {
            let twice = entries[..index].iter().any(|(other, _)| other == name);
            if twice || !is_inline(value) {
                return None;
            }
            if !columns.contains(&name) {
                columns.push(name);
            }
        }
    }
    // Rows without columns would be no lines at all.
    (!columns.is_empty()).then_some(columns)
}

fn row_entry<'v>(row: &'v Value, column: &Name) -> Option<&'v Value> {
    let Value::Tree(entries) = row else {
        return None;
    };
    let found = entries.iter().find(|(name, _)| name == column);
    found.map(|(_, value)| value)
}

/// As `SPLIT_NS` of kernel/sched/debug.c, and the unit.
fn time(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    format!("{sign}{}.{:06} ms", ns / 1_000_000, ns % 1_000_000)
}

/// A text in one line that shows where it ends.
fn words(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        // Separators of lines, and what turns the direction of writing, would change what is read around them.
        let turns =
            matches!(char, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}');
        if char.is_control() || turns {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    if shown.is_empty() || shown.trim() != shown {
        format!("\"{shown}\"")
    } else {
        shown
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

fn padded(text: &str, to: usize, right: bool) -> String {
    let gap = to.saturating_sub(width(text));
    if right {
        format!("{:gap$}{text}", "")
    } else {
        format!("{text}{:gap$}", "")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{tree, values};
    use super::*;

    fn missing(why: &str) -> Value {
        Value::Missing(why.to_owned())
    }

    #[test]
    fn a_runqueue_reads_like_the_kernels_own_listing() {
        let task = |pid, comm: &str, vruntime| {
            tree(vec![
                ("pid", Value::Int(pid)),
                ("comm", comm.into()),
                ("vruntime", Value::Time(vruntime)),
                ("cpus", Value::list([0, pid])),
            ])
        };
        let rq = tree(vec![
            ("cpu", Value::Int(1)),
            ("nr_running", Value::Int(3)),
            ("clock", Value::Time(1_234_567_890)),
            ("avg_idle", missing("struct rq has no member avg_idle")),
            ("curr", Value::Hex(0xffff_8880_0123_4000)),
            (
                "cfs",
                tree(vec![
                    ("load", Value::Unsigned(2048)),
                    ("min_vruntime", missing("struct rq has no member avg_idle")),
                    ("se", Value::tree::<Name>([])),
                    (
                        "tasks",
                        Value::List(vec![task(7, "init", -5), task(1234, "kworker/0:1", 20_000_001)]),
                    ),
                ]),
            ),
            ("idle", Value::Bool(false)),
            ("dsqs", Value::List(vec![])),
        ]);
        let expected = "\
cpu         1
nr_running  3
clock       1234.567890 ms
avg_idle    ?1
curr        0xffff888001234000
cfs:
  load          2048
  min_vruntime  ?1
  se            -
  tasks:
     pid  comm             vruntime  cpus
       7  init         -0.000005 ms  0, 7
    1234  kworker/0:1  20.000001 ms  0, 1234
idle        false
dsqs        -

?1  struct rq has no member avg_idle";
        assert_eq!(rq.to_text(), expected);
        assert_eq!(rq.to_string(), expected);
    }

    #[test]
    fn a_table_has_a_column_for_whatever_a_row_has() {
        let rows = Value::List(vec![
            tree(vec![("id", Value::Hex(0x1)), ("name", "a".into())]),
            tree(vec![("id", missing("gone")), ("flags", "X".into())]),
            tree(vec![]),
        ]);
        assert_eq!(
            rows.to_text(),
            " id  name  flags\n\
            0x1  a     -\n \
             ?1  -     X\n  \
              -  -     -\n\
            \n\
            ?1  gone"
        );
    }

    #[test]
    fn a_list_of_unlike_values_is_numbered() {
        let values = Value::List(vec![
            Value::Int(5),
            tree(vec![("x", tree(vec![("y", Value::Int(1))]))]),
            Value::List(vec![Value::Int(1), Value::Int(2)]),
        ]);
        assert_eq!(values.to_text(), "[0]  5\n[1]:\n  x:\n    y  1\n[2]  1, 2");
    }

    #[test]
    fn what_a_guest_writes_cannot_disturb_the_page() {
        let text = |text: &str| Value::from(text).to_text();
        assert_eq!(text("a\x1b[2Jb\nc\t\u{202e}"), r"a\u{1b}[2Jb\nc\t\u{202e}");
        assert_eq!(text(""), "\"\"");
        assert_eq!(text(" a "), "\" a \"");
        assert_eq!(text("hé"), "hé");
        assert_eq!(missing("a\nb").to_text(), "?1\n\n?1  a\\nb");
    }

    #[test]
    fn times_have_six_digits_of_a_millisecond() {
        for (ns, text) in [
            (0, "0.000000 ms"),
            (-1, "-0.000001 ms"),
            (i64::MIN, "-9223372036854.775808 ms"),
        ] {
            assert_eq!(Value::Time(ns).to_text(), text);
        }
    }

    #[test]
    fn a_long_list_is_not_cut() {
        let rows: Value = (0..5000).map(|n| tree(vec![("n", Value::Int(n))])).collect();
        assert_eq!(rows.to_text().lines().count(), 5001);
    }

    proptest! {
        #[test]
        fn no_line_ends_in_a_space_or_has_a_control_character(value in values()) {
            let text = value.to_text();
            for line in text.split('\n') {
                prop_assert!(!line.ends_with(char::is_whitespace), "{line:?}");
                prop_assert!(!line.contains(char::is_control), "{line:?}");
            }
            prop_assert_eq!(value.clone().to_text(), text);
        }
    }
}
