//! `report`: a record shown again, without a machine.

use crate::replay::recorded;
use crate::stage::{SMALL, STARVED, Stage};

#[test]
fn a_report_is_what_its_run_printed_and_exits_as_it_did() {
    let stage = Stage::new();
    let check = |arguments: &[&str], code: i32| {
        let run = stage.run(&[&["run", "--seed", "7"], arguments].concat());
        assert_eq!(run.code, Some(code), "{run:?}");
        let record = recorded(&stage, arguments);
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
