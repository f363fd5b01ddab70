//! The text view: the verdict first, then what is wrong and how it got there, a table of the groups, a table of the
//! checks, how to replay. The same text for the same execution.

mod history;
mod tables;

use record::{Observation, Verdict};

use crate::wording::{count, scheduler, visible};
use crate::{Change, Headline, Model, Sampled};

/// The verdict in one line: `PASS  fair_shares  (scx_baton on 7.2.13, 1n2l2c1t, seed 7)`.
pub fn headline(model: &Model<'_>) -> String {
    let Headline {
        verdict,
        name,
        kernel,
        topology,
        seed,
        ..
    } = &model.headline;
    let (scheduler, release) = (scheduler(model.headline.scheduler), &kernel.release);
    format!("{verdict}  {name}  ({scheduler} on {release}, {topology}, seed {seed})")
}

/// The whole report.
pub fn of(model: &Model<'_>) -> String {
    let mut text = headline(model) + "\n";
    for finding in model.findings() {
        text += &format!("\n  {}: {}\n", finding.check, visible(&finding.reason));
        text += &evidence(&finding.details);
    }
    for dump in model.dumps {
        text += &format!(
            "\n  caught at {}: {}\n",
            dump.snapshot.at,
            visible(&dump.trigger.to_string())
        );
        text += &evidence(&dump.headline);
    }
    text += &history::text(&model.history, model.hash);
    if !model.groups.is_empty() {
        text += &format!("\n{}\n", tables::groups(&model.groups));
    }
    if !model.cgroup_modes.is_empty() {
        text += &format!("  sched/cgroup_mode: {}\n", model.cgroup_modes.join(", then "));
    }
    text += &format!("\n{}\n", tables::checks(model.checks));
    text += &model.sampled.as_ref().map_or_else(String::new, samples);
    text += &format!(
        "\n  guest time {}   record {}\n",
        model.ended_at.0,
        model.hash.short()
    );
    if let (true, Some(command)) = (model.headline.verdict != Verdict::Pass, model.replay) {
        let hash = model.hash.short();
        text += &format!("  replay exactly this run: cargo schedrig replay {hash}\n");
        text += &format!("  without its record: {command}\n");
    }
    for answer in model.observations {
        text += &observation(answer);
    }
    text
}

/// The checks that changed when a record was judged again, as a table under a line that counts them.
pub fn changes(changes: &[Change<'_>]) -> String {
    match changes.len() as u64 {
        0 => "\n  judged again: no check changed\n".to_owned(),
        changed => format!(
            "\n  judged again: {} changed\n\n{}\n",
            count(changed, "check"),
            tables::changes(changes)
        ),
    }
}

/// The answer to a query, under the query and its guest time.
pub fn observation(observation: &Observation) -> String {
    let Observation { at, asked, seen } = observation;
    format!("\n{asked} at {at}\n{}\n", seen.to_text())
}

fn samples(sampled: &Sampled) -> String {
    let taken = count(sampled.taken, "sample");
    let imbalance = sampled.numbers.imbalance.map_or_else(String::new, |imbalance| {
        let (most, at) = (count(imbalance.most, "task"), imbalance.at);
        format!(
            "; greatest imbalance: {most} on a CPU, {} on another, at {at}",
            imbalance.least
        )
    });
    format!("\n  monitor: {taken}{imbalance}\n")
}

fn evidence(lines: &[String]) -> String {
    lines
        .iter()
        .map(|line| format!("      {}\n", visible(line)))
        .collect()
}
