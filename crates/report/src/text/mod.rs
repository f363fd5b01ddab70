//! The text view: the verdict first, then what is wrong and how it got there, a table of the groups, a table of the
//! checks, how to replay. The same text for the same execution.

mod history;
mod tables;

use record::{Observation, Verdict};
use spec::SchedClass;

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

/// The widest line of a report, in characters, where nobody says how wide the page is.
pub const WIDTH: usize = 100;

/// The whole report, on a page of [`WIDTH`].
pub fn of(model: &Model<'_>) -> String {
    fit(model, WIDTH)
}

/// The whole report, its tables on a page that is `width` characters wide, and at most [`WIDTH`]: what is least asked for is
/// left out.
pub fn fit(model: &Model<'_>, width: usize) -> String {
    let width = width.min(WIDTH);
    let mut text = headline(model) + "\n";
    for finding in model.findings() {
        text += &format!("\n  {}: {}\n", finding.check, visible(&finding.reason));
        text += &evidence(&finding.details, &finding.reason);
    }
    for dump in model.dumps {
        let trigger = dump.trigger.to_string();
        text += &format!("\n  caught at {}: {}\n", dump.snapshot.at, visible(&trigger));
        text += &evidence(&dump.headline, &trigger);
    }
    text += &history::text(&model.history, model.hash);
    if !model.groups.is_empty() {
        let class = model
            .headline
            .scheduler
            .map_or(SchedClass::Fair, |_| SchedClass::Ext);
        text += &format!("\n{}\n", tables::groups(&model.groups, class, width));
    }
    if !model.cgroup_modes.is_empty() {
        text += &format!("  sched/cgroup_mode: {}\n", model.cgroup_modes.join(", then "));
    }
    text += &format!("\n{}\n", tables::checks(model.checks, width));
    text += &model.sampled.as_ref().map_or_else(String::new, samples);
    text += &format!(
        "\n  guest time {}   record {}\n",
        model.ended_at.0,
        model.hash.short()
    );
    if model.headline.verdict != Verdict::Pass {
        text += &replay(model);
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

fn replay(model: &Model<'_>) -> String {
    match (model.replay_record.as_deref(), model.replay) {
        (Some(short), Some(command)) => {
            format!("  replay exactly this run: {short}\n  without its record: {command}\n")
        }
        (Some(command), None) | (None, Some(command)) => format!("  replay exactly this run: {command}\n"),
        (None, None) => String::new(),
    }
}

fn samples(sampled: &Sampled) -> String {
    let taken = count(sampled.taken, "sample");
    let imbalance = sampled.numbers.imbalance;
    let imbalance = imbalance.filter(|imbalance| imbalance.most > imbalance.least);
    let imbalance = imbalance.map_or_else(String::new, |imbalance| {
        let (most, at) = (count(imbalance.most, "task"), imbalance.at);
        format!(
            "; greatest imbalance: {most} on a CPU, {} on another, at {at}",
            imbalance.least
        )
    });
    format!("\n  monitor: {taken}{imbalance}\n")
}

/// The lines under a sentence, but for one that only says again what the sentence ends with.
fn evidence(lines: &[String], sentence: &str) -> String {
    lines
        .iter()
        .filter(|line| !sentence.ends_with(line.as_str()))
        .map(|line| format!("      {}\n", visible(line)))
        .collect()
}
