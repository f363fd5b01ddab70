//! Values by their paths: `cpus[3].cfs.nr_running`, `tasks[pid=12].comm`, `maps[name=counters]`.
//!
//! A name with one of `.[]="\` in it, or an empty one, is written in quotes, in which `\` makes the next character an
//! ordinary one: `maps."a.b"`, `maps[name="x]y"]`. Of values with the same name or key, the first is found.

use std::fmt::{self, Write};

use super::Value;

/// An error lists no more than this.
const MAX_LISTED: usize = 16;
/// No name in an error is longer, in characters.
const LONGEST: usize = 60;

/// A path leads to no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no {wanted} in {}{}", shown(.at), exists(.there))]
pub struct NoSuchValue {
    /// The part of the path that leads to a value; empty at the top.
    pub at: String,
    /// The step that leads nowhere, or what is wrong with it.
    pub wanted: String,
    /// What there is instead.
    pub there: Vec<String>,
}

impl Value {
    /// The value at a path; the empty path is the value itself.
    ///
    /// # Errors
    /// [`NoSuchValue`] names where the path ends, and what is there.
    pub fn get(&self, path: &str) -> Result<&Value, NoSuchValue> {
        let mut steps = Steps { path, at: 0 };
        let mut value = self;
        loop {
            let before = steps.at;
            let failed = |wanted: String, value: &Value| NoSuchValue {
                at: path[..before].to_owned(),
                wanted,
                there: there(value),
            };
            let step = match steps.next() {
                Ok(Some(step)) => step,
                Ok(None) => return Ok(value),
                Err(why) => return Err(failed(why, value)),
            };
            value = step.of(value).ok_or_else(|| failed(step.to_string(), value))?;
        }
    }

    /// The number, if it is one that is not negative; of a time its ns.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Unsigned(number) | Value::Hex(number) => Some(*number),
            Value::Int(number) | Value::Time(number) => u64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The number, if it is one that is not above [`i64::MAX`]; of a time its ns.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(number) | Value::Time(number) => Some(*number),
            Value::Unsigned(number) | Value::Hex(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// All values that are no lists or trees, or empty ones, with their paths, in order.
    pub fn leaves(&self) -> Vec<(String, &Value)> {
        let mut leaves = Vec::new();
        self.add_leaves(&mut String::new(), &mut leaves);
        leaves
    }

    fn add_leaves<'v>(&'v self, path: &mut String, leaves: &mut Vec<(String, &'v Value)>) {
        let len = path.len();
        match self {
            Value::List(values) if !values.is_empty() => {
                for (index, value) in values.iter().enumerate() {
                    let _ = write!(path, "[{index}]");
                    value.add_leaves(path, leaves);
                    path.truncate(len);
                }
            }
            Value::Tree(entries) if !entries.is_empty() => {
                for (name, value) in entries {
                    if len > 0 {
                        path.push('.');
                    }
                    path.push_str(&quoted(name));
                    value.add_leaves(path, leaves);
                    path.truncate(len);
                }
            }
            _ => leaves.push((path.clone(), self)),
        }
    }
}

enum Step {
    Name(String),
    Index(usize),
    Key(String, String),
}

impl Step {
    fn of<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match (self, value) {
            (Step::Name(name), value) => entry(value, name),
            (Step::Index(index), Value::List(values)) => values.get(*index),
            (Step::Key(key, wanted), Value::List(values)) => values
                .iter()
                .find(|value| entry(value, key).is_some_and(|value| is(value, wanted))),
            _ => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Name(name) => f.write_str(&short(name)),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key, wanted) => write!(f, "[{}={}]", short(key), short(wanted)),
        }
    }
}

fn entry<'v>(value: &'v Value, wanted: &str) -> Option<&'v Value> {
    let Value::Tree(entries) = value else {
        return None;
    };
    let found = entries.iter().find(|(name, _)| name == wanted);
    found.map(|(_, value)| value)
}

