//! `sweep`: many seeds, what is found in them, and how it ends before its time.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use record::{Record, Verdict};
use serde_json::Value;

use crate::stage::{SMALL, STARVED, Stage, ended, kill, signal, wait_until};

/// More than anybody waits for.
const ENDLESS: &str = "0..1000000";

fn sweep<'a>(options: &[&'a str], run: &[&'a str]) -> Vec<&'a str> {
    [&["sweep"], options, &["--"], run].concat()
}

#[test]
fn a_sweep_runs_every_seed_once_and_shows_how_the_numbers_are_spread() {
    let stage = Stage::new();
    let (ended, json) = stage.json(&sweep(&["--seeds", "0..6", "--keep-all", "--json"], &SMALL));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(json["verdict"], "pass");
    assert_eq!(json["verdicts"]["pass"], 6);
    assert_eq!((&json["runs"], &json["planned"]), (&6.into(), &6.into()));
    assert_eq!(json["findings"], Value::Array(Vec::new()));
    assert_eq!(json["interrupted"], false);

    let names = stage.record_names();
    let records: Vec<Record> = names.iter().map(|name| stage.record(name)).collect();
    assert!(records.iter().all(|record| record.verdict() == Verdict::Pass));
    let hashes: BTreeSet<&str> = records.iter().map(|record| record.hash.as_str()).collect();
    assert_eq!(hashes.len(), 6, "other seeds are other executions: {hashes:?}");
    let mut by_seed: Vec<(u64, u64)> = records
        .iter()
        .map(|record| (record.plan.seed, migrations(record)))
        .collect();
    by_seed.sort_unstable();
    assert!(by_seed.iter().map(|(seed, _)| *seed).eq(0..6), "{by_seed:?}");

    let metrics = json["metrics"].as_array().unwrap();
    let expected = [
        "on_cpu_seconds",
        "share",
        "run_delay_seconds",
        "migrations",
        "longest_gap_seconds",
        "worker_spread",
    ];
    let shown: Vec<&str> = metrics.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(shown, expected.map(|name| format!("a.{name}")));
    for row in metrics {
        let [min, median, max] = ["min", "median", "max"].map(|field| row[field].as_f64().unwrap());
        assert!(min <= median && median <= max, "{row}");
        assert_eq!(row["runs"], 6, "{row}");
    }
    // Against the records: the extremes, and the lowest seeds that gave them.
    let least = by_seed
        .iter()
        .min_by_key(|(seed, count)| (*count, *seed))
        .unwrap();
    let most = by_seed
        .iter()
        .max_by_key(|(seed, count)| (*count, u64::MAX - seed))
        .unwrap();
    let row = &metrics[3];
    let of = |value: &str, seed: &str| (row[seed].as_u64().unwrap(), row[value].as_f64().unwrap() as u64);
    assert_eq!(of("min", "min_seed"), *least, "{row}");
    assert_eq!(of("max", "max_seed"), *most, "{row}");
    stage.assert_nothing_is_left();
}

fn migrations(record: &Record) -> u64 {
    let windows = record.evidence.windows.iter();
    let workers = windows.flat_map(|window| &window.workers);
    workers.map(|worker| worker.migrations).sum()
}

#[test]
fn the_text_of_a_sweep_does_not_depend_on_how_many_jobs_there_are() {
    let stage = Stage::new();
    let with_jobs = |jobs: &str| {
        let ended = stage.run(&sweep(&["--seeds", "0..4", "--jobs", jobs], &SMALL));
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let one = with_jobs("1");
    assert!(one.contains("seeds 0..4: 4 runs, 4 passed, 0 failed"), "{one}");
    assert_eq!(one, with_jobs("2"));
    assert_eq!(one, with_jobs("2"));
    assert_eq!(stage.record_names(), [""; 0], "runs that passed are not kept");
    stage.assert_nothing_is_left();
}

#[test]
fn what_a_sweep_finds_is_found_again_by_the_command_it_prints() {
    let stage = Stage::new();
    let (swept, json) = stage.json(&sweep(&["--seeds", "3..5", "--json"], &STARVED));
    assert_eq!(swept.code, Some(1), "{swept:?}");
    assert_eq!(json["verdict"], "fail");
    let findings = json["findings"].as_array().unwrap();
    let seeds: Vec<&Value> = findings.iter().map(|finding| &finding["seed"]).collect();
    assert_eq!(seeds, [3, 4]);
    let kept: BTreeSet<String> = stage.record_names().into_iter().collect();
    assert_eq!(kept.len(), 2, "runs that failed are kept: {kept:?}");

    let text = stage.run(&sweep(&["--seeds", "3"], &STARVED));
    assert_eq!(text.code, Some(1), "{text:?}");
    assert!(text.stdout.starts_with("FAIL  run"), "{}", text.stdout);
    assert!(
        text.stdout.contains("FAIL seed 3  starvation: "),
        "{}",
        text.stdout
    );
    let (_, command) = text.stdout.split_once("without its record: ").unwrap();
    let command = command.lines().next().unwrap();
    assert_eq!(findings[0]["replay"], command);

    let again = as_the_shell_reads_it(&stage, command);
    assert_eq!(again.code, Some(1), "{again:?}");
    let summary: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(summary["record_hash"], findings[0]["record_hash"]);
    assert_eq!(summary["seed"], 3);
    stage.assert_nothing_is_left();
}

/// Runs a printed command line, for its summary.
fn as_the_shell_reads_it(stage: &Stage, line: &str) -> crate::stage::Ended {
    let arguments = line.strip_prefix("cargo schedrig ").unwrap();
    let template = stage.command(&[]);
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("\"$0\" schedrig {arguments} --json")])
        .arg(template.get_program());
    for (name, value) in template.get_envs() {
        shell.env(name, value.unwrap());
    }
    ended(&shell.output().unwrap())
}

