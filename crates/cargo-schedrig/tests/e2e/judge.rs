//! `judge`: a record judged again with other limits, without a machine.

use std::fs;

use serde_json::json;

use crate::replay::{read, recorded};
use crate::stage::{SMALL, Stage};

#[test]
fn a_record_is_judged_as_it_was_or_by_another_limit_and_what_changed_is_named() {
    let stage = Stage::new();
    let record = recorded(&stage, &SMALL);
    let which = record.to_str().unwrap();
    let before = read(&record);

    let same = stage.run(&["judge", which]);
    assert_eq!(same.code, Some(0), "{same:?}");
    assert!(
        same.stdout.starts_with("PASS  run  (eevdf on "),
        "{}",
        same.stdout
    );
    assert!(
        same.stdout.contains("judged again: no check changed"),
        "{}",
        same.stdout
    );

    let strict = stage.run(&["judge", which, "--check", "starvation=1ms"]);
    assert_eq!(strict.code, Some(1), "{strict:?}");
    assert!(
        strict.stdout.starts_with("FAIL  run  (eevdf on "),
        "{}",
        strict.stdout
    );
    assert!(strict.stdout.contains("\n  starvation: "), "{}", strict.stdout);
    assert!(
        strict.stdout.contains("judged again: 1 check changed"),
        "{}",
        strict.stdout
    );

    let (ended, summary) = stage.json(&["judge", which, "--json", "--check", "starvation=1ms"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(summary["verdict"], "fail");
    let expect = json!([{"check": "starvation", "recorded": "skip", "judged": "fail"}]);
    assert_eq!(summary["changes"], expect);
    let ended = stage.run(&["judge", which, "--check", "share:a,nosuch"]);
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(ended.stderr.contains("no group `nosuch`; groups: a"), "{ended:?}");
    assert_eq!(read(&record), before, "the record was changed");
    stage.assert_nothing_is_left();
}

#[test]
fn a_check_that_the_run_was_not_held_to_is_added() {
    let stage = Stage::new();
    let record = recorded(&stage, &SMALL);
    let arguments = [
        "judge",
        record.to_str().unwrap(),
        "--json",
        "--check",
        // In 300 ms a worker can have a CPU to itself while three share the other one: twice its due.
        "fair:a=100%",
    ];
    let (ended, summary) = stage.json(&arguments);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let expect = json!([{"check": "fair", "recorded": null, "judged": "pass"}]);
    assert_eq!(summary["changes"], expect);
}

#[test]
fn what_cannot_be_judged_is_an_error_that_says_why() {
    let stage = Stage::new();
    let place = stage.records.path().join("strange");
    fs::create_dir(&place).unwrap();
    let check = |arguments: &[&str], code: i32, expect: &str| {
        let ended = stage.run(arguments);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stderr.contains(expect), "no `{expect}` in {}", ended.stderr);
        assert_eq!(ended.stdout, "");
    };
    check(
        &["judge", "x", "--check", "starve=1s"],
        64,
        "unknown check `starve`; checks: `scheduler`, ",
    );
    check(
        &["judge", "x", "--check", "starvation=soon"],
        64,
        "the limit in `starvation=soon`",
    );
    for command in ["judge", "report"] {
        check(&[command], 64, "required");
        check(&[command, "abcdef"], 69, "there is no record `abcdef`");
        fs::write(place.join("record.json"), "no JSON").unwrap();
        check(
            &[command, "strange"],
            69,
            "strange/record.json is not part of a record",
        );
        fs::write(
            place.join("record.json"),
            r#"{"format": {"major": 0, "minor": 9}}"#,
        )
        .unwrap();
        check(
            &[command, "strange"],
            69,
            "has format 0.9, and this version reads ",
        );
    }
}