/// Is this the value that a key asks for?
fn is(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Text(text) => text == wanted,
        Value::Hex(number) => {
            let digits = wanted.strip_prefix("0x");
            digits.is_some_and(|digits| u64::from_str_radix(digits, 16) == Ok(*number))
        }
        Value::Int(number) | Value::Time(number) => wanted.parse() == Ok(*number),
        Value::Unsigned(number) => wanted.parse() == Ok(*number),
        Value::Bool(yes) => wanted.parse() == Ok(*yes),
        Value::List(_) | Value::Tree(_) | Value::Missing(_) => false,
    }
}

/// Takes a path apart.
struct Steps<'p> {
    path: &'p str,
    at: usize,
}

impl Steps<'_> {
    fn next(&mut self) -> Result<Option<Step>, String> {
        let first = self.at == 0;
        if self.rest().is_empty() {
            return Ok(None);
        }
        if self.takes('[') {
            return self.bracket().map(Some);
        }
        if !first && !self.takes('.') {
            return Err(format!("path at \"{}\"", short(self.rest())));
        }
        self.name(&['.', '[', ']', '='])
            .map(|name| Some(Step::Name(name)))
    }

    /// What is between brackets.
    fn bracket(&mut self) -> Result<Step, String> {
        let key = self.name(&['=', ']'])?;
        let step = if self.takes('=') {
            Step::Key(key, self.name(&[']'])?)
        } else {
            let index = key.parse();
            Step::Index(index.map_err(|_| format!("index or key=value in \"[{}]\"", short(&key)))?)
        };
        if !self.takes(']') {
            return Err("closing ] in the path".to_owned());
        }
        Ok(step)
    }

    /// A name in quotes, or up to one of these characters.
    fn name(&mut self, ends: &[char]) -> Result<String, String> {
        if !self.takes('"') {
            let rest = self.rest();
            let len = rest.find(ends).unwrap_or(rest.len());
            let name = rest[..len].to_owned();
            self.at += len;
            if name.is_empty() {
                return Err("name where the path needs one".to_owned());
            }
            return Ok(name);
        }
        let mut name = String::new();
        let mut chars = self.rest().char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => {
                    self.at += at + 1;
                    return Ok(name);
                }
                '\\' => name.extend(chars.next().map(|(_, char)| char)),
                char => name.push(char),
            }
        }
        Err("closing quotes in the path".to_owned())
    }

    fn takes(&mut self, char: char) -> bool {
        let takes = self.rest().starts_with(char);
        self.at += usize::from(takes) * char.len_utf8();
        takes
    }

    fn rest(&self) -> &str {
        &self.path[self.at..]
    }
}

