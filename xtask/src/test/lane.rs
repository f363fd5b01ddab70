//! The state shared by the stages of one `cargo xtask test`: the remaining time, the count of tests, the kernels.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{process, schedrig, workspace};

use super::tally::Tally;

/// One run of the stages.
#[derive(Debug)]
pub(crate) struct Lane {
    /// The tests counted so far.
    pub(crate) tests: Tally,
    /// The fuzzing time of each target.
    pub(crate) fuzz_seconds: u64,
    target: PathBuf,
    end: Instant,
    kernel: Option<PathBuf>,
}

/// The kernels that the end-to-end tests request, prefetched into the store. [`Lane::kernel`] is the first.
const KERNELS: [&str; 6] = [
    "apt:sid",
    "apt:trixie-backports",
    "apt:bookworm-backports",
    "apt:sid/cloud-arm64",
    "apt:sid/arm64-16k",
    "apt:bookworm-backports/cloud-arm64",
];

/// Nothing remains to be built after the build stage.
const BUILD: Duration = Duration::from_secs(20 * 60);

impl Lane {
    /// A run with the deadline `end`.
    pub(crate) fn new(end: Instant, fuzz_seconds: u64) -> Result<Lane> {
        Ok(Lane {
            tests: Tally::default(),
            fuzz_seconds,
            target: workspace::target_dir()?,
            end,
            kernel: None,
        })
    }

    /// Cargo's target directory.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// The deadline of a child that may take `wanted`, capped by the remaining time.
    pub(crate) fn deadline(&self, wanted: Duration) -> Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            bail!("no time is left for this stage");
        }
        Ok(wanted.min(left))
    }

    /// Runs a command, prints its output, and counts the tests that it reports.
    pub(crate) fn run(&mut self, command: &mut Command, wanted: Duration) -> Result<()> {
        let deadline = self.deadline(wanted)?;
        println!("$ {}", process::shown(command));
        let tests = &mut self.tests;
        process::run_lines(command, deadline, &mut |line| {
            println!("{line}");
            tests.read(line);
        })
    }

    /// Builds the command line and fetches the kernels with it, once; returns the path of the first one's uncompressed image.
    pub(crate) fn kernel(&mut self) -> Result<PathBuf> {
        if let Some(kernel) = &self.kernel {
            return Ok(kernel.clone());
        }
        let mut build = workspace::cargo("build --package cargo-schedrig --package scx_baton");
        self.run(&mut build, BUILD)?;
        for request in KERNELS {
            let path = schedrig::fetch_kernel(&self.target, request)?;
            println!("{request}: {}", path.display());
            self.kernel.get_or_insert(path);
        }
        match &self.kernel {
            Some(kernel) => Ok(kernel.clone()),
            None => bail!("no kernel is configured"),
        }
    }

    /// The installation directory of published schedulers, kept between runs.
    pub(crate) fn schedulers(&self) -> PathBuf {
        self.target.join("schedulers")
    }
}
