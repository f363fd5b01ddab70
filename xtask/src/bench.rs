//! `cargo xtask bench`: builds the benchmarks as users would build the product, and runs them.

use std::time::Duration;

use anyhow::Result;

use crate::{process, setup, workspace};

/// Measures, and prints each figure with its unit, its spread and its peer's value, if it has a peer.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Samples of each figure; the median is reported.
    #[arg(long, value_name = "N", default_value_t = 5)]
    samples: u32,
    /// Only benchmarks whose name contains this.
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// Deadline: an optimised build from scratch, and all benchmarks on a slow machine.
const DEADLINE: Duration = Duration::from_secs(60 * 60);

/// Runs `cargo xtask bench`.
pub(crate) fn exec(args: &Args) -> Result<()> {
    setup::ensure()?;
    // The benchmarks find it beside themselves.
    let mut scheduler = workspace::cargo("build --quiet --release --package scx_baton");
    process::run(&mut scheduler, DEADLINE)?;
    let mut command =
        workspace::cargo("run --quiet --release --package xtask --features bench --bin xtask-bench --");
    command.args(["--samples", &args.samples.to_string()]);
    command.args(args.json.then_some("--json")).args(&args.name);
    process::run(&mut command, DEADLINE)
}
