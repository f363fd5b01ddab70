//! Scenarios' files: the same as flags, and what is said about mistakes.

use std::fs;

use crate::stage::Stage;

/// What `FLAGS` means.
const FILE: &str = r#"
[machine]
topology = "1n1l2c1t"

[scheduler]
run = "scx_baton"

[[groups]]
name = "a"
weight = 200
workers = [{ work = "spin", count = 2 }, { work = "burst/1ms/500us/30%", count = 2, nice = 3 }]

[[steps]]
do = ["note by a-step", "offline 1"]
run = "200ms"

[verdict]
checks = ["fair:a=40%"]
"#;

const FLAGS: &[&str] = &[
    "--topology",
    "1n1l2c1t",
    "--scheduler",
    "scx_baton",
    "--group",
    "a:spin:2,weight=200",
    "--group",
    "a:burst/1ms/500us/30%:2,weight=200,nice=3",
    "--op",
    "note by a-step",
    "--op",
    "offline 1",
    "--for",
    "200ms",
    "--fair",
    "40",
];

fn hash(summary: &str) -> String {
    let summary: serde_json::Value = serde_json::from_str(summary).unwrap();
    summary["record_hash"].as_str().unwrap().to_owned()
}

#[test]
fn a_file_and_the_flags_that_mean_it_are_one_execution() {
    let stage = Stage::new();
    let file = stage.temporary.path().join("one.rig.toml");
    fs::write(&file, FILE).unwrap();
    let file = file.display().to_string();
    let by_file = stage.run(&["run", &file, "--json", "--seed", "5"]);
    let by_flags = stage.run(&[&["run", "--json", "--seed", "5"], FLAGS].concat());
    assert_eq!(
        by_file.code, by_flags.code,
        "{}{}",
        by_file.stderr, by_flags.stderr
    );
    assert_eq!(hash(&by_file.stdout), hash(&by_flags.stdout));

    // What is shown of the flags is a file of the same execution, and what replaces the file's word does.
    let shown = stage.run(&[&["show"], FLAGS].concat());
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    let other = stage.temporary.path().join("other.rig.toml");
    fs::write(&other, &shown.stdout).unwrap();
    let other = other.display().to_string();
    let again = stage.run(&["run", &other, "--json", "--seed", "5"]);
    assert_eq!(hash(&again.stdout), hash(&by_file.stdout));
    let replaced = stage.run(&["run", &other, "--json", "--seed", "5", "--scheduler", "eevdf"]);
    assert!(replaced.stdout.contains("eevdf"), "{}", replaced.stdout);
    assert_ne!(hash(&replaced.stdout), hash(&by_file.stdout));
}

#[test]
fn a_replay_command_names_the_file_from_everywhere() {
    let stage = Stage::new();
    fs::write(
        stage.temporary.path().join("one.rig.toml"),
        FILE.replace("scx_baton", "eevdf"),
    )
    .unwrap();
    let mut command = stage.command(&["run", "one.rig.toml"]);
    let ran = command.current_dir(stage.temporary.path()).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.code().is_some_and(|code| code <= 2),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    let record = stage.record(&stage.record_names()[0]);
    let command = &record.host.replay;
    assert!(
        command.contains(&format!("{}/one.rig.toml", stage.temporary.path().display())),
        "{command}\n{said}"
    );
}

#[test]
fn what_is_wrong_with_a_file_is_said_before_a_machine_starts() {
    let stage = Stage::new();
    let file = stage.temporary.path().join("wrong.rig.toml");
    let path = file.display().to_string();
    for (right, wrong, said) in [
        ("topology", "topologie", ":3:1: unknown field `topologie`"),
        ("offline 1", "offline 9", "has no CPU 9"),
        ("[verdict]", "[verdict", "unclosed table"),
    ] {
        fs::write(&file, FILE.replace(right, wrong)).unwrap();
        for command in ["run", "check"] {
            let ended = stage.run(&[command, &path]);
            assert_eq!(ended.code, Some(64), "{}", ended.stderr);
            assert!(
                ended.stderr.contains(said) && ended.stderr.contains(&path),
                "{}",
                ended.stderr
            );
        }
    }
    for name in ["nowhere.rig.toml", "shers"] {
        let ended = stage.run(&["run", name]);
        assert_eq!(ended.code, Some(64), "{}", ended.stderr);
        assert!(ended.stderr.contains(name), "{}", ended.stderr);
    }
    let both = stage.run(&["run", "shares", "--group", "a:spin:1"]);
    assert_eq!(both.code, Some(64), "{}", both.stderr);
    let neither = stage.run(&["run"]);
    assert_eq!(neither.code, Some(64), "{}", neither.stderr);
}

#[test]
fn a_new_file_is_a_scenario_and_replaces_none() {
    let stage = Stage::new();
    let directory = stage.temporary.path();
    let run = |arguments: &[&str]| {
        let output = stage.command(arguments).current_dir(directory).output().unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    assert_eq!(run(&["new", "mine"]).0, Some(0));
    assert_eq!(run(&["check", "mine.rig.toml"]).0, Some(0));
    let before = fs::read(directory.join("mine.rig.toml")).unwrap();
    let (code, said) = run(&["new", "mine"]);
    assert_eq!(code, Some(64), "{said}");
    assert_eq!(fs::read(directory.join("mine.rig.toml")).unwrap(), before);
    for canned in ["hotplug", "quota", "shares", "wakeups"] {
        assert_eq!(run(&["show", canned, "--as", "rust"]).0, Some(0), "{canned}");
    }
    let listed = stage.run(&["list", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert!(listed.as_array().unwrap().len() >= 4);
}

/// The workers run under EEVDF, then the scheduler is attached by a step; its record is replayed.
#[test]
fn a_step_attaches_the_scheduler() {
    let stage = Stage::new();
    let file = stage.temporary.path().join("step.rig.toml");
    let text = r#"
        [scheduler]
        run = "scx_baton"
        attach = "step"
        [[groups]]
        name = "a"
        workers = [{ work = "spin", count = 3 }]
        [[steps]]
        run = "100ms"
        [[steps]]
        attach = true
        run = "100ms"
    "#;
    fs::write(&file, text).unwrap();
    let ran = stage.run(&["run", &file.display().to_string(), "--json"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let record = stage.record(&stage.record_names()[0]);
    let under: Vec<bool> = record
        .evidence
        .windows
        .iter()
        .map(|window| window.under_scheduler)
        .collect();
    assert_eq!(under, [false, true]);
    let replayed = stage.run(&["replay", record.hash.short()]);
    assert_eq!(replayed.code, Some(0), "{}{}", replayed.stdout, replayed.stderr);
}
