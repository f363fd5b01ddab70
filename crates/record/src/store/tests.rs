//! Records that are written, found, damaged and read.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};
use spec::{GuestTime, Nanos};

use super::write::put;
use super::*;
use crate::{
    CpuSample, Dump, DumpTrigger, End, Evidence, Expectation, HostFacts, Judgement, KernelFacts, Observation,
    Plan, Record, RecordHash, Repro, Sample, SeriesBuilder, Snapshot, Source, Tag, Value, Verdict,
};

fn record(name: &str, console: &str) -> Record {
    let plan = Plan {
        name: name.into(),
        topology: "1n1l2c1t".parse().unwrap(),
        memory_mib: 512,
        shift: 2,
        kernel_args: String::new(),
        kernel: KernelFacts {
            request: "apt:sid".into(),
            release: "7.2".into(),
            build_id: "ab".into(),
        },
        scheduler: None,
        seed: 7,
        expectations: vec![Expectation::KernelClean],
    };
    let evidence = Evidence {
        console: console.into(),
        ..Evidence::default()
    };
    Record::new(plan, evidence, Judgement::default(), HostFacts::default())
}

fn snapshot(tag: &str) -> Snapshot {
    Snapshot {
        tag: Tag::new(tag).unwrap(),
        at: GuestTime(Nanos(7)),
        seen: Value::tree([("nr_running", Value::from(3u64))]),
    }
}

/// A record with something in each part.
fn full() -> Record {
    let mut record = record("full", "boot\n");
    record.evidence.scheduler_log = "hello\n".into();
    record.evidence.end = End::GuestPanic { message: "x".into() };
    let mut series = SeriesBuilder::default();
    series.take(Sample {
        cpus: vec![CpuSample::default()],
        ..Sample::default()
    });
    record.series = Some(series.into_series());
    record.observations.push(Observation {
        at: GuestTime(Nanos(3)),
        asked: "rq".into(),
        seen: Value::from(1u64),
    });
    for tag in ["before", "../../mid run", ".._.._mid_run"] {
        record.snapshots.push(snapshot(tag));
    }
    record.dumps.push(Dump {
        trigger: DumpTrigger::Stuck {
            waiting: "a/0".into(),
        },
        headline: Vec::new(),
        tasks: Vec::new(),
        cpus: Vec::new(),
        backtrace: Vec::new(),
        log: Vec::new(),
        timeline: Vec::new(),
        snapshot: snapshot("stuck"),
    });
    record.repro = Some(Repro::Not {
        reason: "none".into(),
    });
    record
}

fn index_of(place: &Path) -> Json {
    serde_json::from_slice(&fs::read(place.join("record.json")).unwrap()).unwrap()
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    for record in [record("fair shares", "boot\n"), full()] {
        let place = save(&record, dir.path()).unwrap();
        assert_eq!(load(&place).unwrap(), record);
        assert_eq!(fs::read_to_string(place.join("console.log")).unwrap(), "boot\n");
    }
}

#[test]
fn each_part_is_a_file_of_its_own_and_listed_in_the_index() {
    let dir = tempfile::tempdir().unwrap();
    let place = save(&full(), dir.path()).unwrap();
    let index = index_of(&place);
    assert_eq!(index["format"], json!({ "major": 2, "minor": 0 }));
    let files = index["files"].as_array().unwrap();
    let paths: Vec<&str> = files.iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "evidence.json",
            "console.log",
            "scheduler.log",
            "series.json",
            "observations.json",
            "snapshots/before.json",
            "snapshots/.._.._mid_run.json",
            "snapshots/.._.._mid_run-2.json",
            "dumps/stuck.json",
            "repro.json"
        ]
    );
    let console = files.iter().find(|file| file["path"] == "console.log").unwrap();
    assert_eq!(console["bytes"], 5);
    assert_eq!(
        console["sha256"],
        "deb055d836e44a1dcf0317b0cacac2dbdd36301f82abf787f7849d3f5b916750"
    );
    let fields: Vec<&String> = index.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "files",
            "format",
            "hash",
            "host",
            "judgement",
            "plan",
            "replay_inputs"
        ]
    );
}

/// B10: a snapshot and a dump are files by their tags, inside of the record's directory whatever these are.
#[test]
fn snapshots_are_texts_for_people_by_their_tags() {
    let dir = tempfile::tempdir().unwrap();
    let place = save(&full(), dir.path()).unwrap();
    for name in ["snapshots/.._.._mid_run.txt", "dumps/stuck.txt"] {
        let text = fs::read_to_string(place.join(name)).unwrap();
        assert!(text.contains("nr_running") && text.contains('3'), "{text}");
    }
    // They are made from the files beside them.
    fs::remove_file(place.join("dumps/stuck.txt")).unwrap();
    assert_eq!(load(&place).unwrap(), full());
}

