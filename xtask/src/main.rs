//! `cargo xtask`: the project's own commands, one file each.
#![forbid(unsafe_code)]

mod cli;
mod process;
mod setup;
mod tidy;
mod workspace;

fn main() -> std::process::ExitCode {
    cli::run()
}
