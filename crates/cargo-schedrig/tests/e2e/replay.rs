//! `replay`: the same execution again, or what stands in its way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use record::{Record, Verdict};
use serde_json::Value;
use tempfile::TempDir;

use crate::stage::{Ended, SMALL, STARVED, Stage};

/// Makes a run and returns its record's directory.
pub(crate) fn recorded(stage: &Stage, arguments: &[&str]) -> PathBuf {
    let (_, summary) = stage.json(&[&["run", "--seed", "7", "--json"], arguments].concat());
    PathBuf::from(summary["record"].as_str().unwrap())
}

fn replay(stage: &Stage, record: &Path, options: &[&str]) -> Ended {
    stage.run(&[&["replay", record.to_str().unwrap()], options].concat())
}

/// A copy of a record, changed, with the hash that it had.
fn tampered(stage: &Stage, record: &Path, change: impl FnOnce(&mut Record)) -> PathBuf {
    let mut record = record::load(record).unwrap();
    change(&mut record);
    record.plan.name = "tampered".to_owned();
    record::save(&record, stage.records.path()).unwrap()
}

pub(crate) fn read(record: &Path) -> Record {
    record::load(record).unwrap()
}

fn assert_identical(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.starts_with("identical: the same execution, record "),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_record_is_found_by_directory_name_and_hash_and_replays_identically() {
    let stage = Stage::new();
    let record = recorded(&stage, &SMALL);
    let name = record.file_name().unwrap().to_str().unwrap();
    let hash = read(&record).hash.to_string();
    let by_directory = replay(&stage, &record, &[]);
    assert_identical(&by_directory);
    assert!(by_directory.stdout.contains(&hash[..12]), "{by_directory:?}");
    for which in [name, &hash[..6]] {
        assert_identical(&stage.run(&["replay", which]));
    }
    let (ended, json) = stage.json(&["replay", &hash, "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(json["identical"], true);
    assert_eq!(json["difference"], Value::Null);
    assert_eq!(json["verdict"], "pass");
    assert_eq!(json["recorded_hash"], hash);
    assert_eq!(json["record_hash"], hash);
    assert_eq!(stage.record_names(), [name], "a replay keeps no second record");
    stage.assert_nothing_is_left();
}

#[test]
fn a_record_of_something_else_is_different_and_the_first_difference_is_named() {
    let stage = Stage::new();
    let record = recorded(&stage, &SMALL);
    let original = read(&record);
    let units = original.evidence.windows[0].workers[1].work_units;
    let tampered = tampered(&stage, &record, |record| {
        record.evidence.windows[0].workers[1].work_units = units + 1;
    });
    let text = replay(&stage, &tampered, &[]);
    assert_eq!(text.code, Some(1), "{text:?}");
    assert!(text.stdout.starts_with("DIFFERENT: "), "{}", text.stdout);
    let named = format!("work_units: recorded {}, replayed {units}", units + 1);
    for expect in ["first difference: window 0 at ", ": a/1 (pid ", &named] {
        assert!(text.stdout.contains(expect), "no `{expect}` in {}", text.stdout);
    }
    let (ended, json) = stage.json(&["replay", tampered.to_str().unwrap(), "--json"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(json["identical"], false);
    assert_eq!(json["difference"]["channel"], "window");
    assert_eq!(json["difference"]["number"], 0);
    assert_eq!(json["difference"]["recorded"], (units + 1).to_string());
    assert_eq!(json["record"], Value::Null, "the changed record is left as it is");
    assert!(
        text.stdout.contains("was changed after it was made"),
        "{}",
        text.stdout
    );
    assert_eq!(json["difference"]["replayed"], units.to_string());
    assert_eq!(json["record_hash"], original.hash.as_str());
    stage.assert_nothing_is_left();
}

#[test]
fn a_failed_run_that_fails_the_same_way_again_is_identical() {
    let stage = Stage::new();
    let record = recorded(&stage, &STARVED);
    assert_eq!(read(&record).verdict(), Verdict::Fail);
    let replayed = replay(&stage, &record, &[]);
    assert_identical(&replayed);
    assert!(replayed.stdout.contains("\n  FAIL  run"), "{}", replayed.stdout);
    stage.assert_nothing_is_left();
}

#[test]
fn a_record_of_another_qemu_is_refused_unless_told_to_go_on() {
    let stage = Stage::new();
    let record = recorded(&stage, &SMALL);
    let here = read(&record).replay_inputs.unwrap().manifest.executor;
    let other = tampered(&stage, &record, |record| {
        record.replay_inputs.as_mut().unwrap().manifest.executor = "9.9.9 (from elsewhere)".to_owned();
    });
    let refused = replay(&stage, &other, &[]);
    assert_eq!(refused.code, Some(69), "{refused:?}");
    let named = format!("executor: recorded 9.9.9 (from elsewhere), here {here}");
    for expect in [&named, "--anyway"] {
        assert!(
            refused.stderr.contains(expect),
            "no `{expect}` in {}",
            refused.stderr
        );
    }
    assert_identical(&replay(&stage, &other, &["--anyway"]));
    stage.assert_nothing_is_left();
}

#[test]
fn what_is_no_record_to_be_replayed_is_an_error_that_says_why() {
    let stage = Stage::new();
    let check = |which: &str, expect: &[&str]| {
        let ended = stage.run(&["replay", which]);
        assert_eq!(ended.code, Some(69), "{ended:?}");
        for expect in expect {
            assert!(ended.stderr.contains(expect), "no `{expect}` in {}", ended.stderr);
        }
    };
    let records = stage.records.path().display().to_string();
    let advice = "its directory, its name or the beginning of its hash";
    check("abcdef", &["there is no record `abcdef`", &records, advice]);
    check("/no/such/directory", &["/no/such/directory", advice]);
    check("", &[advice]);

    let place = stage.records.path().join("strange");
    fs::create_dir(&place).unwrap();
    let write = |text: &str| fs::write(place.join("record.json"), text).unwrap();
    write("no JSON");
    check("strange", &["strange/record.json is not part of a record"]);
    write(r#"{"format": {"major": 9, "minor": 0}}"#);
    check("strange", &["has format 9.0, and this version reads 1.x and 2.x"]);
    fs::remove_dir_all(place).unwrap();

    let record = recorded(&stage, &SMALL);
    let without = tampered(&stage, &record, |record| record.replay_inputs = None);
    check(without.to_str().unwrap(), &["made by an older version"]);
    fs::write(without.join("evidence.json"), "{}").unwrap();
    check(
        without.to_str().unwrap(),
        &[
            "tampered-",
            "evidence.json has 2 bytes and had ",
            "make the run again",
        ],
    );
    let hash = read(&record).hash.to_string();
    // Of two records of one execution either will do.
    assert_identical(&stage.run(&["replay", &hash[..12]]));
    let other = stage.records.path().join(format!("other-{}00000000", &hash[..4]));
    fs::create_dir(&other).unwrap();
    fs::copy(record.join("record.json"), other.join("record.json")).unwrap();
    check(&hash[..4], &["can be several records", "give more of the hash"]);
}

/// A copy of the scheduler of the workspace.
fn copy_of_scx_baton(path: &Path) {
    let program = Path::new(env!("CARGO_BIN_EXE_cargo-schedrig")).with_file_name("scx_baton");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::copy(program, path).unwrap();
}

fn under(program: &Path) -> Vec<&str> {
    [&SMALL[..], &["--scheduler", program.to_str().unwrap()]].concat()
}

#[test]
fn a_scheduler_that_was_built_anew_is_refused_with_both_checksums() {
    let (stage, place) = (Stage::new(), TempDir::new().unwrap());
    let program = place.path().join("scx_baton");
    copy_of_scx_baton(&program);
    let record = recorded(&stage, &under(&program));
    let then = sha256(&program);
    let mut bytes = fs::read(&program).unwrap();
    bytes.push(0);
    fs::write(&program, bytes).unwrap();
    let refused = replay(&stage, &record, &[]);
    assert_eq!(refused.code, Some(69), "{refused:?}");
    for expect in [program.to_str().unwrap(), &then, &sha256(&program)] {
        assert!(
            refused.stderr.contains(expect),
            "no `{expect}` in {}",
            refused.stderr
        );
    }
    stage.assert_nothing_is_left();
}

#[test]
fn a_scheduler_that_was_moved_replays_identically_from_its_new_place() {
    moved_to("elsewhere/scx_baton");
}

#[test]
fn a_scheduler_that_was_renamed_replays_identically() {
    moved_to("scx_baton-of-monday");
}

fn moved_to(name: &str) {
    let (stage, place) = (Stage::new(), TempDir::new().unwrap());
    let program = place.path().join("scx_baton");
    copy_of_scx_baton(&program);
    let record = recorded(&stage, &under(&program));
    let moved = place.path().join(name);
    copy_of_scx_baton(&moved);
    // Whoever takes the recorded path is found out.
    fs::write(&program, "not a program").unwrap();
    assert_identical(&replay(
        &stage,
        &record,
        &["--scheduler", moved.to_str().unwrap()],
    ));
    stage.assert_nothing_is_left();
}

fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}
