//! `cargo schedrig saves`: the saved machines in the cache.

use clap::{Args, Subcommand};
use saves::{Listed, Store};

use crate::exit::Exit;
use crate::page::outln;
use crate::size::{age, mib};

/// List and remove saved machines; a run boots and saves what it needs.
#[derive(Debug, Subcommand)]
pub(crate) enum Saves {
    /// List the saved machines, most recently used first.
    List(List),
    /// Remove a saved machine, or all of them.
    Rm(Rm),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print the list as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Rm {
    /// The beginning of its key.
    #[arg(value_name = "KEY")]
    which: Option<String>,
    /// Remove all of them.
    #[arg(long)]
    all: bool,
}

pub(crate) fn execute(saves: &Saves) -> anyhow::Result<Exit> {
    let store = Store::open_default()?;
    match saves {
        Saves::List(arguments) => list(&store, arguments),
        Saves::Rm(arguments) => {
            let removed = match &arguments.which {
                Some(which) => vec![store.remove(which)?],
                None => store.clear()?,
            };
            for save in &removed {
                outln!("removed {}", shown(save));
            }
            Ok(Exit::Pass)
        }
    }
}

fn list(store: &Store, arguments: &List) -> anyhow::Result<Exit> {
    let saves = store.list()?;
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&saves)?);
    } else if saves.is_empty() {
        outln!("no saved machines are in {}", store.directory().display());
    } else {
        for save in &saves {
            outln!("{}", shown(save));
        }
        let bytes: u64 = saves.iter().map(|save| save.bytes).sum();
        outln!("{} MiB in {}", mib(bytes), store.directory().display());
    }
    Ok(Exit::Pass)
}

fn shown(save: &Listed) -> String {
    let word = |field: &str| save.manifest[field].as_str().unwrap_or("?").to_owned();
    let what = match &save.damage {
        None => format!(
            "{}  {}  {} MiB RAM",
            word("topology"),
            word("kernel_release"),
            save.manifest["memory_mib"]
        ),
        Some(damage) => format!("damaged: {damage}; a run that needs it boots and saves it again"),
    };
    let used = format!("used {}", age(save.last_used_s));
    format!(
        "{:12.12}  {:>6} MiB  {used:>19}  {what}",
        save.key,
        mib(save.bytes)
    )
}
