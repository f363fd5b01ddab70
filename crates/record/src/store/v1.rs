//! Records of format 1: one `record.json`.
//!
//! ```text
//! 1.x                                          now
//! judgement.verdict                            derived from the checks
//! judgement.checks                             the checks of evidence
//! monitored.checks                             the checks of samples
//! monitored.numbers                            an observation; there are no samples to judge again
//! remake, left_early, left                     replay_inputs, guest_exited, omitted
//! ```
//! A script that this version does not know how to play is left out: the record is shown, and not made again.

use serde_json::{Value, json};

use crate::{Record, ReplayInputs};

/// The major number.
pub(super) const MAJOR: u32 = 1;

/// The record in such a file.
pub(super) fn upgrade(bytes: &[u8]) -> Result<Record, serde_json::Error> {
    let mut json: Value = serde_json::from_slice(bytes)?;
    rename(&mut json, "remake", "replay_inputs");
    if let Some(end) = json.pointer_mut("/evidence/end")
        && end["kind"] == "left_early"
    {
        end["kind"] = "guest_exited".into();
    }
    let steps = json
        .pointer_mut("/replay_inputs/script")
        .and_then(Value::as_array_mut);
    for step in steps.into_iter().flatten() {
        if let Some(content) = step.get_mut("content") {
            rename(content, "left", "omitted");
        }
    }
    let monitored = json.get_mut("monitored").map(Value::take).unwrap_or_default();
    let checks = sourced(json.pointer_mut("/judgement/checks"), "evidence");
    let sampled = sourced(monitored.get("checks").cloned().as_mut(), "samples");
    let checks = Value::from([checks, sampled].concat());
    json["judgement"] = json!({ "checks": checks });
    let replay_inputs = json.get_mut("replay_inputs").map(Value::take).unwrap_or_default();
    let mut record: Record = serde_json::from_value(json)?;
    record.replay_inputs = serde_json::from_value::<ReplayInputs>(replay_inputs).ok();
    if let Some(seen) = monitored.get("numbers") {
        record.observations.push(crate::Observation {
            at: record
                .evidence
                .windows
                .last()
                .map(|window| window.to)
                .unwrap_or_default(),
            asked: "the greatest numbers of the monitor".to_owned(),
            seen: serde_json::from_value(seen.clone())?,
        });
    }
    Ok(record)
}

fn rename(object: &mut Value, from: &str, to: &str) {
    if let Some(object) = object.as_object_mut()
        && let Some(value) = object.remove(from)
    {
        object.insert(to.to_owned(), value);
    }
}

/// The checks, each with what it was judged from.
fn sourced(checks: Option<&mut Value>, source: &str) -> Vec<Value> {
    let mut checks = checks
        .and_then(|checks| checks.as_array().cloned())
        .unwrap_or_default();
    for check in checks.iter_mut().filter_map(Value::as_object_mut) {
        check.insert("source".to_owned(), source.into());
    }
    checks
}
