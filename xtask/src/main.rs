//! `cargo xtask`: the project's own commands, one file each.
#![forbid(unsafe_code)]

mod bench;
mod cli;
mod demo;
mod process;
mod schedrig;
mod setup;
mod test;
mod tidy;
mod workspace;

fn main() -> std::process::ExitCode {
    cli::run()
}
