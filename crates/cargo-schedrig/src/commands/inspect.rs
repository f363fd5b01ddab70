//! `cargo schedrig inspect`: a look into the kernel of a recorded run, or of one in progress.

use std::path::PathBuf;

use clap::Args;
use record::{Observation, Value};
use schedrig::{Nanos, Replay, ReplayOptions, TimedQuery};

use crate::exit::{Exit, Usage};
use crate::progress::Line;
use crate::query;

/// Ask the kernel of a recorded run, or of a run in progress.
///
/// A recorded run is made again, which is the same execution, and asked at the time that `--at` says, else when its test
/// was done. A run in progress is asked as it runs.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A record (its directory, its name, or the beginning of its hash), `running`, or `pid:N` of a run's QEMU.
    which: String,

    /// What to ask.
    #[arg(required = true, value_name = "WHAT", help = schedrig::Query::HELP)]
    query: Vec<String>,

    /// Ask that much guest time after the workers were told to run; the time between windows does not count.
    #[arg(long, value_name = "TIME")]
    at: Option<Nanos>,

    /// Where records are.
    #[arg(long, value_name = "DIR", env = "SCHEDRIG_RECORDS")]
    records: Option<PathBuf>,

    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(inspect: &Inspect) -> anyhow::Result<Exit> {
    let query = query::parse(&inspect.query)?;
    let pid = match inspect.which.strip_prefix("pid:") {
        Some(pid) => Some(
            pid.parse()
                .map_err(|_| Usage(format!("`{pid}` is no process id")))?,
        ),
        None => None,
    };
    if pid.is_some() || inspect.which == "running" {
        if inspect.at.is_some() {
            return Err(Usage("a run in progress is asked now: leave out `--at`".to_owned()).into());
        }
        let seen = schedrig::ask_running(pid, &query)?;
        if inspect.json {
            println!("{}", serde_json::to_string_pretty(&seen)?);
        } else if !matches!(seen, Value::Missing(_)) {
            println!("{}", seen.to_text());
        }
        return Ok(answered(&seen));
    }
    let query = TimedQuery {
        at: inspect.at,
        query,
    };
    let (observations, same) = observe_again(inspect, query)?;
    let mut exit = Exit::Pass;
    for observation in &observations {
        if inspect.json {
            println!("{}", serde_json::to_string_pretty(observation)?);
        } else if !matches!(observation.seen, Value::Missing(_)) {
            print!("{}", query::text(observation));
        }
        exit = answered(&observation.seen);
    }
    if !same {
        eprintln!("error: the run was another execution this time: what is shown is of that one");
        exit = Exit::Fail;
    }
    Ok(exit)
}

/// Tells, too, why there is no answer.
fn answered(seen: &Value) -> Exit {
    match seen {
        Value::Missing(why) => {
            eprintln!("error: {why}");
            Exit::Fail
        }
        _ => Exit::Pass,
    }
}

/// Makes a recorded run again with a look at its kernel. Tells, too, whether it was the same execution.
fn observe_again(inspect: &Inspect, query: TimedQuery) -> anyhow::Result<(Vec<Observation>, bool)> {
    let records = match &inspect.records {
        Some(records) => records.clone(),
        None => schedrig::default_records_dir()?,
    };
    let recorded = record::load(&record::find(&inspect.which, &records)?)?;
    let options = ReplayOptions {
        records: inspect.records.clone(),
        queries: vec![query],
        ..ReplayOptions::default()
    };
    let line = Line::new();
    line.say(format!("making {} again", inspect.which));
    let replayed = Replay::new(recorded, &options, &mut |step| line.step(step))
        .and_then(|replay| replay.run(&mut |step| line.step(step)));
    line.done();
    let replayed = replayed?;
    let same = replayed.difference.is_none();
    Ok((replayed.finished.record.observations, same))
}
