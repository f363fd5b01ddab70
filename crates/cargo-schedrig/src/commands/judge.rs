//! `cargo schedrig judge`: judges a record again, with other limits.

use anyhow::Context as _;
use check::Run;
use clap::Args;
use record::{Expectation, Record};
use report::Model;
use spec::GroupName;

use crate::exit::{Exit, Usage};
use crate::page::{note, out, outln};
use crate::records::Records;
use crate::{page, shell};

/// Judge a recorded run again, with other limits, and report which checks changed. Needs no machine; the record stays as
/// it is.
///
/// The exit code is that of the new verdict: 0 passed or skipped, 1 failed, 2 inconclusive; 64: there is no such check;
/// 69: there is no such record, or it cannot be read.
#[derive(Debug, Args)]
#[command(after_help = format!("Checks:\n{}", check::help()))]
pub(crate) struct Judge {
    /// The record: its directory, its name, or the beginning of its hash.
    record: String,

    /// A check in the place of the recorded one, as in `starvation=500ms` or `share:a,b=5%`; one that the run
    /// was not held to is added. Can be given several times.
    #[arg(long = "check", value_name = "NAME[:GROUPS][=LIMIT]", value_parser = check::parse)]
    checks: Vec<Expectation>,

    #[command(flatten)]
    records: Records,

    /// Print the summary as JSON, with the changes.
    #[arg(long)]
    json: bool,
}

/// A check of groups that the run does not have can only be meant otherwise.
fn groups_exist(check: &Expectation, record: &Record) -> Result<(), Usage> {
    let named: &[GroupName] = match check {
        Expectation::GroupShare { groups, .. } => groups,
        Expectation::WorkerShare { group, .. } => std::slice::from_ref(group),
        _ => &[],
    };
    let groups = &record.evidence.groups;
    match named
        .iter()
        .find(|name| !groups.iter().any(|group| group.name == **name))
    {
        None => Ok(()),
        Some(name) => {
            if groups.is_empty() {
                return Err(Usage(format!(
                    "--check: the run made no group `{name}`: it ended before it made any"
                )));
            }
            let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
            Err(Usage(format!(
                "--check: the run has no group `{name}`; groups: {}",
                names.join(", ")
            )))
        }
    }
}

pub(crate) fn execute(arguments: &Judge) -> anyhow::Result<Exit> {
    let (place, mut record) = arguments.records.load(&arguments.record)?;
    for check in &arguments.checks {
        groups_exist(check, &record)?;
        check::relimit(&mut record.plan.expectations, check.clone());
    }
    let judgement = check::judge(Run::from(&record), &record.plan.expectations);
    let recorded = std::mem::replace(&mut record.judgement, judgement);
    let changes = report::changes(&recorded, &record.judgement);
    let model = Model::of(&record).kept(Some(shell::replay(&place, &record)));
    if arguments.json {
        let mut summary = serde_json::to_value(report::json::of(&model)).context("make the summary")?;
        summary["changes"] =
            serde_json::to_value(report::json::changes(&changes)).context("list the changes")?;
        summary["record"] = place.display().to_string().into();
        outln!("{summary:#}");
    } else {
        out!("{}", report::text::fit(&model, page::width()));
        out!("{}", report::text::changes(&changes));
        note!("  record in {}", place.display());
    }
    Ok(record.verdict().into())
}