#[test]
fn a_file_that_is_missing_cut_or_altered_is_an_error_with_its_path() {
    let check = |damage: fn(&Path), expect: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        let place = save(&full(), dir.path()).unwrap();
        let paths: Vec<String> = index_of(&place)["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| file["path"].as_str().unwrap().to_owned())
            .collect();
        for path in paths {
            let file = place.join(&path);
            let whole = fs::read(&file).unwrap();
            damage(&file);
            let error = load(&place).unwrap_err().to_string();
            for expect in [&[path.as_str(), "make the run again"], expect].concat() {
                assert!(error.contains(expect), "no `{expect}` in {error}");
            }
            fs::write(&file, whole).unwrap();
        }
    };
    check(|file| fs::remove_file(file).unwrap(), &["read "]);
    check(
        |file| {
            let bytes = fs::read(file).unwrap();
            fs::write(file, &bytes[1..]).unwrap();
        },
        &[" bytes and had "],
    );
    check(
        |file| {
            let mut bytes = fs::read(file).unwrap();
            bytes[0] ^= 1;
            fs::write(file, bytes).unwrap();
        },
        &["was altered", "SHA-256"],
    );
}

fn with_index(change: impl FnOnce(&mut Json)) -> Result<Record, StoreError> {
    let dir = tempfile::tempdir().unwrap();
    let place = save(&full(), dir.path()).unwrap();
    let mut index = index_of(&place);
    change(&mut index);
    fs::write(place.join("record.json"), index.to_string()).unwrap();
    load(&place)
}

#[test]
fn an_index_that_was_altered_is_refused() {
    for path in ["../elsewhere.json", "/etc/passwd", "snapshots/../../x.json"] {
        let error = with_index(|index| index["files"][5]["path"] = path.into());
        // What it does not know it does not read.
        match index::Part::of(path) {
            None => assert_eq!(error.unwrap().snapshots.len(), 2),
            Some(_) => {
                let error = error.unwrap_err().to_string();
                assert!(error.contains("outside of the record's directory"), "{error}");
            }
        }
    }
    let error = with_index(|index| drop(index["files"].as_array_mut().unwrap().remove(0)));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("lists no evidence.json"), "{error}");
}

#[test]
fn a_later_minor_version_is_read_without_what_is_not_known() {
    let later = with_index(|index| {
        index["format"]["minor"] = 9.into();
        index["new"] = true.into();
        let file = json!({ "path": "traces/new.bin", "bytes": 1, "sha256": "" });
        index["files"].as_array_mut().unwrap().push(file);
    });
    let later = later.unwrap();
    assert_eq!(later.format.minor, 9);
    assert_eq!(later.evidence, full().evidence);
}

#[test]
fn another_major_format_is_refused_with_the_next_step() {
    let error = with_index(|index| index["format"] = json!({ "major": 9, "minor": 0 }));
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("format 9.0") && error.contains("with the version of schedrig that wrote it"),
        "{error}"
    );
}

/// As version 1.3 wrote it.
fn version_1() -> Json {
    let record = serde_json::to_value(record("old", "boot\n")).unwrap();
    let check = |check: &str, verdict: &str| json!({ "check": check, "verdict": verdict, "reason": "r" });
    let mut old = record;
    old["format"] = json!({ "major": 1, "minor": 3 });
    old["evidence"]["end"] = json!({ "kind": "left_early", "during": "while waiting" });
    old["evidence"]["events"] = json!([{ "at": 5, "what": { "kind": "body_failed", "reason": "enough" } }]);
    old["judgement"] = json!({ "verdict": "pass", "checks": [check("kernel", "pass")] });
    old["monitored"] = json!({
        "samples": 9, "incomplete": 0, "findings": [], "unlisted": 0,
        "numbers": serde_json::to_value(Value::tree([("most_running", Value::from(4u64))])).unwrap(),
        "checks": [check("stuck-cpu", "fail")],
    });
    old["remake"] = json!({
        "manifest": {
            "backend": "tcg", "qemu": "10.0.2", "recipe": 1, "plugin_sha256": "aa", "kernel_release": "7.2",
            "kernel_build_id": "01", "entry": "pvh", "initrd_sha256": "bb", "cmdline": "quiet",
            "topology": "1n1l2c1t", "memory_mib": 512, "shift": 2, "boot_seed": 1,
        },
        "scheduler": null,
        "limits": { "boot": 1, "silence": 2, "scheduler": 3 },
        "script": [],
    });
    old
}

