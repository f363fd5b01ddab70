//! `cargo xtask`: the project's own commands, one file each.
#![forbid(unsafe_code)]

mod attach;
mod bench;
mod campaign;
mod cli;
mod demo;
mod process;
mod published;
mod schedrig;
mod setup;
mod soak;
mod test;
mod tidy;
mod workspace;

fn main() -> std::process::ExitCode {
    cli::run()
}
