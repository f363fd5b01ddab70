//! `cargo schedrig inspect`: queries the kernel of a recorded run, or of one in progress.

use std::sync::Arc;

use clap::Args;
use record::{Observation, Record, Value};
use schedrig::{Look, Nanos, Query, Replay, ReplayOptions, TimedLook};

use crate::exit::{Exit, Usage};
use crate::page::{note, out, outln};
use crate::progress::Line;
use crate::records::Records;
use crate::{prompt, query};

/// Query the kernel of a recorded run, or of a run in progress.
///
/// A recorded run is replayed, which is the same execution, and queried at the times that `--at` gives, or else at the end of
/// its test: all in one replay. A run in progress is queried without stopping it. Without a query, a prompt reads them,
/// while the guest of a recorded run stands still.
///
/// Exit code 0: answered; 1: the replay differs from the recorded run; 64: wrong usage; 69: no such record, run or value.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A record (its directory, its name, or the beginning of its hash), `running`, or `pid:N` of a run's QEMU.
    which: String,

    /// The queries, one after the other.
    #[arg(value_name = "WHAT", help = format!("The queries, one after the other: {}", Query::HELP))]
    queries: Vec<String>,

    /// Query that much guest time after the workers began to run; the time between windows does not count. May be given
    /// several times.
    #[arg(long, value_name = "TIME")]
    at: Vec<Nanos>,

    #[command(flatten)]
    records: Records,

    /// Print the answers as JSON: a list, or one answer a line at the prompt.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(inspect: &Inspect) -> anyhow::Result<Exit> {
    let queries = match &inspect.queries[..] {
        [] => Vec::new(),
        words => query::parse(words)?,
    };
    let pid = match inspect.which.strip_prefix("pid:") {
        Some(pid) => Some(
            pid.parse()
                .map_err(|_| Usage(format!("`{pid}` is not a process id")))?,
        ),
        None => None,
    };
    if pid.is_some() || inspect.which == "running" {
        if !inspect.at.is_empty() {
            return Err(Usage("a run in progress is queried now: leave out `--at`".to_owned()).into());
        }
        return running(inspect, pid, &queries);
    }
    recorded(inspect, queries)
}

/// A run in progress.
fn running(inspect: &Inspect, pid: Option<u32>, queries: &[Query]) -> anyhow::Result<Exit> {
    let ask = |query: &Query| -> anyhow::Result<Value> { Ok(schedrig::ask_running(pid, query)?) };
    if queries.is_empty() {
        prompt::serve(&inspect.which, |query| match ask(query) {
            Ok(Value::Missing(why)) => note!("error: {why}"),
            Ok(seen) => show_live(query, &seen, inspect.json),
            Err(error) => note!("error: {error:#}"),
        });
        return Ok(Exit::Pass);
    }
    let seen: Vec<Value> = queries.iter().map(ask).collect::<Result<_, _>>()?;
    if inspect.json {
        let answers = queries
            .iter()
            .zip(&seen)
            .map(|(query, seen)| live_json(query, seen));
        outln!("{:#}", serde_json::Value::from_iter(answers));
    }
    let mut exit = Exit::Pass;
    for (query, seen) in queries.iter().zip(&seen) {
        if !inspect.json && !matches!(seen, Value::Missing(_)) {
            show_live(query, seen, false);
        }
        exit = exit.max(answered(seen));
    }
    Ok(exit)
}

fn show_live(query: &Query, seen: &Value, json: bool) {
    if json {
        outln!("{}", live_json(query, seen));
    } else {
        outln!("\n{query}\n{}", seen.to_text());
    }
}

fn live_json(query: &Query, seen: &Value) -> serde_json::Value {
    serde_json::json!({ "asked": query.to_string(), "seen": seen })
}

/// A recorded run: all that is asked, in one replay.
fn recorded(inspect: &Inspect, queries: Vec<Query>) -> anyhow::Result<Exit> {
    let (place, record) = inspect.records.load(&inspect.which)?;
    let ran = ran(&record);
    if let Some(at) = inspect.at.iter().find(|at| **at > ran) {
        return Err(Usage(format!("--at {at}: the workers ran for {ran} in all")).into());
    }
    let line = Line::new();
    let looks = if queries.is_empty() {
        vec![interview(&line, inspect.json)]
    } else {
        queries.into_iter().map(Look::Query).collect()
    };
    let options = ReplayOptions {
        records: inspect.records.directory.clone(),
        looks: timed(&inspect.at, &looks),
        ..ReplayOptions::default()
    };
    line.title(format!("replaying {}", place.display()));
    let replayed = Replay::new(record, &options, &mut |step| line.step(step))
        .and_then(|replay| replay.run(&mut |step| line.step(step)));
    line.done();
    let replayed = replayed?;
    let observations = &replayed.finished.record.observations;
    if inspect.json && !inspect.queries.is_empty() {
        outln!("{}", serde_json::to_string_pretty(observations)?);
    }
    let mut exit = Exit::Pass;
    for observation in observations {
        if !inspect.json && !matches!(observation.seen, Value::Missing(_)) {
            out!("{}", report::text::observation(observation));
        }
        exit = exit.max(answered(&observation.seen));
    }
    if replayed.difference.is_some() {
        note!("error: the replay differs from the recorded run: the answers are those of the replay");
        exit = Exit::Fail;
    }
    Ok(exit)
}

/// How long the workers ran, in all windows together.
fn ran(record: &Record) -> Nanos {
    let windows = record.evidence.windows.iter();
    Nanos(windows.map(|window| window.to.since(window.from).0).sum())
}

/// Each look at each time; without a time at the end of the test.
fn timed(times: &[Nanos], looks: &[Look]) -> Vec<TimedLook> {
    let times: Vec<Option<Nanos>> = match times {
        [] => vec![None],
        times => times.iter().copied().map(Some).collect(),
    };
    let each = |at: Option<Nanos>| {
        looks.iter().map(move |look| TimedLook {
            at,
            look: look.clone(),
        })
    };
    times.into_iter().flat_map(each).collect()
}

/// A prompt on the guest that stands still.
fn interview(line: &Line, json: bool) -> Look {
    let pause = line.pause();
    Look::Call(Arc::new(move |kernel, at| {
        pause.over(|| {
            prompt::serve(&format!("the guest stands still at {at}"), |query| {
                let seen = query.answer(kernel);
                if let Value::Missing(why) = &seen {
                    note!("error: {why}");
                } else if json {
                    let asked = query.to_string();
                    outln!(
                        "{}",
                        serde_json::json!({ "at": at, "asked": asked, "seen": seen })
                    );
                } else {
                    let asked = query.to_string();
                    out!("{}", report::text::observation(&Observation { at, asked, seen }));
                }
            });
        });
    }))
}

/// The exit code; prints why there is no answer.
fn answered(seen: &Value) -> Exit {
    match seen {
        Value::Missing(why) => {
            note!("error: {why}");
            Exit::Unavailable
        }
        _ => Exit::Pass,
    }
}