#[test]
fn a_sweep_told_to_stop_begins_no_more_runs_after_the_first_that_fails() {
    let stage = Stage::new();
    let (ended, json) = stage.json(&sweep(
        &["--seeds", "0..50", "--jobs", "2", "--stop", "--json"],
        &STARVED,
    ));
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(json["planned"], 50);
    assert_eq!(json["interrupted"], false);
    let runs = json["runs"].as_u64().unwrap();
    assert!(
        (1..=2).contains(&runs),
        "each of the two jobs had begun one: {runs}"
    );
    stage.assert_no_machine_is_left();
}

#[test]
fn a_sweep_with_wrong_usage_exits_with_64_and_says_what_is_right() {
    let stage = Stage::new();
    let check = |arguments: &[&str], expect: &str| {
        let ended = stage.run(arguments);
        assert_eq!(ended.code, Some(64), "{ended:?}");
        assert!(ended.stderr.contains(expect), "{arguments:?}: {}", ended.stderr);
    };
    let seeds = ["--seeds", "0..2"];
    let small = |more: &[&'static str]| [&SMALL[..], more].concat();
    check(&sweep(&["--seeds", "9..3"], &SMALL), "`0..200` (without 200)");
    check(&sweep(&[], &SMALL), "--seeds");
    check(
        &sweep(&seeds, &small(&["--seed", "4"])),
        "`--seeds` before the `--`",
    );
    check(&sweep(&seeds, &small(&["--json"])), "`--json` before the `--`");
    check(&sweep(&seeds, &small(&["--repeat", "2"])), "`--repeat`");
    check(&sweep(&seeds, &small(&["--colour", "red"])), "--colour");
    check(&sweep(&seeds, &["--group", "a:dance:1"]), "dance");
    check(&sweep(&seeds, &["--topology", "1n1l2c1t"]), "--group");
    check(&sweep(&seeds, &["--group", "a:spin:1@llc7"]), "has no LLC 7");
    check(&sweep(&["--seeds", "0..2", "--jobs", "0"], &SMALL), "--jobs");
    check(&["sweep", "--seeds", "0..2"], "RUN ARGUMENTS");
    check(
        &[&["sweep", "--seeds", "0..2"], &SMALL[..]].concat(),
        "--topology",
    );
    assert_eq!(stage.record_names(), [""; 0]);
}

#[test]
fn ctrl_c_prints_what_is_known_and_leaves_no_machine() {
    let stage = Stage::new();
    // A terminal sends it to the whole group of processes.
    let child = stage
        .command(&sweep(&["--seeds", ENDLESS, "--keep-all"], &SMALL))
        .process_group(0)
        .spawn()
        .unwrap();
    wait_until("two runs", || stage.record_names().len() >= 2);
    wait_until("a machine", || !stage.machines().is_empty());
    let interrupted = Instant::now();
    signal("INT", &format!("-{}", child.id()));
    let ended = ended(&child.wait_with_output().unwrap());
    let took = interrupted.elapsed();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    let (_, counts) = ended.stdout.split_once(&format!("seeds {ENDLESS}: ")).unwrap();
    let (runs, rest) = counts.split_once(' ').unwrap();
    let runs: usize = runs.parse().unwrap();
    // A record is there before its run is counted, so each of the jobs may have one more.
    let (records, jobs) = (stage.record_names().len(), jobs());
    assert!(
        runs >= 1 && runs <= records && records <= runs + jobs,
        "{runs} runs, {records} records"
    );
    assert!(
        rest.starts_with(&format!("of 1000000 runs, {runs} passed, 0 failed")),
        "{rest}"
    );
    assert!(rest.contains("a.on_cpu"), "{rest}");
    stage.assert_no_machine_is_left();
}

fn jobs() -> usize {
    std::thread::available_parallelism().unwrap().get()
}

#[test]
fn a_sweep_that_is_killed_takes_its_machines_with_it() {
    let stage = Stage::new();
    let mut child = stage.start(&sweep(&["--seeds", ENDLESS, "--keep-all"], &SMALL));
    wait_until("a run", || !stage.record_names().is_empty());
    wait_until("a machine", || !stage.machines().is_empty());
    kill(child.id());
    child.wait().unwrap();
    stage.assert_no_machine_is_left();
}

#[test]
fn seeds_that_enter_after_the_ops_have_what_comes_before_in_common() {
    let stage = Stage::new();
    let late = [
        &["sweep", "--seeds", "3..5", "--keep-all", "--json", "--"],
        &SMALL[..],
        &["--seed-after", "ops"],
    ]
    .concat();
    let (swept, json) = stage.json(&late);
    assert_eq!(swept.code, Some(0), "{swept:?}");
    assert_eq!(json["verdict"], "pass", "{json}");
    let records: Vec<_> = stage
        .record_names()
        .iter()
        .map(|name| stage.record(name))
        .collect();
    assert_eq!(records.len(), 2);
    let seeds: BTreeSet<String> = records
        .iter()
        .map(|record| {
            record
                .replay_inputs
                .as_ref()
                .unwrap()
                .script
                .iter()
                .find(|op| op.name() == "seed")
                .unwrap()
                .to_string()
        })
        .collect();
    assert_eq!(
        seeds.iter().map(String::as_str).collect::<Vec<_>>(),
        ["seed 3", "seed 4"]
    );
    let spawned = |record: &Record| {
        let events = record.evidence.events.iter();
        events
            .filter(|event| matches!(event.what, record::EventKind::Spawned { .. }))
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(spawned(&records[0]), spawned(&records[1]));
    assert_ne!(records[0].hash, records[1].hash);
    let again = stage.run(&["replay", &stage.record_names()[0]]);
    assert_eq!(again.code, Some(0), "{again:?}");
    stage.assert_nothing_is_left();
}
