//! Whole reports, as they are printed: what is in `snapshots` is reviewed as a reader would.

use insta::assert_snapshot;
use record::{DumpTrigger, Record, RecordHash, Repro};
use serde_json::Value;

use crate::{Model, changes, json, samples, text};

fn shown(record: &Record) -> String {
    let replay = format!("cargo schedrig replay {}", record.hash.short());
    text::of(&Model::of(record).kept(Some(replay)))
}

#[test]
fn a_pass_as_text() {
    assert_snapshot!(shown(&samples::passed()));
}

#[test]
fn a_fail_with_a_dump_and_the_calls_as_text() {
    assert_snapshot!(shown(&samples::failed()));
}

#[test]
fn an_inconclusive_run_as_text() {
    assert_snapshot!(shown(&samples::inconclusive()));
}

#[test]
fn a_record_that_was_judged_again_as_text() {
    let (recorded, judged) = (samples::passed().judgement, samples::failed().judgement);
    let changed = changes(&recorded, &judged);
    assert_snapshot!(text::changes(&changed));
    assert_eq!(text::changes(&[]), "\n  judged again: no check changed\n");
}

#[test]
fn the_calls_of_another_execution_come_with_a_warning_and_without_a_conclusion() {
    let mut record = samples::failed();
    if let Some(Repro::Traced(trace)) = &mut record.repro {
        trace.hash = RecordHash::of(&record.evidence, &samples::passed().judgement);
    }
    let text = shown(&record);
    assert!(
        text.contains("WARNING: the second execution differs from the recorded one"),
        "{text}"
    );
    assert!(json::of(&Model::of(&record)).conclusions.is_empty());
}

#[test]
fn what_a_guest_wrote_does_not_reach_the_terminal() {
    let mut record = samples::failed();
    let check = record.judgement.checks.last_mut().unwrap();
    check.reason.push('\u{1b}');
    check.details.push("console: \u{1b}[2J".into());
    record.dumps[0].trigger = DumpTrigger::Sentence("\u{1b}".into());
    record.dumps[0].headline.push("\u{1b}]0;title\u{7}".into());
    let text = shown(&record);
    assert!(
        !text.contains(|char: char| char.is_control() && char != '\n'),
        "{text:?}"
    );
}

/// The names of all fields and the types of their values: an array stands for the types of all its items.
fn schema(at: &str, value: &Value, into: &mut Vec<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "fraction",
        Value::Number(_) => "integer",
        Value::String(_) => "text",
        Value::Array(items) => {
            items
                .iter()
                .for_each(|item| schema(&format!("{at}[]"), item, into));
            return;
        }
        Value::Object(fields) => {
            fields
                .iter()
                .for_each(|(name, field)| schema(&format!("{at}.{name}"), field, into));
            return;
        }
    };
    into.push(format!("{at}: {kind}"));
}

#[test]
fn the_json_keeps_its_field_names_and_types_for_scripts() {
    let mut lines = Vec::new();
    for record in [samples::passed(), samples::failed(), samples::inconclusive()] {
        let json = serde_json::to_value(json::of(&Model::of(&record))).unwrap();
        schema("", &json, &mut lines);
    }
    lines.sort();
    lines.dedup();
    let page = include_str!("../../../docs/json.md");
    for line in &lines {
        // A name that is no field but a key: of a query's answer, a queue, a CPU.
        let path = line.split(':').next().unwrap();
        let field = path.trim_end_matches("[]").rsplit('.').next().unwrap();
        let is_key = [".answer.", ".dsqs.", ".local_dsqs.", ".counted."]
            .iter()
            .any(|part| path.contains(part));
        assert!(
            is_key || page.contains(&format!("`{field}`")),
            "docs/json.md lacks {line}"
        );
    }
    assert_snapshot!(lines.join("\n"));
}
