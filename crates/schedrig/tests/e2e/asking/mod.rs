//! Programs of the guest that talk to the host themselves.

use std::path::{Path, PathBuf};
use std::process::Command;

use record::{End, EventKind};
use schedrig::{Record, Rig, Spin, Verdict, millis, secs};

use crate::stage::{STANDARD, judged, pass, spec};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const COMMAND: &str = "/bin/schedrig-guest";

fn command(rig: &mut Rig, words: &[&str]) -> Result<(bool, String), Failure> {
    let argv = [&[COMMAND], words].concat();
    let (status, stdout, stderr) = rig.exec(&argv, secs(10))?;
    let text = [stdout, stderr].concat();
    Ok((status.success(), String::from_utf8_lossy(&text).into_owned()))
}

/// What programs have sent for the record: kind and payload.
fn sent(record: &Record) -> Vec<(&str, &str)> {
    let events = record.evidence.events.iter();
    let sent = events.filter_map(|event| match &event.what {
        EventKind::Sent { frame, payload, .. } => Some((frame.as_str(), payload.as_str())),
        _ => None,
    });
    sent.collect()
}

fn count(record: &Record, name: &str) -> u64 {
    let counts = record
        .observations
        .iter()
        .find(|seen| seen.asked == "frames of the guest's programs");
    match counts.map(|seen| seen.seen.get(name)) {
        Some(Ok(count)) => count.as_u64().unwrap_or_default(),
        other => panic!("{other:?}"),
    }
}

/// D: a command of the guest has snapshots taken, sets watches, reads the kernel, marks phases and sends metrics; what it
/// asks for in vain is told at once.
#[test]
fn a_command_of_the_guest_asks_the_host() {
    let body = |rig: &mut Rig| -> Result<(), Failure> {
        rig.cgroup("a").spawn(Spin.workers(2))?;
        rig.run_for(millis(50))?;
        for words in [
            &["snapshot", "mid-run"][..],
            &["start"],
            &["metrics", "{\"latency_us\": 7}"],
            &["pause"],
            &["resume"],
            &["watch", "jiffies_64"],
        ] {
            assert_eq!(command(rig, words)?, (true, String::new()), "{words:?}");
        }
        let (read, text) = command(rig, &["read", "jiffies_64"])?;
        assert!(read && text.starts_with("0x"), "{text}");
        let (done, text) = command(rig, &["watch", "no_such_symbol"])?;
        assert!(!done && text.contains("no_such_symbol"), "{text}");
        let (done, text) = command(rig, &["no-such-word"])?;
        assert!(!done && text.contains("usage"), "{text}");
        rig.run_for(millis(50))?;
        Ok(())
    };
    let record = pass(&spec("command", "1n1l2c1t", STANDARD, "scx_baton"), body);
    let of = |tag: &str| {
        record
            .snapshots
            .iter()
            .find(|snapshot| snapshot.tag.as_str() == tag)
    };
    let mid_run = of("mid-run").unwrap();
    assert!(mid_run.task("a/0").unwrap().u64("pid").unwrap() > 1);
    assert!(
        of("jiffies_64").unwrap().at > mid_run.at,
        "its last store was later"
    );
    assert_eq!(
        sent(&record),
        [
            ("SCST", ""),
            ("PMET", "{\"latency_us\": 7}"),
            ("SCPA", ""),
            ("SCRE", "")
        ]
    );
    assert_eq!(count(&record, "by_kind.SNRQ"), 3);
    let again = pass(&spec("command", "1n1l2c1t", STANDARD, "scx_baton"), body);
    assert_eq!(again.hash, record.hash);
}

/// D: a program in C does the same by one header; what it has no right to is refused, counted, and harms nobody.
#[test]
fn a_hostile_program_of_the_guest_harms_nobody() {
    let program = compiled("asks.c");
    let record = pass(&spec("hostile", "1n1l2c1t", STANDARD, "eevdf"), |rig| {
        rig.cgroup("a").spawn(Spin.workers(2))?;
        let path = rig.put_program(&program)?;
        let (status, stdout, _) = rig.exec(&[&path], secs(20))?;
        let text = String::from_utf8_lossy(&stdout).into_owned();
        assert!(status.success() && text == "done\n", "{status:?} {text}");
        rig.run_for(millis(100))?;
        Ok(())
    });
    assert_eq!(record.snapshots.len(), 1);
    let metrics = sent(&record)
        .into_iter()
        .filter(|(kind, _)| *kind == "PMET")
        .count();
    assert_eq!(metrics, 2);
    assert_eq!(count(&record, "unknown"), 2);
    assert!(count(&record, "refused") >= 10 + 64 && count(&record, "damaged") >= 64);
    let refused = |words: &str| {
        let events = record.evidence.events.iter();
        events
            .filter(|event| matches!(&event.what, EventKind::Refused { reason } if reason.contains(words)))
            .count()
    };
    assert!(refused("not its own to write to") > 8);
    // Calls for ever do not grow the record for ever.
    assert_eq!(count(&record, "unreadable"), 2000 + 8 + 2);
    let events = record.evidence.events.len() as u64;
    assert!(
        events < 1100 && count(&record, "not_in_the_record") > 1000,
        "{events}"
    );
    assert_eq!(refused("sent by the agent only"), 4);
}

/// Whatever a program sends, the run goes on, and the verdict is that of the run.
#[test]
fn frames_of_every_kind_end_no_run_and_change_no_verdict() {
    let program = compiled("asks.c");
    for (expect, scheduler) in [
        (Verdict::Pass, "scx_baton"),
        (Verdict::Fail, "scx_baton --error-after 400"),
    ] {
        let mut spec = spec("every-kind", "1n1l2c1t", STANDARD, scheduler);
        spec.auto_repro = false;
        let record = judged(expect, &spec, |rig| {
            rig.cgroup("a").spawn(Spin.workers(2))?;
            let path = rig.put_program(&program)?;
            let (status, stdout, _) = rig.exec(&[&path, "everything"], secs(20))?;
            let text = String::from_utf8_lossy(&stdout).into_owned();
            assert!(status.success() && text == "done\n", "{status:?} {text}");
            rig.run_for(secs(1))?;
            rig.finish()
        });
        assert_eq!(record.evidence.end, End::Finished, "{scheduler}");
        assert_eq!(record.evidence.windows.len(), 1, "{scheduler}");
        assert!(
            sent(&record).iter().any(|(kind, _)| *kind == "SCHX"),
            "{scheduler}"
        );
    }
}

/// The program, made from its source.
fn compiled(source: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(source.trim_end_matches(".c"));
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg("-I")
        .arg(root.join("../ask/include"))
        .arg(root.join("tests/e2e/asking").join(source));
    let output = compiler.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    program
}
