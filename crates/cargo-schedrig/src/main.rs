//! The command line of schedrig: `cargo schedrig run`, `sweep`, `report`, `judge`, `replay`, `inspect`, `records`,
//! `kernel`, `saves`, `doctor`.
//!
//! One file a subcommand, each with its arguments and its `execute`. Standard output holds results, the same for
//! the same execution; host times and progress go to standard error.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod exit;
mod group;
mod page;
mod progress;
mod prompt;
mod query;
mod records;
mod seeds;
mod shell;
mod size;
mod sweep;

use std::process::ExitCode;

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("SCHEDRIG_LOG"))
        .with_writer(std::io::stderr)
        .init();
    cli::main()
}
