//! `cargo schedrig report`: shows a record again.

use anyhow::Context as _;
use clap::Args;
use report::Model;

use crate::exit::Exit;
use crate::page::{note, out, outln};
use crate::records::Records;
use crate::{page, shell};

/// Show the report of a recorded run again. Needs no machine.
///
/// The exit code is that of the run: 0 passed or skipped, 1 failed, 2 inconclusive; 69: there is no such record, or it
/// cannot be read.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// The record: its directory, its name, or the beginning of its hash.
    record: String,

    #[command(flatten)]
    records: Records,

    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(arguments: &Report) -> anyhow::Result<Exit> {
    let (place, record) = arguments.records.load(&arguments.record)?;
    let model = Model::of(&record).kept(Some(shell::replay(&place, &record)));
    if arguments.json {
        let mut summary = serde_json::to_value(report::json::of(&model)).context("make the summary")?;
        summary["record"] = place.display().to_string().into();
        outln!("{summary:#}");
    } else {
        out!("{}", report::text::fit(&model, page::width()));
        note!("  record in {}", place.display());
    }
    Ok(record.verdict().into())
}
