//! Saved machines: made by other processes, made twice, damaged, cut short. A run is the right one or an error.
//!
//! What a process has open stays open, so what another finds on disk is tested by another: the test program itself,
//! started on [`child`].

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Child;

use schedrig::prelude::*;
use schedrig::{Progress, RunSpec, Setup, Verdict};

use crate::processes::{assert_gone, helper, qemus_of, wait_until};
use crate::stage::{STANDARD, of_verdict, spec};

const DIRECTORY: &str = "SCHEDRIG_TEST_SAVES_OF_CHILD";

/// Each run is a fork of the save itself.
fn spec_in(saves: &Path) -> RunSpec {
    RunSpec {
        saves: Some(saves.to_owned()),
        warm: false,
        ..spec("saves", "1n1l1c1t", STANDARD, "eevdf")
    }
}

fn scenario(rig: &mut Rig) -> Outcome {
    rig.cgroup("a").spawn(Spin.workers(2))?;
    rig.run_for(millis(100))?;
    rig.finish()
}

/// A run of seed 7: its record hash, and whether the machine was booted for it.
fn run(setup: &Setup) -> (String, bool) {
    let mut booted = false;
    let mut note = |step| booted |= matches!(step, Progress::Machine(saves::Progress::Making));
    let record = of_verdict(Verdict::Pass, setup.run(7, &mut note, scenario).unwrap().record);
    (record.hash.to_string(), booted)
}

/// Not a test: what [`start`] starts.
#[test]
#[ignore = "the other tests start it by name"]
fn child() {
    let Some(saves) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let setup = Setup::new(spec_in(Path::new(&saves)), &mut |_| {}).unwrap();
    let (hash, booted) = run(&setup);
    println!("\nresult {hash} {booted}");
}

fn start(saves: &Path) -> Child {
    helper("saves::child").env(DIRECTORY, saves).spawn().unwrap()
}

fn finish(child: Child) -> (String, bool) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let result = text.lines().find_map(|line| line.strip_prefix("result "));
    let (hash, booted) = result
        .and_then(|result| result.split_once(' '))
        .unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
    (hash.to_owned(), booted == "true")
}

/// The entries of the store, and what is being written beside them.
fn names(saves: &Path) -> Vec<String> {
    let entries = fs::read_dir(saves).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| ![".locks", ".warm-forks"].contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

#[test]
fn two_processes_make_one_save_and_a_third_finds_it_and_one_made_anew_gives_the_same_execution() {
    let saves = tempfile::tempdir().unwrap();
    let both = [start(saves.path()), start(saves.path())].map(finish);
    assert_eq!(both[0].0, both[1].0);
    let booted = both.iter().filter(|(_, booted)| *booted).count();
    assert_eq!(booted, 1, "one of the two made it: {both:?}");
    assert_eq!(names(saves.path()).len(), 1);

    let setup = Setup::new(spec_in(saves.path()), &mut |_| {}).unwrap();
    let found = run(&setup);
    assert_eq!(found, (both[0].0.clone(), false), "from another process's save");

    saves::Store::open(saves.path()).unwrap().clear().unwrap();
    assert!(names(saves.path()).is_empty());
    assert_eq!(run(&setup), found, "who has it open needs no files");
    let anew = finish(start(saves.path()));
    assert_eq!(anew, (found.0, true), "made anew, it is the same machine");
}

#[test]
fn a_save_that_is_damaged_on_disk_or_under_a_running_process_is_made_anew() {
    let saves = tempfile::tempdir().unwrap();
    let setup = Setup::new(spec_in(saves.path()), &mut |_| {}).unwrap();
    let (hash, booted) = run(&setup);
    assert!(booted);
    let ram = || {
        let names = names(saves.path());
        assert_eq!(names.len(), 1, "{names:?}");
        saves.path().join(&names[0]).join("ram")
    };
    let cut = || {
        let file = fs::OpenOptions::new().write(true).open(ram()).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    };
    let flip = || {
        let file = fs::OpenOptions::new().read(true).write(true).open(ram()).unwrap();
        let (middle, mut byte) = (file.metadata().unwrap().len() / 2, [0]);
        file.read_exact_at(&mut byte, middle).unwrap();
        file.write_all_at(&[byte[0] ^ 1], middle).unwrap();
    };

    // The very file that this process has open.
    cut();
    assert_eq!(run(&setup), (hash.clone(), true), "cut off while it was in use");
    flip();
    assert_eq!(
        run(&setup),
        (hash.clone(), true),
        "one bit of it while it was in use"
    );

    flip();
    assert_eq!(finish(start(saves.path())), (hash.clone(), true), "one bit of it");

    fs::write(ram().with_file_name("state"), b"SRSAVE nonsense").unwrap();
    assert_eq!(finish(start(saves.path())), (hash.clone(), true), "its state");
    fs::remove_file(ram().with_file_name("device")).unwrap();
    assert_eq!(finish(start(saves.path())), (hash, true), "a file less");
}

#[test]
fn a_process_that_is_killed_while_it_makes_a_save_leaves_nothing_that_is_used() {
    let saves = tempfile::tempdir().unwrap();
    let mut killed = start(saves.path());
    let qemu = wait_until("a save is being made, by a QEMU", || {
        let making = names(saves.path()).iter().any(|name| name.starts_with(".new-"));
        qemus_of(killed.id()).first().copied().filter(|_| making)
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_gone(qemu);
    assert!(names(saves.path()).iter().all(|name| name.starts_with('.')));
    let (hash, booted) = finish(start(saves.path()));
    assert!(booted);
    let left = names(saves.path());
    assert!(left.len() == 1 && !left[0].starts_with('.'), "{left:?}");
    // The user's own store, to which nothing of this has happened.
    let untouched = RunSpec {
        saves: None,
        ..spec_in(saves.path())
    };
    let (expect, _) = run(&Setup::new(untouched, &mut |_| {}).unwrap());
    assert_eq!(hash, expect);
}

#[test]
fn a_machine_that_does_not_boot_is_evidence_and_leaves_no_save() {
    let saves = tempfile::tempdir().unwrap();
    let spec = RunSpec {
        kernel_args: "rdinit=/nowhere".to_owned(),
        ..spec_in(saves.path())
    };
    let setup = Setup::new(spec, &mut |_| {}).unwrap();
    let first = of_verdict(Verdict::Fail, setup.run(1, &mut |_| {}, scenario).unwrap().record);
    assert!(first.evidence.console.contains("VFS: Unable to mount root"));
    assert!(names(saves.path()).is_empty());
    let mut steps = 0;
    let mut note = |step| steps += usize::from(matches!(step, Progress::Machine(_)));
    let second = setup.run(2, &mut note, scenario).unwrap().record;
    let second = of_verdict(Verdict::Fail, second);
    assert_eq!((second.hash, steps), (first.hash, 0), "nobody boots it again");
}
