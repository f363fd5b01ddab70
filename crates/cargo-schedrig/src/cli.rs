//! The top of the command line: dispatches to a subcommand, and turns its errors into exit codes.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{doctor, inspect, judge, kernel, records, replay, report, run, saves, scenario, sweep};
use crate::exit::Exit;
use crate::page::{self, note};

/// As cargo calls it: `cargo-schedrig schedrig …`.
#[derive(Debug, Parser)]
#[command(name = "cargo", bin_name = "cargo")]
enum Cargo {
    Schedrig(Schedrig),
}

/// Test Linux process schedulers on the real kernel, deterministically.
///
/// Exit codes: 0 passed or skipped, 1 failed, 2 inconclusive, 64 wrong usage, 69 something required is missing or
/// cannot be used (QEMU, a kernel, a scheduler, a record), 70 the rig itself failed, 130 interrupted.
#[derive(Debug, clap::Args)]
#[command(version, arg_required_else_help = true)]
struct Schedrig {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Run>),
    Sweep(sweep::Sweep),
    New(scenario::New),
    Check(scenario::Check),
    Show(Box<scenario::Show>),
    List(scenario::List),
    Schema(scenario::SchemaArgs),
    Report(report::Report),
    Judge(judge::Judge),
    Replay(replay::ReplayArgs),
    Inspect(inspect::Inspect),
    #[command(subcommand)]
    Records(records::Command),
    #[command(subcommand)]
    Kernel(kernel::Kernel),
    #[command(subcommand)]
    Saves(saves::Saves),
    Doctor(doctor::Doctor),
}

pub(crate) fn main() -> ExitCode {
    let Cargo::Schedrig(arguments) = match Cargo::try_parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            // Help and version go to standard output and are no error. A closed pipe is no error either.
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage.into()
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let result = match &arguments.command {
        Command::Run(run) => run::execute(run),
        Command::Sweep(sweep) => sweep::execute(sweep),
        Command::New(new) => scenario::new(new),
        Command::Check(check) => scenario::check(check),
        Command::Show(show) => scenario::show(show),
        Command::List(list) => scenario::list(list),
        Command::Schema(schema) => scenario::schema(schema),
        Command::Report(report) => report::execute(report),
        Command::Judge(judge) => judge::execute(judge),
        Command::Replay(replay) => replay::execute(replay),
        Command::Inspect(inspect) => inspect::execute(inspect),
        Command::Records(records) => records::execute(records),
        Command::Kernel(kernel) => kernel::execute(kernel),
        Command::Saves(saves) => saves::execute(saves),
        Command::Doctor(doctor) => doctor::execute(doctor),
    };
    let exit = match result {
        Ok(exit) => exit,
        Err(error) => {
            note!("error: {error:#}");
            Exit::of(&error)
        }
    };
    match page::failed() {
        None => exit.into(),
        Some(error) => {
            note!("error: write to standard output: {error}");
            Exit::Software.into()
        }
    }
}