/// A name as a path has it.
fn quoted(name: &str) -> String {
    if !name.is_empty() && !name.contains(['.', '[', ']', '=', '"', '\\']) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What there is in a value, for an error.
fn there(value: &Value) -> Vec<String> {
    match value {
        Value::Tree(entries) => {
            let mut names: Vec<&str> = entries.iter().map(|(name, _)| &**name).collect();
            names.sort_unstable();
            let more = (names.len() > MAX_LISTED).then(|| "…".to_owned());
            let names = names.into_iter().take(MAX_LISTED);
            names.map(|name| short(&quoted(name))).chain(more).collect()
        }
        Value::List(values) => vec![match values.len() {
            0 => "an empty list".to_owned(),
            1 => "a list with [0]".to_owned(),
            len => format!("a list with [0] to [{}]", len - 1),
        }],
        Value::Missing(why) => vec![format!("no value ({})", short(why))],
        Value::Bool(_) => vec!["true or false".to_owned()],
        Value::Int(_) | Value::Unsigned(_) | Value::Hex(_) => vec!["a number".to_owned()],
        Value::Time(_) => vec!["a time".to_owned()],
        Value::Text(_) => vec!["a text".to_owned()],
    }
}

fn shown(at: &str) -> String {
    if at.is_empty() {
        "the value".to_owned()
    } else {
        at.to_owned()
    }
}

fn exists(there: &[String]) -> String {
    match there {
        [] => ", which has none".to_owned(),
        _ => format!("; available: {}", there.join(", ")),
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::super::testing::{tree, values};
    use super::*;

    fn guest() -> Value {
        let task = |pid, comm: &str| tree(vec![("pid", Value::Int(pid)), ("comm", comm.into())]);
        tree(vec![
            ("tasks", Value::List(vec![task(1, "init"), task(12, "a]b")])),
            (
                "maps",
                Value::List(vec![tree(vec![
                    ("id", Value::Hex(0x1f)),
                    ("name", "counters".into()),
                ])]),
            ),
            ("a.b", tree(vec![("", Value::Bool(true))])),
            ("clock", Value::Time(-5)),
            ("gone", Value::Missing("no such field".to_owned())),
        ])
    }

    #[test]
    fn paths_lead_by_name_index_and_key() {
        let guest = guest();
        let text = |path| guest.get(path).map(|value| value.as_str().unwrap_or("?"));
        assert_eq!(text("tasks[1].comm"), Ok("a]b"));
        assert_eq!(text("tasks[pid=1].comm"), Ok("init"));
        assert_eq!(guest.get("tasks[comm=\"a]b\"].pid"), Ok(&Value::Int(12)));
        assert_eq!(text("maps[name=counters].name"), Ok("counters"));
        assert_eq!(text("maps[id=0x1f].name"), Ok("counters"));
        assert_eq!(guest.get("\"a.b\".\"\""), Ok(&Value::Bool(true)));
        assert_eq!(guest.get(""), Ok(&guest));
        let clock = guest.get("clock").unwrap();
        assert_eq!((clock.as_i64(), clock.as_u64()), (Some(-5), None));
        let id = guest.get("maps[0].id").unwrap();
        assert_eq!(
            (id.as_i64(), id.as_u64(), id.as_str()),
            (Some(31), Some(31), None)
        );
    }

    #[test]
    fn an_error_says_where_the_path_ends_and_what_is_there() {
        for (path, error) in [
            (
                "tusks",
                "no tusks in the value; available: \"a.b\", clock, gone, maps, tasks",
            ),
            ("tasks[2]", "no [2] in tasks; available: a list with [0] to [1]"),
            (
                "tasks[pid=3].comm",
                "no [pid=3] in tasks; available: a list with [0] to [1]",
            ),
            ("tasks[0].cpu", "no cpu in tasks[0]; available: comm, pid"),
            ("clock.ns", "no ns in clock; available: a time"),
            ("gone.x", "no x in gone; available: no value (no such field)"),
            (
                "tasks[one]",
                "no index or key=value in \"[one]\" in tasks; available: a list with [0] to [1]",
            ),
            (
                "tasks[1",
                "no closing ] in the path in tasks; available: a list with [0] to [1]",
            ),
            ("tasks[1]x", "no path at \"x\" in tasks[1]; available: comm, pid"),
            (
                "tasks.",
                "no name where the path needs one in tasks; available: a list with [0] to [1]",
            ),
        ] {
            assert_eq!(guest().get(path).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn an_error_is_short_however_much_there_is() {
        let many = Value::tree((0..10_000).map(|n| (format!("{n}{}", "x".repeat(1000)), Value::Int(n))));
        let error = many.get(&"y".repeat(5000)).unwrap_err();
        assert_eq!(error.there.len(), MAX_LISTED + 1);
        assert!(error.to_string().len() < 2000);
    }

    /// Of names that come twice only the first can be found.
    fn without_twins(value: Value) -> Value {
        match value {
            Value::List(values) => Value::List(values.into_iter().map(without_twins).collect()),
            Value::Tree(entries) => {
                let mut seen = HashSet::new();
                let once = entries.into_iter().filter(|(name, _)| seen.insert(name.clone()));
                Value::Tree(once.map(|(name, value)| (name, without_twins(value))).collect())
            }
            value => value,
        }
    }

    proptest! {
        #[test]
        fn the_path_of_every_leaf_leads_to_it(value in values().prop_map(without_twins)) {
            for (path, leaf) in value.leaves() {
                let found = value.get(&path);
                prop_assert!(found.is_ok_and(|found| std::ptr::eq(found, leaf)), "{}: {:?}", path, value.get(&path));
            }
        }

        #[test]
        fn no_path_panics(value in values(), path in "[a-c\\[\\]=.\"\\\\0-2é]{0,12}") {
            let _ = value.get(&path);
        }
    }
}
