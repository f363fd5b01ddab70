//! The command line: the commands, and their dispatch.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{attach, bench, campaign, demo, process, setup, soak, test, tidy};

/// The project's own commands; CI runs `cargo xtask test` and nothing else.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    Setup(setup::Args),
    Demo(demo::Args),
    Test(test::Args),
    Tidy(tidy::Args),
    Bench(bench::Args),
    Campaign(campaign::Args),
    Attach(attach::Args),
    Soak(soak::Args),
}

/// Parses the command line, runs the command and reports its error with the causes.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = process::catch_signals().and_then(|()| match cli.command {
        Task::Setup(args) => setup::exec(&args).map(|()| ExitCode::SUCCESS),
        Task::Demo(args) => demo::exec(&args).map(|()| ExitCode::SUCCESS),
        Task::Test(args) => test::exec(&args),
        Task::Campaign(args) => campaign::exec(&args).map(|()| ExitCode::SUCCESS),
        Task::Soak(args) => soak::exec(&args).map(|()| ExitCode::SUCCESS),
        Task::Attach(args) => attach::exec(&args).map(|()| ExitCode::SUCCESS),
        Task::Bench(args) => bench::exec(&args).map(|()| ExitCode::SUCCESS),
        Task::Tidy(args) => tidy::exec(&args).map(|()| ExitCode::SUCCESS),
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
