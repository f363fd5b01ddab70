//! `report`: a record shown again, without a machine.

use std::path::PathBuf;

use crate::stage::{SMALL, STARVED, Stage, names_in};

#[test]
fn a_report_is_what_its_run_printed_and_exits_as_it_did() {
    let stage = Stage::new();
    let check = |arguments: &[&str], code: i32| {
        let run = stage.run(&[&["run", "--seed", "7"], arguments].concat());
        assert_eq!(run.code, Some(code), "{run:?}");
        let record = kept(&stage, &run.stdout);
        for which in [
            record.to_str().unwrap(),
            record.file_name().unwrap().to_str().unwrap(),
        ] {
            let report = stage.run(&["report", which]);
            assert_eq!(report.code, Some(code), "{report:?}");
            assert_eq!(report.stdout, run.stdout);
        }
    };
    check(&SMALL, 0);
    check(&STARVED, 1);
    stage.assert_nothing_is_left();
}

#[test]
fn the_json_of_a_report_is_that_of_its_run() {
    let stage = Stage::new();
    let (_, run) = stage.json(&[&["run", "--json"], &SMALL[..]].concat());
    let (ended, report) = stage.json(&["report", run["record_hash"].as_str().unwrap(), "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(report, run);
}

/// The record of the run that printed this: the beginning of its hash ends the line with the guest time.
fn kept(stage: &Stage, printed: &str) -> PathBuf {
    let last = |line: &str| line.split(' ').next_back().map(str::to_owned);
    let line = printed.lines().find(|line| line.starts_with("  guest time "));
    let hash = line.and_then(last).unwrap();
    let names = names_in(stage.records.path());
    let name = names.iter().find(|name| name.ends_with(&hash)).unwrap();
    stage.records.path().join(name)
}
