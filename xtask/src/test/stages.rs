//! The stages: a table, and a function for each stage.

use std::fmt;
use std::time::Duration;

use anyhow::Result;

use crate::published::Published;
use crate::workspace::cargo;
use crate::{setup, tidy};

use super::fuzz;
use super::lane::Lane;

/// A stage's name, on the command line and in the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    /// Checking the machine for required programs and libraries.
    Setup,
    /// rustfmt.
    Fmt,
    /// The project's own rules.
    Tidy,
    /// Building everything that is tested.
    Build,
    /// clippy, warnings denied.
    Clippy,
    /// rustdoc, warnings denied.
    Doc,
    /// Tests without a VM.
    Unit,
    /// Fetching kernels.
    Kernels,
    /// Building a published scheduler.
    Schedulers,
    /// Tests that boot kernels.
    E2e,
    /// Fuzz targets.
    Fuzz,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Name::Setup => "setup",
            Name::Fmt => "fmt",
            Name::Tidy => "tidy",
            Name::Build => "build",
            Name::Clippy => "clippy",
            Name::Doc => "doc",
            Name::Unit => "unit",
            Name::Kernels => "kernels",
            Name::Schedulers => "schedulers",
            Name::E2e => "e2e",
            Name::Fuzz => "fuzz",
        })
    }
}

/// A stage.
pub(crate) struct Stage {
    /// The stage's name.
    pub(crate) name: Name,
    /// The stages that must have passed before this one.
    pub(crate) needs: &'static [Name],
    /// The stage's work.
    pub(crate) run: fn(&mut Lane) -> Result<()>,
}

/// All stages, in order: cheap and often failing ones first, those that boot machines last.
pub(crate) const STAGES: &[Stage] = &[
    Stage {
        name: Name::Setup,
        needs: &[],
        run: |_| setup::ensure(),
    },
    Stage {
        name: Name::Fmt,
        needs: &[],
        run: fmt,
    },
    Stage {
        name: Name::Tidy,
        needs: &[],
        run: |_| tidy::exec(&tidy::Args {}),
    },
    Stage {
        name: Name::Build,
        needs: &[Name::Setup],
        run: build,
    },
    Stage {
        name: Name::Clippy,
        needs: &[Name::Setup],
        run: clippy,
    },
    Stage {
        name: Name::Doc,
        needs: &[Name::Setup],
        run: doc,
    },
    Stage {
        name: Name::Unit,
        needs: &[Name::Build],
        run: unit,
    },
    Stage {
        name: Name::Kernels,
        needs: &[Name::Build],
        run: |lane| lane.kernel().map(|_| ()),
    },
    Stage {
        name: Name::Schedulers,
        needs: &[Name::Setup],
        run: schedulers,
    },
    Stage {
        name: Name::E2e,
        needs: &[Name::Kernels],
        run: e2e,
    },
    Stage {
        name: Name::Fuzz,
        needs: &[Name::Setup],
        run: fuzz::run,
    },
];

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

/// The published scheduler of the end-to-end tests.
const PUBLISHED: Published = Published {
    name: "scx_bpfland",
    version: "1.1.4",
};

fn fmt(lane: &mut Lane) -> Result<()> {
    lane.run(&mut cargo("fmt --all --check"), minutes(2))?;
    lane.run(
        &mut cargo("fmt --manifest-path fuzz/Cargo.toml --check"),
        minutes(2),
    )
}

fn build(lane: &mut Lane) -> Result<()> {
    lane.run(&mut cargo("build --workspace"), minutes(20))?;
    lane.run(&mut cargo("test --workspace --no-run"), minutes(15))
}

fn clippy(lane: &mut Lane) -> Result<()> {
    for scope in ["--workspace", "--package xtask --features bench"] {
        let mut command = cargo(&format!(
            "clippy --all-targets --keep-going {scope} -- --deny warnings"
        ));
        lane.run(&mut command, minutes(15))?;
    }
    Ok(())
}

fn doc(lane: &mut Lane) -> Result<()> {
    let mut command = cargo("doc --workspace --no-deps --keep-going");
    lane.run(command.env("RUSTDOCFLAGS", "--deny warnings"), minutes(10))
}

fn unit(lane: &mut Lane) -> Result<()> {
    lane.run(
        &mut cargo("test --workspace --lib --bins --no-fail-fast"),
        minutes(15),
    )?;
    lane.run(&mut cargo("test --workspace --doc --no-fail-fast"), minutes(10))
}

/// Builds the scheduler in a kept directory, since cargo would otherwise build from scratch in a temporary one.
fn schedulers(lane: &mut Lane) -> Result<()> {
    let mut command = PUBLISHED.install(&lane.schedulers());
    lane.run(&mut command, minutes(20))
}

/// Runs two machines at a time: each keeps one host CPU busy.
fn e2e(lane: &mut Lane) -> Result<()> {
    let kernel = lane.kernel()?;
    let mut command = cargo("test --workspace --test * --no-fail-fast -- --test-threads 2");
    command.env("SCHEDRIG_TEST_KERNEL", kernel);
    let published = PUBLISHED.program(&lane.schedulers());
    if published.is_file() {
        command.env("SCHEDRIG_TEST_BPFLAND", published);
    }
    lane.run(&mut command, minutes(40))
}
