//! `cargo xtask test`: all that CI runs, in stages.
//!
//! A failed stage does not stop the others: one run reports all failures. A stage whose prerequisite failed (nothing was
//! built, so nothing can be tested) is skipped. Each child process has a deadline, and all stages together end
//! before [`TOTAL`].
//!
//! The last line is `N passed, N failed`, alone, over the tests of all test programs; a stage that is no test
//! program counts as one failure when it fails.

mod fuzz;
mod lane;
mod stages;
mod tally;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::process;

use lane::Lane;
use stages::{STAGES, Stage};

/// Runs all that CI runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long each fuzz target runs, in seconds.
    #[arg(long, value_name = "N", default_value_t = 60)]
    fuzz_seconds: u64,
    /// Run only this stage; may be given several times.
    #[arg(long, value_name = "STAGE", value_enum)]
    only: Vec<stages::Name>,
}

/// Deadline of all stages together; CI's own is later.
const TOTAL: Duration = Duration::from_secs(78 * 60);

/// The outcome of a stage.
enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// Runs `cargo xtask test`.
pub(crate) fn exec(args: &Args) -> Result<ExitCode> {
    let mut lane = Lane::new(Instant::now() + TOTAL, args.fuzz_seconds)?;
    let mut results: Vec<(&Stage, Outcome, Duration)> = Vec::new();
    for stage in STAGES
        .iter()
        .filter(|stage| args.only.is_empty() || args.only.contains(&stage.name))
    {
        println!("\n==== {} ====", stage.name);
        let begin = Instant::now();
        let blocked = stage.needs.iter().find(|need| {
            results
                .iter()
                .any(|(other, outcome, _)| other.name == **need && !matches!(outcome, Outcome::Passed))
        });
        let outcome = match blocked {
            Some(need) => Outcome::Skipped(format!("{need} did not pass")),
            None => run(stage, &mut lane),
        };
        match &outcome {
            Outcome::Passed => {}
            Outcome::Failed(why) => println!("FAILED {}: {why}", stage.name),
            Outcome::Skipped(why) => println!("skipped {}: {why}", stage.name),
        }
        results.push((stage, outcome, begin.elapsed()));
        if process::stopped() {
            break;
        }
    }
    Ok(summarise(&results, &lane))
}

fn run(stage: &Stage, lane: &mut Lane) -> Outcome {
    let before = lane.tests.failed;
    match (stage.run)(lane) {
        Ok(()) => Outcome::Passed,
        Err(error) => {
            if lane.tests.failed == before {
                lane.tests.failed += 1;
            }
            Outcome::Failed(format!("{error:#}"))
        }
    }
}

fn summarise(results: &[(&Stage, Outcome, Duration)], lane: &Lane) -> ExitCode {
    for failure in &lane.tests.failures {
        println!("\n==== {} ====\n{}", failure.test, failure.said.join("\n"));
    }
    println!("\n==== summary ====");
    let mut total = Duration::ZERO;
    for (stage, outcome, time) in results {
        let (word, why) = match outcome {
            Outcome::Passed => ("ok", ""),
            Outcome::Failed(why) => ("FAILED", why.lines().next().unwrap_or_default()),
            Outcome::Skipped(why) => ("skipped", why.as_str()),
        };
        println!(
            "{:<12}{word:<9}{:>8.1} s  {why}",
            stage.name.to_string(),
            time.as_secs_f64()
        );
        total += *time;
    }
    println!("{:<12}{:<9}{:>8.1} s\n", "all", "", total.as_secs_f64());
    println!("{} passed, {} failed", lane.tests.passed, lane.tests.failed);
    let passed = |(_, outcome, _): &(&Stage, Outcome, Duration)| matches!(outcome, Outcome::Passed);
    if results.iter().all(passed) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
