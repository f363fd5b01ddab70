//! `cargo xtask campaign`: many published schedulers, kernels and machines, judged by the default checks.
//!
//! Outside of CI, for its length. A good scheduler that fails is a false alarm, or a finding; a scheduler with a known fault
//! that passes is a blind spot. [`table`] says what is run and what is to come out, [`results`] shows what came out.

mod results;
mod table;

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::{process, schedrig, setup, workspace};

use results::{Outcome, Results};
use table::{CAMPAIGN, Entry, Scheduler};

/// Runs published schedulers under the default checks, and compares what comes out with what should.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only entries whose name contains this.
    #[arg(value_name = "NAME")]
    only: Option<String>,
    /// Write the results into docs/campaign.md; only for a whole campaign.
    #[arg(long, conflicts_with = "only")]
    write: bool,
}

const BUILD: Duration = Duration::from_secs(40 * 60);
/// A boot, a scheduler that loads slowly, a second of load, and the same again to trace a failure.
const RUN: Duration = Duration::from_secs(20 * 60);
/// Where the results are kept.
const PAGE: &str = "docs/campaign.md";

/// Runs `cargo xtask campaign`.
pub(crate) fn exec(args: &Args) -> Result<()> {
    setup::ensure()?;
    let target = workspace::target_dir()?;
    let mut build = workspace::cargo("build --quiet --package cargo-schedrig --package scx_baton");
    process::run(&mut build, BUILD)?;
    let schedulers = target.join("schedulers");
    let chosen = |entry: &&Entry| args.only.as_ref().is_none_or(|only| entry.name().contains(only));
    let mut results = Results::default();
    for entry in CAMPAIGN.iter().filter(chosen) {
        let program = match entry.scheduler {
            Scheduler::Eevdf => "eevdf".to_owned(),
            Scheduler::Published(published, options) => {
                let program = published.ensure(&schedulers)?;
                format!("{} {options}", program.display()).trim_end().to_owned()
            }
        };
        for scenario in entry.scenarios {
            let mut run = schedrig::command(&target);
            run.args(["run", "--json", "--no-auto-repro", "--kernel", entry.kernel])
                .args(["--scheduler", &program, "--name", "campaign"])
                .args(scenario.arguments.split(' '))
                .env("SCHEDRIG_RECORDS", target.join("campaign"));
            let outcome = outcome(&mut run)?;
            println!("{}", results.add(entry, scenario, outcome));
        }
    }
    if args.write {
        std::fs::write(workspace::root().join(PAGE), results.page())?;
    }
    match results.unexpected() {
        0 => Ok(()),
        unexpected => bail!(
            "{unexpected} of {} runs came out as they should not",
            results.len()
        ),
    }
}

/// What came out of a run: of one that could not be judged or failed, too.
fn outcome(run: &mut Command) -> Result<Outcome> {
    let answer = process::answer_of(run, RUN, &[0, 1, 2])?;
    Ok(Outcome::of(&serde_json::from_str(&answer)?))
}