fn load_version_1(old: &Json) -> Result<Record, StoreError> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("record.json"), old.to_string()).unwrap();
    load(dir.path())
}

#[test]
fn a_record_of_format_1_is_read_and_what_its_monitor_found_counts_for_the_verdict() {
    let old = version_1();
    let read = load_version_1(&old).unwrap();
    assert_eq!(
        read.verdict(),
        Verdict::Fail,
        "its own verdict was that of the evidence alone"
    );
    let checks: Vec<(&str, Source)> = read
        .judgement
        .checks
        .iter()
        .map(|check| (check.check.as_str(), check.source))
        .collect();
    assert_eq!(
        checks,
        [("kernel", Source::Evidence), ("stuck-cpu", Source::Samples)]
    );
    assert_eq!(read.hash.as_str(), old["hash"]);
    assert!(matches!(read.evidence.end, End::GuestExited { .. }));
    assert_eq!(read.replay_inputs.as_ref().unwrap().manifest.executor, "10.0.2");
    assert_eq!(
        read.observations[0].seen.get("most_running").unwrap().as_u64(),
        Some(4)
    );
    assert_eq!((read.format.major, read.series.is_none()), (1, true));
    // It is written again in today's format.
    let dir = tempfile::tempdir().unwrap();
    let again = load(&save(&read, dir.path()).unwrap()).unwrap();
    assert_eq!((again.format, again.judgement), (crate::FORMAT, read.judgement));
}

#[test]
fn a_record_of_format_1_the_script_of_which_is_not_known_is_read_without_it() {
    let mut old = version_1();
    old["remake"]["script"] = json!([{ "do": "what no version can" }]);
    assert_eq!(load_version_1(&old).unwrap().replay_inputs, None);
    // Records of 1.0 had none, and no monitor.
    let fields = old.as_object_mut().unwrap();
    fields.retain(|name, _| !matches!(name.as_str(), "remake" | "replay_inputs" | "monitored"));
    let read = load_version_1(&old).unwrap();
    assert_eq!(
        (read.replay_inputs.is_none(), read.verdict()),
        (true, Verdict::Pass)
    );
}

#[test]
fn a_record_of_format_1_that_is_damaged_is_an_error_with_its_path() {
    let mut old = version_1();
    old["evidence"] = Json::Null;
    let error = load_version_1(&old).unwrap_err();
    assert!(matches!(error, StoreError::Parse { .. }), "{error}");
    assert!(error.to_string().contains("record.json"), "{error}");
}

#[test]
fn a_record_is_found_by_path_name_and_hash() {
    let dir = tempfile::tempdir().unwrap();
    let one = record("fair", "boot");
    let place = save(&one, dir.path()).unwrap();
    let other = save(&record("fair", "other"), dir.path()).unwrap();
    let check = |which: &str| assert_eq!(find(which, dir.path()).unwrap(), place, "{which}");
    check(place.to_str().unwrap());
    check(place.join("record.json").to_str().unwrap());
    check(place.file_name().unwrap().to_str().unwrap());
    check(one.hash.short());
    check(one.hash.as_str());
    check(&one.hash.as_str()[..6]);
    assert_ne!(other, place);
    let error = |which| find(which, dir.path()).unwrap_err().to_string();
    assert!(
        error("fair-00").contains("no record `fair-00`"),
        "{}",
        error("fair-00")
    );
    assert!(error("").contains("no record"), "an empty name is no record's");
}

/// The same execution under two names: whichever is replayed, it is the same.
#[test]
fn of_two_records_of_one_hash_either_will_do() {
    let dir = tempfile::tempdir().unwrap();
    let one = record("first", "boot");
    let place = save(&one, dir.path()).unwrap();
    let second = record("second", "boot");
    assert_eq!(second.hash, one.hash);
    save(&second, dir.path()).unwrap();
    assert_eq!(find(one.hash.short(), dir.path()).unwrap(), place);
    // But not to be removed: the other one may be meant.
    let error = remove(one.hash.short(), dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Ambiguous { .. }), "{error}");
    let wrong = format!("{}{}", one.hash.short(), "f".repeat(52));
    assert!(find(&wrong, dir.path()).is_err(), "only the beginning is its");
}

