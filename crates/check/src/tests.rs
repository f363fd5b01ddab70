//! The judgement as a whole.

use record::{End, Expectation, Source, Verdict};

use crate::fixtures::{run, worker};
use crate::{Run, defaults, judge, kind};

#[test]
fn every_expectation_is_one_check_in_their_order_and_the_end_comes_first() {
    let mut evidence = run(vec![worker("a", 0), worker("a", 1)]);
    evidence.end = End::GuestExited {
        during: "while waiting".into(),
    };
    let run = Run {
        evidence: &evidence,
        series: None,
    };
    let expectations = defaults();
    let judgement = judge(run, &expectations);
    let names: Vec<&str> = judgement
        .checks
        .iter()
        .map(|check| check.check.as_str())
        .collect();
    let expect: Vec<&str> = expectations
        .iter()
        .map(|expectation| kind(expectation).name)
        .collect();
    assert_eq!(names, [vec!["end"], expect].concat());
    for (check, expectation) in judgement.checks[1..].iter().zip(&expectations) {
        assert_eq!(check.source, kind(expectation).source, "{}", check.check);
    }
    assert_eq!(judgement.verdict(), Verdict::Fail);
}

#[test]
fn checks_of_samples_are_skipped_without_a_monitor() {
    let evidence = run(vec![worker("a", 0), worker("a", 1)]);
    let run = Run {
        evidence: &evidence,
        series: None,
    };
    let judgement = judge(run, &[Expectation::CpusAdvance]);
    let [check] = judgement.checks.as_slice() else {
        panic!("{judgement:?}");
    };
    assert_eq!((check.verdict, check.source), (Verdict::Skip, Source::Samples));
    assert!(check.reason.contains("no monitor"), "{}", check.reason);
}

#[test]
fn the_default_checks_are_those_that_every_run_is_held_to() {
    let names: Vec<String> = defaults().iter().map(crate::text).collect();
    assert_eq!(
        names,
        [
            "scheduler",
            "ran",
            "stall=1s",
            "starvation=1s",
            "lost-worker",
            "kernel",
            "cpuset",
            "lost-time=10%",
            "work-conservation=50ms",
            "stuck-cpu"
        ]
    );
}
