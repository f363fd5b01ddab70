//! How a run came to its failure, as text.

use record::{Record, Repro, Trace, TracedCall, Value};

/// The chain of calls; empty where none was looked for.
pub(crate) fn chain(record: &Record) -> String {
    match &record.repro {
        None => String::new(),
        Some(Repro::Not { reason }) => format!("\n  the calls that led there were not traced: {reason}\n"),
        Some(Repro::Traced(trace)) => traced(trace, record),
    }
}

fn traced(trace: &Trace, record: &Record) -> String {
    let mut text = if trace.hash == record.hash {
        format!(
            "\n  how it came to that, seen in the same execution again (record {}), the last of {} calls:\n",
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
    for call in &trace.calls {
        text += &format!("      {}\n", head(call));
        for (path, before, after) in call.changes() {
            text += &format!("            {path}: {} → {}\n", words(&before), words(&after));
        }
    }
    for conclusion in &trace.conclusions {
        text += &format!("    {conclusion}\n");
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
