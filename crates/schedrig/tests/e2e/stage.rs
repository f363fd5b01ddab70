//! What the tests have in common: kernels, runs with records of their own, readable failures.

use std::path::PathBuf;

use schedrig::{Attach, CheckResult, Outcome, Record, Replay, ReplayOptions, Rig, RunSpec, Verdict, run};

/// The newest kernel that is packaged, with sched_ext.
pub(crate) const NEWEST: &str = "apt:trixie-backports";
/// The kernel that tests run on unless they say otherwise: sched_ext and BTF.
pub(crate) const STANDARD: &str = "apt:sid";
/// A long-term kernel without sched_ext.
pub(crate) const LONGTERM: &str = "apt:bookworm-backports";

/// A run to be varied. Its records lie below cargo's directory for test files.
pub(crate) fn spec(name: &str, topology: &str, kernel: &str, scheduler: &str) -> RunSpec {
    let mut spec = RunSpec::new(name, topology.parse().unwrap()).unwrap();
    spec.kernel = kernel.parse().unwrap();
    spec.scheduler = scheduler.parse().unwrap();
    // One that is told to misbehave does so from its attach on: no two runs have a layer in common.
    if scheduler.contains(" --") {
        spec.attach = Attach::Fresh;
    }
    spec.records = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("records");
    spec
}

/// The record of a run with that verdict. There is no way to make a run without one.
pub(crate) fn judged(expect: Verdict, spec: &RunSpec, body: impl FnOnce(&mut Rig) -> Outcome) -> Record {
    match run(spec, &mut |_| {}, body) {
        Ok(finished) => of_verdict(expect, finished.record),
        Err(error) => panic!("{}: {error}: {:?}", spec.name, std::error::Error::source(&error)),
    }
}

/// The record of a run that must pass, by every check: those of the monitor's samples too.
pub(crate) fn pass(spec: &RunSpec, body: impl FnOnce(&mut Rig) -> Outcome) -> Record {
    judged(Verdict::Pass, spec, body)
}

/// The record of a run that must fail.
pub(crate) fn fail(spec: &RunSpec, body: impl FnOnce(&mut Rig) -> Outcome) -> Record {
    judged(Verdict::Fail, spec, body)
}

/// The record, which has that verdict.
pub(crate) fn of_verdict(expect: Verdict, record: Record) -> Record {
    assert_eq!(record.verdict(), expect, "{}", report::detail(&record));
    record
}

/// The outcome of the check of that name.
pub(crate) fn check<'r>(record: &'r Record, name: &str) -> &'r CheckResult {
    let found = record.judgement.checks.iter().find(|check| check.check == name);
    found.unwrap_or_else(|| panic!("no check `{name}`: {}", report::detail(record)))
}

/// Makes the run again from its record alone, warm or cold: it must be the same.
pub(crate) fn replayed(record: &Record, warm: bool) {
    let options = ReplayOptions {
        warm,
        ..ReplayOptions::default()
    };
    let replay = Replay::new(record.clone(), &options, &mut |_| {}).unwrap();
    let replayed = replay.run(&mut |_| {}).unwrap();
    assert!(replayed.difference.is_none(), "{:?}", replayed.difference);
}
