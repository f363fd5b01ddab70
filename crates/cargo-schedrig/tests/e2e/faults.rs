//! Whatever goes wrong: a clear verdict or error, the documented exit code, and nothing left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::stage::{Ended, SmallDisk, Stage, assert_gone, ended, kill, names_in, qemu_of};

/// A run that would take minutes.
const LONG: [&str; 7] = [
    "run",
    "--topology",
    "1n1l2c1t",
    "--group",
    "a:spin:4",
    "--for",
    "600s",
];
const SHORT: [&str; 7] = [
    "run",
    "--topology",
    "1n1l2c1t",
    "--group",
    "a:spin:4",
    "--for",
    "100ms",
];

fn run_with(stage: &Stage, arguments: &[&str]) -> Ended {
    stage.run(&[&SHORT[..], arguments].concat())
}

#[test]
fn qemu_killed_in_mid_run_leaves_the_run_inconclusive() {
    let stage = Stage::new();
    run_with(&stage, &[]); // the machine is saved by now: what is killed is a fork, not the boot
    let child = stage.start(&LONG);
    kill(qemu_of(child.id()));
    let ended = ended(&child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stdout.contains("INCONCLUSIVE") && ended.stdout.contains("signal: 9"),
        "{}",
        ended.stdout
    );
    stage.assert_nothing_is_left();
}

#[test]
fn the_rig_killed_in_mid_run_takes_its_qemu_with_it() {
    let stage = Stage::new();
    run_with(&stage, &[]);
    let mut child = stage.start(&LONG);
    let qemu = qemu_of(child.id());
    kill(child.id());
    child.wait().unwrap();
    assert_gone(qemu);
    stage.assert_nothing_is_left();
}

#[test]
fn a_kernel_that_panics_at_boot_fails_with_its_last_words() {
    let stage = Stage::new();
    // Without an init there is nothing but a root file system to mount, and there is none.
    let ended = run_with(&stage, &["--append", "rdinit=/nowhere"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("kernel panicked") && ended.stdout.contains("VFS: Unable to mount root"),
        "{}",
        ended.stdout
    );
    stage.assert_nothing_is_left();
}

#[test]
fn a_scheduler_that_does_not_exist_is_an_error_before_any_machine_starts() {
    let stage = Stage::new();
    let ended = run_with(&stage, &["--scheduler", "/no/such/scx_nothing"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(
        ended.stderr.contains("/no/such/scx_nothing") && ended.stderr.contains("does the program exist"),
        "{ended:?}"
    );
    stage.assert_nothing_is_left();
}

#[test]
fn a_scheduler_that_is_not_executable_is_an_error_with_the_fix() {
    let stage = Stage::new();
    let program = stage.records.path().join("scx_plain");
    fs::write(&program, "not a program").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = run_with(&stage, &["--scheduler", program.to_str().unwrap()]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.stderr.contains("chmod +x"), "{ended:?}");
}

#[test]
fn a_scheduler_that_exits_at_once_fails_the_run() {
    let stage = Stage::new();
    let ended = run_with(&stage, &["--scheduler", "/bin/true"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("before it attached: exit code 0"),
        "{}",
        ended.stdout
    );
    stage.assert_nothing_is_left();
}

#[test]
fn a_kernel_without_sched_ext_is_refused_for_a_scheduler_by_name() {
    let ended = run_with(
        &Stage::new(),
        &["--kernel", "apt:bookworm-backports", "--scheduler", "scx_baton"],
    );
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(
        ended.stderr.contains("sched_ext") && ended.stderr.contains("6.12"),
        "{ended:?}"
    );
}

#[test]
fn a_full_disk_is_an_error_with_the_fix_and_leaves_no_half_record() {
    let stage = Stage::new();
    let Some(disk) = SmallDisk::over(stage.records.path(), "8k") else {
        return;
    };
    let ended = run_with(&stage, &[]);
    let left = names_in(stage.records.path());
    drop(disk);
    assert_eq!(
        ended.code,
        Some(69),
        "before the run, which would be lost: {ended:?}"
    );
    assert!(
        ended.stderr.contains("is the disk full") && ended.stderr.contains("SCHEDRIG_RECORDS"),
        "{ended:?}"
    );
    assert_eq!(left, [""; 0]);
}

#[test]
fn a_record_that_cannot_be_kept_loses_no_verdict() {
    let stage = Stage::new();
    // Room for the probe, not for a record with a snapshot of a kernel.
    let Some(disk) = SmallDisk::over(stage.records.path(), "48k") else {
        return;
    };
    let ended = run_with(&stage, &["--snapshots", "1"]);
    let left = names_in(stage.records.path());
    drop(disk);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("PASS  run"), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("the record was not kept"),
        "{}",
        ended.stderr
    );
    assert_eq!(left, [""; 0]);
}

#[test]
fn records_whose_place_is_a_file_are_refused_before_the_run() {
    let stage = Stage::new();
    let place = stage.records.path().join("file");
    fs::write(&place, "").unwrap();
    let ended = run_with(&stage, &["--records", place.to_str().unwrap()]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.stderr.contains("SCHEDRIG_RECORDS"), "{}", ended.stderr);
    fs::remove_file(place).unwrap();
}

#[test]
fn wrong_usage_exits_with_64_and_says_what_is_right() {
    let stage = Stage::new();
    let check = |arguments: &[&str], expect: &str| {
        let ended = stage.run(arguments);
        assert_eq!(ended.code, Some(64), "{ended:?}");
        assert!(ended.stderr.contains(expect), "{ended:?}");
    };
    check(&["run"], "--group");
    check(
        &["run", "--topology", "8", "--group", "a:spin:1"],
        "as in `1n2l4c1t`",
    );
    check(
        &["run", "--topology", "2n3l1c1t", "--group", "a:spin:1"],
        "do not divide evenly",
    );
    check(&["run", "--group", "a:spin:1@llc7"], "has no LLC 7");
    check(
        &["run", "--group", "a:spin:1", "--for", "5"],
        "a number and a unit",
    );
    check(&["run", "--group", "a:spin:1", "--kernel", "floppy:1"], "apt:");
    check(&["run", "--group", "a:spin:1", "--repeat", "0"], "--repeat");
    check(&["dance"], "dance");
}

#[test]
fn a_missing_qemu_is_an_error_with_the_fix() {
    let ended = run_with(&Stage::new(), &["--qemu", "/no/such/qemu"]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(
        ended.stderr.contains("/no/such/qemu") && ended.stderr.contains("cargo xtask setup"),
        "{ended:?}"
    );
}

#[test]
fn a_file_that_is_no_kernel_is_an_error_that_names_it() {
    let stage = Stage::new();
    let file = stage.records.path().join("vmlinuz-broken");
    fs::write(&file, b"MZ this is no kernel").unwrap();
    let ended = run_with(&stage, &["--kernel", &format!("path:{}", file.display())]);
    assert_eq!(ended.code, Some(69), "{ended:?}");
    assert!(ended.stderr.contains("vmlinuz-broken"), "{ended:?}");
}
