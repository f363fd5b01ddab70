//! `records`: what is kept, shown and removed.

use crate::stage::{SMALL, Stage};

#[test]
fn records_are_listed_shown_and_removed() {
    let stage = Stage::new();
    let ended = stage.run(&["records", "list"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("no records are in "), "{ended:?}");
    let (run, summary) = stage.json(&[&["run", "--json"], &SMALL[..]].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    let hash = &summary["record_hash"].as_str().unwrap()[..12];

    let (_, listed) = stage.json(&["records", "list", "--json"]);
    assert_eq!(listed[0]["name"], format!("run-{hash}"));
    assert_eq!(listed[0]["about"]["verdict"], "pass");
    let text = stage.run(&["records", "list"]).stdout;
    assert!(
        text.contains("PASS") && text.contains("1n1l2c1t, seed 1"),
        "{text}"
    );
    let shown = stage.run(&["records", "show", hash]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in [
        "evidence.json",
        "console.log",
        &format!("replay {hash}"),
        "run --topology",
    ] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }

    let ended = stage.run(&["records", "rm", "0000"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert_eq!(stage.run(&["records", "rm"]).code, Some(64));
    let ended = stage.run(&["records", "rm", hash]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(stage.record_names(), [""; 0]);
    stage.assert_nothing_is_left();
}
