//! How a run came to its failure, as text.

use record::{CallHistory, Record, Repro, Trace, TracedCall, Value};

/// The chain of calls; empty where none was looked for.
pub(crate) fn chain(record: &Record) -> String {
    match &record.repro {
        None => String::new(),
        Some(Repro::Not { reason }) => format!("\n  the calls that led there were not traced: {reason}\n"),
        Some(Repro::Traced(trace)) => traced(trace, record),
    }
}

/// Calls of the task that the failure is about, and of its CPU, that are shown; the record has more.
const SHOWN: usize = 5;

fn traced(trace: &Trace, record: &Record) -> String {
    let mut text = if trace.hash == record.hash {
        format!(
            "\n  how it came to that, seen in the same execution again (record {}, {} calls until then):\n",
            trace.hash.short(),
            trace.seen
        )
    } else {
        format!(
            "\n  ATTENTION: the second execution was another one (record {}, not {}): what follows need not be how it came to \
             that, and this is a defect of schedrig\n",
            trace.hash.short(),
            record.hash.short()
        )
    };
    let (tasks, cpus): (Vec<&CallHistory>, Vec<&CallHistory>) = trace
        .histories
        .iter()
        .partition(|chain| chain.conclusion.is_some());
    if let Some(task) = tasks.first() {
        text += &calls(task);
    }
    for conclusion in tasks.iter().filter_map(|task| task.conclusion.as_ref()) {
        text += &format!("    → {conclusion}\n");
    }
    if let Some(cpu) = cpus.first() {
        text += &calls(cpu);
    }
    text
}

fn calls(chain: &CallHistory) -> String {
    let mut text = format!("    the last calls for {}:\n", chain.of);
    for call in &chain.calls[chain.calls.len().saturating_sub(SHOWN)..] {
        text += &format!("      {}\n", head(call));
        for (path, before, after) in call.changes() {
            text += &format!("            {path}: {} → {}\n", words(&before), words(&after));
        }
    }
    text
}

/// `#812 1.234s CPU 1 enqueue(p=a/2[211], enq_flags=0) in baton_enqueue, baton.bpf.c:120`
fn head(call: &TracedCall) -> String {
    let arguments = match &call.arguments {
        Value::Tree(arguments) => arguments
            .iter()
            .map(|(name, value)| format!("{name}={}", words(value)))
            .collect::<Vec<_>>()
            .join(", "),
        other => words(other),
    };
    let program = call
        .program
        .as_ref()
        .map_or_else(String::new, |program| format!("  {program}"));
    let line = call
        .line
        .as_ref()
        .map_or_else(String::new, |line| format!(" at {line}"));
    format!(
        "#{} {} CPU {}  {}({arguments}){program}{line}",
        call.number, call.at, call.cpu, call.name
    )
}

fn words(value: &Value) -> String {
    value.to_string().trim().to_owned()
}
