//! A failed run, executed again to trace how it got to the failure.

use serde::{Deserialize, Serialize};
use spec::GuestTime;

use crate::{RecordHash, Value};

/// What became of the second execution. Not covered by the record hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repro {
    /// It was made.
    Traced(Trace),
    /// There was none.
    Not {
        /// Why.
        reason: String,
    },
}

/// The calls that led to a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The second execution's record. The same as the record's own: it was the same execution.
    pub hash: RecordHash,
    /// The failure, in a sentence.
    pub of: String,
    /// Of the tasks concerned, the one that has waited longest first, and then of the CPUs.
    pub histories: Vec<CallHistory>,
    /// Calls that were traced until then, of any task and CPU.
    pub seen: u64,
}

/// The last calls for a task, or of a CPU.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallHistory {
    /// `comm[pid]`, or `CPU 1`.
    pub of: String,
    /// The calls, the oldest first.
    pub calls: Vec<TracedCall>,
    /// What follows from them, in a sentence; `None` for a CPU.
    pub conclusion: Option<String>,
}

/// A call that the kernel made: of a scheduler's operation, or of a function of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TracedCall {
    /// When it began, to the tick.
    pub at: GuestTime,
    /// Its place among all calls that were traced, from 1.
    pub number: u64,
    /// The CPU that made it.
    pub cpu: u32,
    /// What was called, as the kernel names it: `enqueue`.
    pub name: String,
    /// The program that is behind it: `baton_enqueue`; `None` where it is a function of the kernel.
    pub program: Option<String>,
    /// Where its source begins, as `baton.bpf.c:120`.
    pub line: Option<String>,
    /// With what.
    pub arguments: Value,
    /// The tasks among the arguments and the scheduler's variables, before it.
    pub before: Value,
    /// The same after it; missing where the end of the call was not traced.
    pub after: Value,
}

impl TracedCall {
    /// What it changed: path, before, after.
    pub fn changes(&self) -> Vec<(String, Value, Value)> {
        let mut changes = Vec::new();
        compare("", &self.before, &self.after, &mut changes);
        changes
    }
}

fn compare(path: &str, before: &Value, after: &Value, into: &mut Vec<(String, Value, Value)>) {
    match (before, after) {
        (Value::Tree(before), Value::Tree(after)) => {
            for (name, value) in before {
                let Some((_, now)) = after.iter().find(|(other, _)| other == name) else {
                    continue;
                };
                let path = if path.is_empty() {
                    name.to_string()
                } else {
                    format!("{path}.{name}")
                };
                compare(&path, value, now, into);
            }
        }
        // Not seen is not changed.
        (_, Value::Missing(_)) => {}
        (before, after) if before != after => into.push((path.to_owned(), before.clone(), after.clone())),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_their_paths_and_what_was_not_seen_is_none() {
        let task = |slice: u64, dsq: &str| {
            let scx = Value::tree([("slice", Value::from(slice)), ("dsq", Value::from(dsq))]);
            Value::tree([("p", Value::tree([("cpu", Value::from(1u64)), ("scx", scx)]))])
        };
        let mut call = TracedCall {
            at: GuestTime::default(),
            number: 1,
            cpu: 0,
            name: "enqueue".into(),
            program: None,
            line: None,
            arguments: Value::Tree(Vec::new()),
            before: task(20, "none"),
            after: task(20, "local CPU 1"),
        };
        let expect = (
            "p.scx.dsq".to_owned(),
            Value::from("none"),
            Value::from("local CPU 1"),
        );
        assert_eq!(call.changes(), [expect]);
        call.after = call.before.clone();
        assert_eq!(call.changes(), []);
        call.after = Value::Missing("the end was not seen".into());
        assert_eq!(call.changes(), []);
    }
}
