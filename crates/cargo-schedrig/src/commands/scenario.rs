//! `cargo schedrig check`, `new`, `show`, `list`: scenarios and their files, without a machine.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use scenario::{CANNED, SUFFIX, TEMPLATE, show};

use super::flags;
use super::run::Run;
use crate::exit::{Exit, Usage};
use crate::page::{note, out, outln};

/// Say what is wrong with scenarios' files. Starts no machine.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The files.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

/// Write a scenario's file to begin from, with each thing that can be said explained in it.
#[derive(Debug, Args)]
#[command(after_help = "Example: cargo schedrig new shares        writes shares.rig.toml")]
pub(crate) struct New {
    /// Its name, or its file.
    name: String,
}

/// Show what a scenario's file or a set of flags means: as a file, as a test in Rust.
///
/// FILE and the flags are those of `cargo schedrig run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples: cargo schedrig show shares --as rust
          cargo schedrig show --topology 1n2l4c1t --group a:spin:8 --for 1s > mine.rig.toml")]
pub(crate) struct Show {
    /// As what.
    #[arg(long = "as", value_name = "FORM", default_value = "toml")]
    form: Form,

    #[command(flatten)]
    run: Run,
}

/// The forms of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A scenario's file.
    Toml,
    /// A test, for the crate `schedrig`.
    Rust,
}

/// List the scenarios that come with the rig; `cargo schedrig run NAME` runs one.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Print the JSON Schema of scenarios' files, by which editors complete them.
#[derive(Debug, Args)]
#[command(after_help = "Example: cargo schedrig schema > rig.schema.json
         and in the file's first line: #:schema ./rig.schema.json")]
pub(crate) struct SchemaArgs {}

pub(crate) fn check(arguments: &Check) -> anyhow::Result<Exit> {
    let mut exit = Exit::Pass;
    for file in &arguments.files {
        match scenario::read(file, None) {
            Ok(scenario) => {
                let (topology, span) = (scenario.machine.topology, scenario.runs_for());
                outln!("{}: well; {topology}, the workers run for {span}", file.display());
            }
            Err(error) => {
                note!("error: {:#}", anyhow::Error::from(error));
                exit = Exit::Usage;
            }
        }
    }
    Ok(exit)
}

pub(crate) fn new(arguments: &New) -> anyhow::Result<Exit> {
    let name = &arguments.name;
    let path = Path::new(name);
    let stem = path.file_name().unwrap_or_default().to_string_lossy();
    if stem.is_empty()
        || stem.starts_with(['.', '-'])
        || name.ends_with('/')
        || name.contains(char::is_control)
    {
        return Err(Usage(format!(
            "{name:?} cannot name a file of a scenario; write a name as in `shares`"
        ))
        .into());
    }
    if path
        .parent()
        .is_some_and(|parent| !parent.as_os_str().is_empty() && !parent.is_dir())
    {
        return Err(Usage(format!("{name}: there is no such directory; make it first")).into());
    }
    let file = if name.ends_with(".toml") {
        name.clone()
    } else {
        format!("{name}{SUFFIX}")
    };
    let opened = OpenOptions::new().write(true).create_new(true).open(&file);
    let mut opened = match opened {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Usage(format!("{file} is there already; give another name")).into());
        }
        opened => opened.with_context(|| format!("make {file}"))?,
    };
    opened
        .write_all(TEMPLATE.as_bytes())
        .with_context(|| format!("write {file}"))?;
    outln!("{file}");
    note!("  make a run of it: cargo schedrig run {file}");
    Ok(Exit::Pass)
}

pub(crate) fn show(arguments: &Show) -> anyhow::Result<Exit> {
    let scenario = flags::scenario(&arguments.run)?;
    match arguments.form {
        Form::Toml => out!("{}", show::toml(&scenario)),
        Form::Rust => {
            let machine = &scenario.machine;
            if !machine.kernel_args.is_empty() || machine.shift.is_some() {
                note!(
                    "warning: the test's attribute has no word for kernel arguments and a shift: they are left out"
                );
            }
            out!("{}", show::rust(&scenario));
        }
    }
    Ok(Exit::Pass)
}

pub(crate) fn list(arguments: &List) -> anyhow::Result<Exit> {
    let mut rows = Vec::new();
    for canned in CANNED {
        let scenario = flags::read(canned.name, None)?;
        rows.push((
            canned.name,
            scenario.machine.topology,
            scenario.about.unwrap_or_default(),
        ));
    }
    if arguments.json {
        let row = |(name, topology, about): &(&str, schedrig::Topology, String)| serde_json::json!({ "name": name, "topology": topology.to_string(), "about": about });
        outln!("{:#}", serde_json::Value::from_iter(rows.iter().map(row)));
        return Ok(Exit::Pass);
    }
    for (name, topology, about) in rows {
        outln!("{name:<10} {topology:<10} {about}");
    }
    Ok(Exit::Pass)
}

pub(crate) fn schema(_: &SchemaArgs) -> anyhow::Result<Exit> {
    outln!("{:#}", scenario::schema());
    Ok(Exit::Pass)
}
