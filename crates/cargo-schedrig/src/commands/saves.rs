//! `cargo schedrig saves`: the saved machines in the cache.

use clap::{Args, Subcommand};
use saves::{Listed, Store};
use serde_json::Value;

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
        for (save, on_top) in tree(&saves) {
            outln!("{}", shown(save));
            for (nth, save) in on_top.iter().enumerate() {
                let branch = if nth + 1 == on_top.len() { '└' } else { '├' };
                outln!("{branch} {}", shown(save));
            }
        }
        let bytes: u64 = saves.iter().map(|save| save.bytes).sum();
        outln!("{} MiB in {}", mib(bytes), store.directory().display());
    }
    Ok(Exit::Pass)
}

/// Each booted machine, with those on top of it. One whose machine below is gone stands alone.
fn tree(saves: &[Listed]) -> Vec<(&Listed, Vec<&Listed>)> {
    let below = |save: &Listed| save.manifest.get("below").cloned();
    let is_there = |manifest: &Value| saves.iter().any(|save| save.manifest == *manifest);
    let roots = saves
        .iter()
        .filter(|save| below(save).is_none_or(|below| !is_there(&below)));
    let on_top = |root: &Listed| {
        let stands_on = |save: &&Listed| below(save).as_ref() == Some(&root.manifest);
        saves.iter().filter(stands_on).collect()
    };
    roots.map(|root| (root, on_top(root))).collect()
}

/// `1n1l2c1t  7.2.13  1568 MiB RAM`, and the scheduler that is attached, if there is one.
fn described(manifest: &Value) -> String {
    let word = |manifest: &Value, field: &str| manifest[field].as_str().unwrap_or("?").to_owned();
    let machine = manifest.get("below").unwrap_or(manifest);
    let shape = format!(
        "{}  {}  {} MiB RAM",
        word(machine, "topology"),
        word(machine, "kernel_release"),
        machine["memory_mib"]
    );
    if manifest.get("below").is_none() {
        return shape;
    }
    let args = manifest["args"].as_array().into_iter().flatten();
    let words = args.filter_map(|arg| arg.as_str().map(str::to_owned));
    let command: Vec<String> = std::iter::once(word(manifest, "scheduler"))
        .chain(words)
        .collect();
    format!("{shape}  {} attached", command.join(" "))
}

fn shown(save: &Listed) -> String {
    let what = match &save.damage {
        None => described(&save.manifest),
        Some(damage) => format!("damaged: {damage}; a run that needs it boots and saves it again"),
    };
    let used = format!("used {}", age(save.last_used_s));
    format!(
        "{:12.12}  {:>6} MiB  {used:>19}  {what}",
        save.key,
        mib(save.bytes)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_machine_is_described_with_what_is_attached_in_it() {
        let machine = json!({"topology": "1n1l2c1t", "kernel_release": "7.2", "memory_mib": 1552});
        assert_eq!(described(&machine), "1n1l2c1t  7.2  1552 MiB RAM");
        let attached = json!({"below": machine, "scheduler": "scx_x", "args": ["-m", "0x3"]});
        let expect = "1n1l2c1t  7.2  1552 MiB RAM  scx_x -m 0x3 attached";
        assert_eq!(described(&attached), expect);
        assert_eq!(described(&json!(null)), "?  ?  null MiB RAM");
    }
}