#[test]
fn records_are_listed_with_what_they_are_and_removed_by_name() {
    let dir = tempfile::tempdir().unwrap();
    assert!(list(&dir.path().join("none")).unwrap().is_empty());
    let one = record("one", "boot");
    let place = save(&one, dir.path()).unwrap();
    save(&record("two", "other"), dir.path()).unwrap();
    fs::create_dir(dir.path().join("no record")).unwrap();
    fs::create_dir(dir.path().join("damaged")).unwrap();
    fs::write(dir.path().join("damaged/record.json"), "{").unwrap();
    let listed = list(dir.path()).unwrap();
    let names: Vec<_> = listed
        .iter()
        .map(|record| record.name.split('-').next().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let found = listed.iter().find(|record| record.place == place).unwrap();
    let about = found.about.as_ref().unwrap();
    assert_eq!((about.plan.seed, &about.hash), (7, &one.hash));
    assert!(found.bytes > 500 && found.damage.is_none() && found.written_s > 0);
    let damaged = listed.iter().find(|record| record.name == "damaged").unwrap();
    assert!(damaged.damage.as_ref().unwrap().contains("record.json"));

    let error = |which: &str| remove(which, dir.path()).unwrap_err().to_string();
    assert!(error("three").contains("no record `three`"));
    // What is elsewhere is not removed, whatever it is.
    let elsewhere = tempfile::tempdir().unwrap();
    let other = save(&one, elsewhere.path()).unwrap();
    assert!(error(other.to_str().unwrap()).contains("no record"));
    assert!(other.is_dir());
    assert_eq!(remove(one.hash.short(), dir.path()).unwrap().name, found.name);
    assert_eq!(remove("damaged", dir.path()).unwrap().name, "damaged");
    assert!(
        error("no record").contains("no record `no record`"),
        "what is no record stays"
    );
    let [last] = &list(dir.path()).unwrap()[..] else {
        panic!()
    };
    fs::write(last.place.join("evidence.json"), "{}").unwrap();
    let damage = describe(&last.place).unwrap().damage.unwrap();
    assert!(
        damage.starts_with("evidence.json has 2 bytes and had "),
        "{damage}"
    );
}

#[test]
fn the_same_execution_twice_is_one_directory_and_nothing_is_left_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut again = record("x", "boot");
    let place = save(&again, dir.path()).unwrap();
    again.host.seconds = 9.0;
    save(&again, dir.path()).unwrap();
    assert_eq!(load(&place).unwrap().host.seconds, 9.0, "the later one");
    save(&record("x", "other"), dir.path()).unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_record_that_cannot_be_put_leaves_the_older_one_and_nothing_aside() {
    let dir = tempfile::tempdir().unwrap();
    let place = save(&record("x", "boot"), dir.path()).unwrap();
    let (written, replaced) = (dir.path().join("never written"), dir.path().join("replaced"));
    let error = put(&written, &place, &replaced).unwrap_err();
    assert!(matches!(error, StoreError::Write { .. }), "{error}");
    assert_eq!(load(&place).unwrap(), record("x", "boot"));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    // Where no file can be created, nothing is: a file stands where the directory of records should be.
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(save(&record("x", "boot"), &file).is_err());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn the_hash_covers_the_guest_and_not_the_host_the_seed_or_the_observers() {
    let one = full();
    let again = Record::new(one.plan, one.evidence, one.judgement, one.host);
    let mut plain = record("x", "boot\n");
    plain.evidence.scheduler_log = "hello\n".into();
    plain.evidence.end = End::GuestPanic { message: "x".into() };
    plain.host.seconds = 3.0;
    plain.plan.seed = 8;
    let plain = Record::new(plain.plan, plain.evidence, plain.judgement, plain.host);
    assert_eq!(again.hash, plain.hash);
    assert_ne!(plain.hash, record("x", "boot\n").hash);
    let mut later = record("x", "boot").evidence;
    later.events.push(crate::Event {
        at: GuestTime(Nanos(1)),
        what: crate::EventKind::Note {
            key: "k".into(),
            value: "v".into(),
        },
    });
    assert_ne!(
        RecordHash::of(&later, &Judgement::default()),
        record("x", "boot").hash
    );
}

#[test]
fn a_name_cannot_leave_the_directory() {
    assert!(
        RecordId::of(&record("../../etc/passwd", ""))
            .as_str()
            .starts_with("_.._etc_passwd-")
    );
    assert!(RecordId::of(&record("", "")).as_str().starts_with("run-"));
}
