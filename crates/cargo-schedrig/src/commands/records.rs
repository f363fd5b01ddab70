//! `cargo schedrig records`: the records on disk.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use record::Listed;

use crate::exit::Exit;
use crate::page::{out, outln};
use crate::records::Records;
use crate::size::{age, size};

/// List, show and remove the records of runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the records, the newest first.
    List(List),
    /// Show what a record is and which files it has; `cargo schedrig report` shows its report.
    Show(Show),
    /// Remove records.
    Rm(Rm),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    records: Records,
    /// Print the list as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The record: its directory, its name, or the beginning of its hash.
    record: String,
    #[command(flatten)]
    records: Records,
    /// Print what the list has of it as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rm {
    /// Their names, or the beginnings of their hashes.
    #[arg(
        value_name = "RECORD",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    which: Vec<String>,
    /// Remove all of them.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    records: Records,
}

pub(crate) fn execute(command: &Command) -> anyhow::Result<Exit> {
    match command {
        Command::List(arguments) => list(arguments),
        Command::Show(arguments) => show(arguments),
        Command::Rm(arguments) => remove(arguments),
    }
}

fn list(arguments: &List) -> anyhow::Result<Exit> {
    let dir = arguments.records.directory()?;
    let listed = record::list(&dir)?;
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&listed)?);
    } else if listed.is_empty() {
        outln!("no records are in {}", dir.display());
    } else {
        for record in &listed {
            outln!("{}", line(record));
        }
        let bytes: u64 = listed.iter().map(|record| record.bytes).sum();
        outln!(
            "{}, {}, in {}",
            report::count(listed.len() as u64, "record"),
            size(bytes),
            dir.display()
        );
    }
    Ok(Exit::Pass)
}

fn show(arguments: &Show) -> anyhow::Result<Exit> {
    let place = arguments.records.find(&arguments.record)?;
    let record = record::describe(&place)?;
    if arguments.json {
        outln!("{}", serde_json::to_string_pretty(&record)?);
    } else {
        out!("{}", details(&record));
    }
    Ok(if record.damage.is_none() {
        Exit::Pass
    } else {
        Exit::Unavailable
    })
}

fn remove(arguments: &Rm) -> anyhow::Result<Exit> {
    let dir = arguments.records.directory()?;
    let which: Vec<String> = if arguments.all {
        record::list(&dir)?
            .into_iter()
            .map(|record| record.name)
            .collect()
    } else {
        arguments.which.clone()
    };
    for which in &which {
        outln!("removed {}", line(&record::remove(which, &dir)?));
    }
    Ok(Exit::Pass)
}

/// `run-1aeadd426bb0  FAIL  81 KiB  3 hours ago  scx_baton on 7.2.13, 1n2l2c1t, seed 7`.
fn line(record: &Listed) -> String {
    let (verdict, what) = match &record.about {
        Some(about) if record.damage.is_none() => (about.verdict.word(), title(&about.plan)),
        Some(about) => ("damaged", title(&about.plan)),
        None => ("damaged", String::new()),
    };
    format!(
        "{:24}  {verdict:12}  {:>8}  {:>14}  {what}",
        record.name,
        size(record.bytes),
        age(record.written_s)
    )
}

fn title(plan: &record::Plan) -> String {
    let scheduler = plan.scheduler.as_ref().map_or("eevdf".to_owned(), |scheduler| {
        [std::slice::from_ref(&scheduler.program), &scheduler.args]
            .concat()
            .join(" ")
    });
    let (release, topology, seed) = (&plan.kernel.release, plan.topology, plan.seed);
    format!("{scheduler} on {release}, {topology}, seed {seed}")
}

fn details(record: &Listed) -> String {
    let mut text = format!("{}\n", record.place.display());
    if let Some(about) = &record.about {
        let _ = writeln!(
            text,
            "  {}  {}  ({})",
            about.verdict,
            about.plan.name,
            title(&about.plan)
        );
        let _ = writeln!(text, "  hash {}", about.hash);
    }
    if let Some(damage) = &record.damage {
        let _ = writeln!(text, "  damaged: {damage}");
    }
    let _ = writeln!(
        text,
        "  written {}, {}\n",
        age(record.written_s),
        size(record.bytes)
    );
    for file in &record.files {
        let _ = writeln!(text, "  {:>10}  {}", file.bytes, file.path);
    }
    if let Some(about) = record.about.as_ref().filter(|about| !about.replay.is_empty()) {
        let _ = writeln!(
            text,
            "\n  replay exactly this run: {} replay {}",
            crate::shell::program(),
            about.hash.short()
        );
        let _ = writeln!(text, "  without its record: {}", about.replay);
    }
    text
}
