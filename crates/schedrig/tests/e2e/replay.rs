//! A recorded run again, without the test that made it.

use schedrig::op::{Content, PutFile};
use schedrig::prelude::*;
use schedrig::{Op, Record, Replay, ReplayOptions, Replayed, RigError};

use crate::stage::{STANDARD, fail, of_verdict, spec};

fn replay(record: &Record, options: &ReplayOptions) -> Result<Replayed, RigError> {
    let replayed = Replay::new(record.clone(), options, &mut |_| {})?.run(&mut |_| {})?;
    let record = of_verdict(record.verdict(), replayed.finished.record.clone());
    assert_eq!(
        record.judgement.checks.len(),
        record.plan.expectations.len() + 1,
        "and `body`"
    );
    Ok(replayed)
}

/// Everything that a body can do, and then it gives up. As it lies on disk.
fn recorded() -> Record {
    let record = fail(&spec("replay", "1n1l2c1t", STANDARD, "scx_baton"), |rig| {
        let ls = rig.put_program("/bin/ls")?;
        rig.put_file("/data/bytes", 0o640, b"\xff\x00\x7f")?;
        assert!(rig.exec(&[&ls, "/data"], secs(10))?.0.success());
        // The kernel shows these bytes on its console, so they are evidence.
        rig.put_file("/dev/kmsg", 0o200, TO_CONSOLE)?;
        rig.note("release", rig.topology());
        let group = rig.cgroup("a").weight(200).spawn(Spin.workers(3))?;
        rig.run_for(millis(200))?;
        rig.read_file("/data/bytes")?;
        rig.stop_scheduler()?;
        let burst = Burst {
            sleep: millis(4),
            burst: millis(1),
        };
        rig.spawn(&group, &burst.jitter(50)?.workers(2))?;
        rig.run_for(millis(200))?;
        rig.start_scheduler("/opt/schedrig/bin/scx_baton", &[])?;
        rig.run_for(millis(100))?;
        rig.without("starvation");
        Err("that is all".into())
    });
    assert!(record.evidence.console.contains("put \u{fffd} here"));
    let directory = tempfile::tempdir().unwrap();
    record::load(&record::save(&record, directory.path()).unwrap()).unwrap()
}

/// Of the second level of importance, since the lower ones are not shown.
const TO_CONSOLE: &[u8] = b"<2>put \xff here\n";

#[test]
fn a_record_is_made_again_from_itself_and_the_first_difference_is_named() {
    let mut record = recorded();
    let options = ReplayOptions::default();
    let same = replay(&record, &options).unwrap();
    assert!(same.difference.is_none(), "{}", same.difference.unwrap());
    assert_eq!(same.finished.record.hash, record.hash);
    assert_eq!(same.finished.place, None, "the record is on disk already");

    record.evidence.windows[1].workers[0].work_units += 1;
    let other = replay(&record, &options).unwrap();
    let difference = other.difference.unwrap().to_string();
    assert!(
        difference.contains("window 1") && difference.contains("a/0"),
        "{difference}"
    );
}

#[test]
fn what_the_body_put_into_the_guest_is_put_again_from_the_record() {
    let mut record = recorded();
    let step = record
        .replay_inputs
        .as_mut()
        .unwrap()
        .script
        .iter_mut()
        .find_map(|step| match step {
            Op::PutFile(PutFile { path, content, .. }) if path == "/dev/kmsg" => Some(content),
            _ => None,
        });
    let content = step.unwrap();
    assert_eq!(content.bytes(), Some(TO_CONSOLE));
    // As long as the other: nothing else takes another time.
    *content = Content::of(b"<2>put \xff hers\n");
    let other = replay(&record, &ReplayOptions::default()).unwrap();
    let difference = other.difference.unwrap();
    assert_eq!(difference.channel, report::Channel::Console);
    assert!(
        difference.recorded.contains("here") && difference.replayed.contains("hers"),
        "{difference}"
    );
}

#[test]
fn what_is_not_here_as_it_was_is_said_before_any_machine_starts() {
    let record = recorded();
    let refuse = |record: &Record, expect: &str| {
        let error = replay(record, &ReplayOptions::default()).err().unwrap();
        let text = error.to_string();
        assert!(text.contains(expect), "{text}");
    };
    let mut without = record.clone();
    without.replay_inputs = None;
    refuse(&without, "does not hold what it takes");

    let mut newer = record.clone();
    newer.replay_inputs.as_mut().unwrap().manifest.executor = "QEMU 12.0.0".into();
    refuse(&newer, "executor: recorded QEMU 12.0.0, here QEMU 10");
    let anyway = ReplayOptions {
        anyway: true,
        ..ReplayOptions::default()
    };
    assert!(replay(&newer, &anyway).unwrap().difference.is_none());

    let mut changed = record;
    let scheduler = changed
        .replay_inputs
        .as_mut()
        .unwrap()
        .scheduler
        .as_mut()
        .unwrap();
    scheduler.files[0].sha256 = "00".repeat(32);
    refuse(&changed, "/opt/schedrig/bin/scx_baton");
}
