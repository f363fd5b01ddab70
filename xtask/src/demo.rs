//! `cargo xtask demo`: two groups compete under two schedulers on a stock distribution kernel, each verdict with its numbers.
//!
//! Standard output is a function of the seed (and of the kernel and QEMU that the machine has); the host's
//! progress and times go to standard error.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{process, schedrig, setup, workspace};

/// Shows a test of EEVDF and one of a sched_ext scheduler, on a real kernel.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The seed; another seed is another execution.
    #[arg(long, value_name = "N", default_value_t = 7)]
    seed: u64,
}

const BUILD: Duration = Duration::from_secs(20 * 60);
/// Two guest seconds on four busy CPUs and a boot, on a slow and busy host.
const RUN: Duration = Duration::from_secs(10 * 60);

const KERNEL: &str = "apt:sid";
const SCENARIO: &str =
    "--topology 1n2l2c1t --group a:spin:4@llc0 --group b:spin:4@llc1 --for 2s --share 10 --fair 20";

/// Runs `cargo xtask demo`.
pub(crate) fn exec(args: &Args) -> Result<()> {
    setup::ensure()?;
    let target = workspace::target_dir()?;
    eprintln!("building");
    let mut build = workspace::cargo("build --quiet --package cargo-schedrig --package scx_baton");
    process::run(&mut build, BUILD)?;
    eprintln!("fetching the kernel {KERNEL}, unless it is cached");
    schedrig::fetch_kernel(&target, KERNEL)?;

    let baton = target.join("debug/scx_baton");
    let baton = baton
        .to_str()
        .context("the target directory's name is not UTF-8")?;
    for (title, scheduler) in [
        ("EEVDF, the kernel's own scheduler", "eevdf"),
        ("scx_baton, a sched_ext scheduler", baton),
    ] {
        println!("\n== {title} ==\n");
        let mut run = schedrig::command(&target);
        run.arg("run").args(SCENARIO.split(' ')).args([
            "--kernel",
            KERNEL,
            "--scheduler",
            scheduler,
            "--seed",
            &args.seed.to_string(),
        ]);
        process::run(&mut run, RUN)?;
    }
    println!(
        "\nThe same seed prints the same numbers again; `cargo xtask demo --seed {}` prints others.",
        args.seed.wrapping_add(1)
    );
    Ok(())
}
