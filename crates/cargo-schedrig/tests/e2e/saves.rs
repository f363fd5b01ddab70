//! Saved machines: made once, listed, removed, bounded, and never half there.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use serde_json::Value;

use crate::stage::{Ended, SmallDisk, Stage, ended, kill, names_in, qemu_of, signal, wait_until};

/// The machine that boots fastest.
const TINY: [&str; 9] = [
    "run",
    "--topology",
    "1n1l1c1t",
    "--memory",
    "256",
    "--group",
    "a:spin:1",
    "--for",
    "100ms",
];

fn own(stage: &Stage) -> &Path {
    stage.saves.as_ref().unwrap().path()
}

fn listed(stage: &Stage) -> Vec<Value> {
    let (ended, list) = stage.json(&["saves", "list", "--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    list.as_array().unwrap().clone()
}

/// As in a home that is read-only: the run is made all the same, from a machine that is booted for it alone.
#[test]
fn a_cache_that_cannot_be_written_to_costs_a_boot_and_no_verdict() {
    let stage = Stage::new();
    let cache = tempfile::tempdir().unwrap();
    let own = cache.path().join("schedrig");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("saves"), "no directory").unwrap();
    let users = match std::env::var_os("XDG_CACHE_HOME") {
        Some(directory) => directory.into(),
        None => Path::new(&std::env::var_os("HOME").unwrap()).join(".cache"),
    };
    std::os::unix::fs::symlink(users.join("schedrig/kernels"), own.join("kernels")).unwrap();
    let mut run = stage.command(&TINY);
    run.env("XDG_CACHE_HOME", cache.path())
        .env_remove("SCHEDRIG_SAVES");
    let ended = ended(&run.output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let warning = "warning: the booted machine is not kept for later runs: ";
    assert!(ended.stderr.contains(warning), "{ended:?}");
    stage.assert_nothing_is_left();
}

#[test]
fn a_machine_is_saved_once_listed_and_removed_by_the_beginning_of_its_key() {
    let stage = Stage::with_own_saves();
    assert_eq!(listed(&stage), [Value::Null; 0]);
    let empty = stage.run(&["saves", "list"]);
    assert!(empty.stdout.contains(own(&stage).to_str().unwrap()), "{empty:?}");

    assert_eq!(stage.run(&TINY).code, Some(0));
    let saves = listed(&stage);
    let [save] = &saves[..] else {
        panic!("not one save: {saves:?}");
    };
    assert_eq!(save["manifest"]["topology"], "1n1l1c1t");
    assert_eq!(save["manifest"]["memory_mib"], 256);
    assert_eq!(save["damage"], Value::Null);
    assert!(save["bytes"].as_u64().unwrap() > 1 << 20, "{save}");
    let key = save["key"].as_str().unwrap();

    let ram = || fs::metadata(own(&stage).join(key).join("ram")).unwrap().ino();
    let before = ram();
    let another_seed = [&TINY[..], &["--seed", "2"]].concat();
    assert_eq!(stage.run(&another_seed).code, Some(0));
    assert_eq!(ram(), before, "the second run has booted the machine again");
    assert_eq!(listed(&stage).len(), 1);

    let check = |arguments: &[&str], code: i32, expect: &str| {
        let ended = stage.run(arguments);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        let said = [ended.stdout.as_str(), &ended.stderr].concat();
        assert!(said.contains(expect), "{arguments:?}: no `{expect}` in {said}");
    };
    check(&["saves", "list"], 0, "1n1l1c1t");
    check(&["saves", "rm"], 64, "<KEY|--all>");
    check(
        &["saves", "rm", "zz"],
        69,
        &format!("no save `zz`; available: {key}"),
    );
    check(&["saves", "rm", &key[..8]], 0, &format!("removed {}", &key[..12]));
    assert_eq!(listed(&stage), [Value::Null; 0]);
    check(&["saves", "rm", &key[..8]], 69, "the cache is empty");
    check(&["saves", "rm", "--all"], 0, "");
    assert_eq!(names_in(own(&stage)), [".locks", ".warm-forks"]);
    stage.assert_nothing_is_left();
}

#[test]
fn a_cache_that_is_too_small_lets_the_older_machine_go() {
    let stage = Stage::with_own_saves();
    let bounded = |arguments: &[&str]| {
        // One machine takes more than half of this.
        let output = stage.command(arguments).env("SCHEDRIG_SAVES_MIB", "100").output();
        ended(&output.unwrap())
    };
    assert_eq!(bounded(&TINY).code, Some(0));
    let first = listed(&stage);
    let (mut bytes, mut memory) = (first[0]["bytes"].as_u64().unwrap(), Vec::new());
    assert!(
        bytes > 50 << 20,
        "the bound does not fit this test any more: {bytes}"
    );
    let larger = TINY.map(|word| if word == "256" { "288" } else { word });
    assert_eq!(bounded(&larger).code, Some(0));
    for save in listed(&stage) {
        bytes = save["bytes"].as_u64().unwrap();
        memory.push(save["manifest"]["memory_mib"].clone());
    }
    assert_eq!(memory, [288], "{bytes} bytes");
    stage.assert_nothing_is_left();
}

#[test]
fn a_bound_that_is_no_number_is_an_error_that_says_what_to_write() {
    let stage = Stage::with_own_saves();
    let output = stage
        .command(&["saves", "list"])
        .env("SCHEDRIG_SAVES_MIB", "much")
        .output();
    let ended = ended(&output.unwrap());
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("SCHEDRIG_SAVES_MIB is `much`; write a number of MiB"),
        "{ended:?}"
    );
}

#[test]
fn a_disk_that_is_too_small_for_a_save_is_an_error_with_the_fix_and_leaves_no_half_save() {
    let stage = Stage::with_own_saves();
    let Some(disk) = SmallDisk::over(own(&stage), "16m") else {
        return;
    };
    let full = stage.run(&TINY);
    let sweep = [&["sweep", "--seeds", "0..50", "--"], &TINY[1..]].concat();
    let swept = stage.run(&sweep);
    let (left, saves) = (names_in(own(&stage)), listed(&stage));
    drop(disk);
    assert_says_how_to_make_room(&stage, &full);
    assert_says_how_to_make_room(&stage, &swept);
    assert_eq!(swept.stdout, "", "there was no run at all");
    assert_eq!(left, [".locks"]);
    assert_eq!(saves, [Value::Null; 0]);
    assert_eq!(stage.record_names(), [""; 0], "there was no run");
    assert_eq!(stage.run(&TINY).code, Some(0), "there is room now");
    stage.assert_nothing_is_left();
}

fn assert_says_how_to_make_room(stage: &Stage, full: &Ended) {
    assert_eq!(full.code, Some(70), "{full:?}");
    for expect in [
        own(stage).to_str().unwrap(),
        "is the disk full",
        "No space left on device",
        "SCHEDRIG_SAVES",
    ] {
        assert!(full.stderr.contains(expect), "no `{expect}` in {}", full.stderr);
    }
}

#[test]
fn a_machine_killed_while_it_boots_leaves_the_run_inconclusive_and_no_save() {
    let stage = Stage::with_own_saves();
    let child = stage.start(&TINY);
    kill(qemu_of(child.id()));
    let ended = ended(&child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stdout.contains("INCONCLUSIVE") && ended.stdout.contains("signal: 9"),
        "{}",
        ended.stdout
    );
    assert_eq!(names_in(own(&stage)), [".locks"]);
    stage.assert_nothing_is_left();
}

#[test]
fn a_rig_killed_while_its_machine_boots_is_succeeded_by_the_next() {
    let stage = Stage::with_own_saves();
    let mut child = stage.start(&TINY);
    qemu_of(child.id());
    kill(child.id());
    child.wait().unwrap();
    stage.assert_no_machine_is_left();
    assert_eq!(listed(&stage), [Value::Null; 0]);
    assert_eq!(stage.run(&TINY).code, Some(0));
    let names = names_in(own(&stage));
    assert_eq!(names.len(), 3, "one save, the locks and the self-test: {names:?}");
    stage.assert_nothing_is_left();
}

/// A run under a scheduler, whose attach takes some seconds.
const UNDER_BATON: [&str; 9] = [
    "run",
    "--topology",
    "1n1l1c1t",
    "--group",
    "a:spin:1",
    "--for",
    "100ms",
    "--scheduler",
    "scx_baton",
];

/// Whether a save is being made beside those that are there.
fn one_is_being_made(stage: &Stage) -> bool {
    names_in(own(stage)).iter().any(|name| name.starts_with(".new-"))
}

#[test]
fn ctrl_c_while_a_scheduler_is_attached_for_the_first_time_leaves_no_half_layer() {
    let stage = Stage::with_own_saves();
    assert_eq!(stage.run(&[&UNDER_BATON[..7]].concat()).code, Some(0));
    assert_eq!(listed(&stage).len(), 1, "the booted machine");
    let child = stage.command(&UNDER_BATON).process_group(0).spawn().unwrap();
    wait_until("the scheduler is being attached", || one_is_being_made(&stage));
    signal("INT", &format!("-{}", child.id()));
    let ended = ended(&child.wait_with_output().unwrap());
    assert_eq!(ended.code, None, "by the signal: {ended:?}");
    stage.assert_no_machine_is_left();
    assert_eq!(listed(&stage).len(), 1, "no layer but the booted machine");
    let next = stage.run(&UNDER_BATON);
    assert_eq!(next.code, Some(0), "{next:?}");
    assert!(!one_is_being_made(&stage), "what was left half made is gone");
    let attached: Vec<Value> = listed(&stage)
        .iter()
        .map(|save| save["manifest"]["scheduler"].clone())
        .filter(|scheduler| !scheduler.is_null())
        .collect();
    assert_eq!(attached, ["scx_baton"]);
    stage.assert_nothing_is_left();
}

#[test]
fn a_disk_that_fills_up_while_a_layer_is_saved_is_an_error_with_the_fix_and_leaves_no_half_layer() {
    let stage = Stage::with_own_saves();
    // The booted machine fits.
    let Some(disk) = SmallDisk::over(own(&stage), "110m") else {
        return;
    };
    let booted = stage.run(&[&UNDER_BATON[..7]].concat());
    let full = stage.run(&UNDER_BATON);
    let left = listed(&stage).len();
    let half = one_is_being_made(&stage);
    drop(disk);
    assert_eq!(booted.code, Some(0), "{booted:?}");
    assert_says_how_to_make_room(&stage, &full);
    assert_eq!((left, half), (1, false), "the booted machine, and no half layer");
}
