//! `run`: reports, JSON, exit codes.

use crate::stage::{SMALL, Stage};

#[test]
fn the_report_is_the_same_text_for_the_same_seed_and_another_for_another() {
    let stage = Stage::new();
    let seeded = |seed: &str| {
        let ended = stage.run(&[&["run", "--seed", seed], &SMALL[..]].concat());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let first = seeded("7");
    assert!(first.starts_with("PASS  run  (eevdf on "), "{first}");
    assert_eq!(first, seeded("7"));
    assert_ne!(first, seeded("8"));
    stage.assert_nothing_is_left();
}

#[test]
fn the_summary_has_the_promised_fields() {
    let stage = Stage::new();
    let (ended, summary) = stage.json(&[&["run", "--json", "--scheduler", "scx_baton"], &SMALL[..]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for field in [
        "verdict",
        "record_hash",
        "seed",
        "kernel",
        "topology",
        "scheduler",
        "guest_seconds",
        "host_seconds",
        "groups",
        "checks",
        "record",
    ] {
        assert!(!summary[field].is_null(), "no `{field}` in {}", ended.stdout);
    }
    assert_eq!(summary["verdict"], "pass");
    assert_eq!(summary["groups"][0]["workers"], 4);
}

#[test]
fn a_failed_run_exits_with_1_and_says_how_to_replay_it() {
    let stage = Stage::new();
    let wrong = ["--scheduler", "scx_baton --error-after 100", "--for", "2s"];
    let ended = stage.run(&[
        "run",
        "--topology",
        "1n1l2c1t",
        "--group",
        "a:spin:4",
        wrong[0],
        wrong[1],
        wrong[2],
        wrong[3],
    ]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.starts_with("FAIL  run"), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("replay exactly this run: cargo schedrig replay"),
        "{}",
        ended.stdout
    );
    // The kernel's exact version and the program's absolute path: the same run from anywhere, and next month.
    let (_, command) = ended.stdout.split_once("without its record: ").unwrap();
    let command = command.lines().next().unwrap();
    for part in [
        "cargo schedrig run",
        "--kernel apt:sid=7.",
        "--scheduler '/",
        "/scx_baton --error-after 100'",
    ] {
        assert!(command.contains(part), "{part} in {command}");
    }
}

#[test]
fn a_repeated_run_is_one_execution_and_one_record() {
    let stage = Stage::new();
    let repeated = stage.run(&[&["run", "--repeat", "3"], &SMALL[..]].concat());
    assert_eq!(repeated.code, Some(0), "{repeated:?}");
    assert!(repeated.stderr.contains("3 runs, one execution"), "{repeated:?}");
    let (ended, summary) = stage.json(&[&["run", "--repeat", "3", "--json"], &SMALL[..]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let [record] = &stage.record_names()[..] else {
        panic!("not one record: {:?}", stage.record_names());
    };
    assert_eq!(summary["record_hash"], stage.record(record).hash.as_str());
    let once = stage.run(&[&["run"], &SMALL[..]].concat());
    assert_eq!(once.stdout, repeated.stdout, "repeating changed the report");
    stage.assert_nothing_is_left();
}

/// `SCHEDRIG_TEST_BPFLAND` names a `scx_bpfland` from crates.io; `cargo xtask test` installs one and sets it.
#[test]
fn a_scheduler_from_crates_io_runs_unmodified_and_its_log_is_in_the_record() {
    let Ok(program) = std::env::var("SCHEDRIG_TEST_BPFLAND") else {
        println!("skipped: SCHEDRIG_TEST_BPFLAND names no scx_bpfland; `cargo xtask test` installs one");
        return;
    };
    let stage = Stage::new();
    let arguments = [
        "--topology",
        "1n2l2c1t",
        "--scheduler",
        &program,
        "--group",
        "a:spin:4@llc0",
        "--group",
        "b:burst:4@llc1",
    ];
    let ended = stage.run(&[&["run", "--for", "1s", "--json"], &arguments[..]].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let summary: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let place = std::path::Path::new(summary["record"].as_str().unwrap());
    let log = std::fs::read_to_string(place.join("scheduler.log")).unwrap();
    assert!(log.contains("scx_bpfland"), "{log}");
    let console = std::fs::read_to_string(place.join("console.log")).unwrap();
    assert!(
        console.contains("sched_ext: BPF scheduler \"bpfland"),
        "{console}"
    );
}

#[test]
fn doctor_and_the_kernel_list_know_this_machine() {
    let stage = Stage::new();
    let doctor = stage.run(&["doctor", "--json"]);
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    let findings: serde_json::Value = serde_json::from_str(&doctor.stdout).unwrap();
    assert!(
        findings
            .as_array()
            .unwrap()
            .iter()
            .any(|finding| finding["what"] == "tcg" && finding["ok"] == true)
    );
    assert_eq!(stage.run(&["kernel", "fetch", "--if-missing"]).code, Some(0));
    let list = stage.run(&["kernel", "list", "--json"]);
    let entries: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    assert!(
        entries
            .as_array()
            .unwrap()
            .iter()
            .any(|entry| entry["requests"].to_string().contains("apt:sid")),
        "{list:?}"
    );
}
