//! How a run got to its failure, as text.

use record::{CallHistory, RecordHash, TracedCall, Value};

use crate::History;
use crate::wording::count;

/// Calls that are shown of the task that the failure is about, and of its CPU; the record has more.
const SHOWN: usize = 5;

/// The calls; empty where none were looked for.
pub(super) fn text(history: &History<'_>, recorded: &RecordHash) -> String {
    match history {
        History::NotAsked => String::new(),
        History::NotTraced { reason } => format!("\n  the calls that led there were not traced: {reason}\n"),
        History::Traced {
            hash,
            same_execution,
            calls: seen,
            tasks,
            cpus,
        } => {
            let (record, seen) = (hash.short(), count(*seen, "call"));
            let title = if *same_execution {
                format!(
                    "how it got there (same execution, traced again; record {record}, {seen} up to then):"
                )
            } else {
                format!(
                    "WARNING: the second execution differs from the recorded one (record {record}, recorded {}). What \
                     follows may not be how it got there. This is a defect of schedrig; please report it",
                    recorded.short()
                )
            };
            let mut text = format!("\n  {title}\n");
            text += &tasks.first().map_or_else(String::new, |task| calls(task));
            for conclusion in tasks.iter().filter_map(|task| task.conclusion.as_ref()) {
                text += &format!("    → {conclusion}\n");
            }
            text + &cpus.first().map_or_else(String::new, |cpu| calls(cpu))
        }
    }
}

fn calls(history: &CallHistory) -> String {
    let mut text = format!("    the last calls for {}:\n", history.of);
    for call in &history.calls[history.calls.len().saturating_sub(SHOWN)..] {
        text += &format!("      {}\n", head(call));
        for (path, before, after) in call.changes() {
            text += &format!("            {path}: {} → {}\n", inline(&before), inline(&after));
        }
    }
    text
}

/// `#812 [    1.234000] CPU 1  enqueue(p=a/2[211], enq_flags=0)  baton_enqueue at baton.bpf.c:120`
fn head(call: &TracedCall) -> String {
    let arguments = match &call.arguments {
        Value::Tree(arguments) => arguments
            .iter()
            .map(|(name, value)| format!("{name}={}", inline(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => inline(other),
    };
    let TracedCall {
        number,
        at,
        cpu,
        name,
        ..
    } = call;
    let mut head = format!("#{number} {at} CPU {cpu}  {name}({arguments})");
    if let Some(program) = &call.program {
        head += &format!("  {program}");
    }
    if let Some(line) = &call.line {
        head += &format!(" at {line}");
    }
    head
}

fn inline(value: &Value) -> String {
    value.to_string().trim().to_owned()
}
