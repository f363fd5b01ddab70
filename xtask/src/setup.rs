//! `cargo xtask setup`: what a fresh machine needs to build, test and demonstrate the project.
//!
//! ```text
//! needs    the needs, each with a probe
//!   │ missing
//! plan     the packages and their suites (pure)
//!   │ steps
//! apt      queries to the machine's apt, and installation
//! ```
//!
//! Installs as root on a Debian machine, and prints the same steps as commands anywhere else.

mod apt;
mod needs;
mod plan;
mod source;
mod version;

use anyhow::{Result, bail};

use needs::{Found, Need};

pub(crate) use needs::clang;

/// Installs what is missing, or prints the commands for it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only check: print what is missing and the commands that install it.
    #[arg(long)]
    check: bool,
}

/// Runs `cargo xtask setup`.
pub(crate) fn exec(args: &Args) -> Result<()> {
    let missing = probe(true);
    if missing.is_empty() {
        println!("nothing to install");
        return Ok(());
    }
    install(&missing, args.check)
}

/// Installs what is missing, quietly when nothing is; for the commands that need a complete machine.
pub(crate) fn ensure() -> Result<()> {
    let missing = probe(false);
    if missing.is_empty() {
        Ok(())
    } else {
        install(&missing, false)
    }
}

/// The needs that this machine does not meet. `all`: print those it meets, too.
fn probe(all: bool) -> Vec<&'static Need> {
    let mut missing = Vec::new();
    for need in needs::NEEDS {
        match (need.probe)() {
            Found::Yes(what) if all => println!("  found    {:<12} {what}", need.name),
            Found::Yes(_) => {}
            Found::No(why) => {
                println!("  MISSING  {:<12} {why} (for {})", need.name, need.purpose);
                missing.push(need);
            }
        }
    }
    missing
}

fn install(missing: &[&'static Need], check: bool) -> Result<()> {
    let names = missing
        .iter()
        .map(|need| need.name)
        .collect::<Vec<_>>()
        .join(", ");
    let Some(machine) = apt::Machine::detect()? else {
        bail!(
            "install {names} with this machine's package manager, then run `cargo xtask setup` again; it knows only apt"
        );
    };
    let mut facts = machine.facts(missing)?;
    if plan::lacks_index(missing, &facts) && machine.is_root && !check {
        machine.update();
        facts = machine.facts(missing)?;
    }
    let plan = plan::plan(missing, &facts)?;
    if check || !machine.is_root {
        println!("\nas root:\n\n{}", plan.commands());
        bail!(
            "missing: {names}; {}",
            if machine.is_root {
                "run `cargo xtask setup`"
            } else {
                "run the commands above as root"
            }
        );
    }
    machine.execute(&plan)?;
    let still = probe(false);
    if still.is_empty() {
        println!("installed {names}");
        return Ok(());
    }
    bail!("the packages are installed, but needs are still missing; see the list above")
}
