//! `inspect` and `run --at`: the guest's kernel, as it was in a run, or as it is in one in progress.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use record::Record;
use serde_json::Value;

use crate::stage::{SMALL, Stage, ended};

fn hash(stage: &Stage, arguments: &[&str]) -> (String, Record) {
    let (ended, summary) = stage.json(&[&["run", "--seed", "7", "--json"], arguments].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(summary["verdict"], "pass", "{ended:?}");
    let record = record::load(Path::new(summary["record"].as_str().unwrap())).unwrap();
    (record.hash.to_string(), record)
}

#[test]
fn a_look_during_a_run_changes_nothing_and_is_the_same_when_the_record_is_asked() {
    let stage = Stage::new();
    let scheduler = ["--scheduler", "scx_baton"];
    let plain = [&SMALL[..], &scheduler].concat();
    let queries = ["--at", "100ms", "inspect", "rq", "dsq"];
    let (blind, record) = hash(&stage, &plain);
    assert_eq!(record.observations, []);
    let unseen = record.series;
    let (seeing, record) = hash(&stage, &[&plain[..], &queries].concat());
    assert_eq!(blind, seeing, "looking changed the execution");
    assert_eq!(
        unseen, record.series,
        "looking changed what the monitor sampled, and so what is judged"
    );
    let observations = serde_json::to_value(&record.observations).unwrap();
    let observations = observations.as_array().unwrap();
    let asked: Vec<_> = observations
        .iter()
        .map(|one| one["asked"].as_str().unwrap())
        .collect();
    assert_eq!(asked, ["rq", "dsq"]);
    let cpus = observations[0]["seen"]["cpus"].as_array().unwrap();
    assert_eq!(cpus.len(), 2, "{cpus:?}");
    assert!(
        cpus.iter()
            .all(|cpu| cpu["curr"].as_str().unwrap().starts_with("a/")),
        "{cpus:?}"
    );
    assert_eq!(observations[1]["seen"]["schedulers"][0]["name"], "baton");

    // Two queries at two times, in one replay.
    let times = ["--at", "200ms", "--at", "100ms"];
    let (ended, again) = stage.json(&[&["inspect", &blind, "--json", "rq", "dsq"][..], &times].concat());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let again = again.as_array().unwrap();
    assert_eq!(again.len(), 4);
    assert_eq!(
        again[..2],
        observations[..],
        "the same instant of the same execution"
    );
    assert_ne!(again[0]["at"], again[2]["at"]);

    let ended = stage.run(&["inspect", &blind, "--at", "400ms", "rq"]);
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(
        ended.stderr.contains("--at 400ms: the workers ran for 3"),
        "{ended:?}"
    );
    stage.assert_nothing_is_left();
}

/// Without a query: a prompt, here fed by a pipe, while the guest stands still. The run goes on after it as it did.
#[test]
fn a_prompt_asks_the_guest_that_stands_still() {
    let stage = Stage::new();
    let (hash, _) = hash(&stage, &SMALL);
    let mut prompt = stage.command(&["inspect", &hash, "--at", "100ms"]);
    let mut prompt = prompt.stdin(Stdio::piped()).spawn().unwrap();
    let questions = b"get jiffies_64\nnonsense\nrq 0 rq 1\nget jiffies_64\n";
    prompt.stdin.take().unwrap().write_all(questions).unwrap();
    let ended = ended(&prompt.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("the guest stands still at [ "), "{ended:?}");
    assert!(ended.stderr.contains("unknown query 'nonsense'"), "{ended:?}");
    let ticks: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| line.starts_with("value"))
        .collect();
    assert!(ticks.len() == 2 && ticks[0] == ticks[1], "{ended:?}");
    assert!(ended.stdout.contains("rq 1 at"), "{ended:?}");
    stage.assert_nothing_is_left();
}

#[test]
fn what_cannot_be_answered_says_why_and_fails() {
    let stage = Stage::new();
    let (hash, _) = hash(&stage, &SMALL);
    let ended = stage.run(&["inspect", &hash, "rq", "9"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.stderr.contains("CPU 9 has no per-CPU area"), "{ended:?}");
    let ended = stage.run(&["inspect", &hash, "get", "no_such_thing"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.stderr.contains("no_such_thing"), "{ended:?}");
    let ended = stage.run(&["inspect", &hash, "everything"]);
    assert_eq!(ended.code, Some(64), "{ended:?}");
    assert!(
        ended.stderr.contains("unknown query 'everything'; queries: "),
        "{ended:?}"
    );
    let ended = stage.run(&["inspect", "pid:1", "rq"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(
        ended.stderr.contains("process 1 executes no machine of this rig"),
        "{ended:?}"
    );
}

#[test]
fn a_run_in_progress_is_asked_as_it_runs() {
    let stage = Stage::new();
    let arguments = [
        "run",
        "--topology",
        "1n1l2c1t",
        "--group",
        "a:spin:4",
        "--for",
        "20s",
    ];
    let mut run = stage.command(&arguments).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    let seen = loop {
        let qemu = qemu_of(run.id());
        let ended = qemu.map(|pid| stage.run(&["inspect", &format!("pid:{pid}"), "--json", "rq"]));
        match ended.map(|ended| serde_json::from_str::<Value>(&ended.stdout)) {
            // Until the workers run, there is something else to see.
            Some(Ok(seen)) if seen.to_string().contains("\"a/") => break seen,
            _ if Instant::now() > deadline => panic!("nothing was seen"),
            _ => thread::sleep(Duration::from_millis(100)),
        }
    };
    assert_eq!(seen[0]["seen"]["cpus"].as_array().unwrap().len(), 2, "{seen}");
    run.kill().unwrap();
    run.wait().unwrap();
    stage.assert_nothing_is_left();
}

/// The child that is a QEMU.
fn qemu_of(parent: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
    let mut qemus = pids.filter(|pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.starts_with("qemu"))
    });
    qemus.next()
}
