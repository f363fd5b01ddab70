//! `cargo schedrig inspect`: queries the kernel of a recorded run, or of one in progress.

use clap::Args;
use record::{Observation, Value};
use schedrig::{Nanos, Replay, ReplayOptions, TimedQuery};

use crate::exit::{Exit, Usage};
use crate::progress::Line;
use crate::query;
use crate::records::Records;

/// Query the kernel of a recorded run, or of a run in progress.
///
/// A recorded run is replayed, which is the same execution, and queried at the time that `--at` gives, or else at the end
/// of its test. A run in progress is queried without stopping it.
#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// A record (its directory, its name, or the beginning of its hash), `running`, or `pid:N` of a run's QEMU.
    which: String,

    /// The query.
    #[arg(required = true, value_name = "WHAT", help = schedrig::Query::HELP)]
    query: Vec<String>,

    /// Query that much guest time after the workers began to run; the time between windows does not count.
    #[arg(long, value_name = "TIME")]
    at: Option<Nanos>,

    #[command(flatten)]
    records: Records,

    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(inspect: &Inspect) -> anyhow::Result<Exit> {
    let query = query::parse(&inspect.query)?;
    let pid = match inspect.which.strip_prefix("pid:") {
        Some(pid) => Some(
            pid.parse()
                .map_err(|_| Usage(format!("`{pid}` is not a process id")))?,
        ),
        None => None,
    };
    if pid.is_some() || inspect.which == "running" {
        if inspect.at.is_some() {
            return Err(Usage("a run in progress is queried now: leave out `--at`".to_owned()).into());
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
    let (observations, same) = observe_replay(inspect, query)?;
    let mut exit = Exit::Pass;
    for observation in &observations {
        if inspect.json {
            println!("{}", serde_json::to_string_pretty(observation)?);
        } else if !matches!(observation.seen, Value::Missing(_)) {
            print!("{}", report::text::observation(observation));
        }
        exit = answered(&observation.seen);
    }
    if !same {
        eprintln!("error: the replay differs from the recorded run: the answer is that of the replay");
        exit = Exit::Fail;
    }
    Ok(exit)
}

/// The exit code; prints why there is no answer.
fn answered(seen: &Value) -> Exit {
    match seen {
        Value::Missing(why) => {
            eprintln!("error: {why}");
            Exit::Fail
        }
        _ => Exit::Pass,
    }
}

/// Replays a recorded run with a query. Returns, too, whether it was the same execution.
fn observe_replay(inspect: &Inspect, query: TimedQuery) -> anyhow::Result<(Vec<Observation>, bool)> {
    let (_, recorded) = inspect.records.load(&inspect.which)?;
    let options = ReplayOptions {
        records: inspect.records.directory.clone(),
        queries: vec![query],
        ..ReplayOptions::default()
    };
    let line = Line::new();
    line.say(format!("replaying {}", inspect.which));
    let replayed = Replay::new(recorded, &options, &mut |step| line.step(step))
        .and_then(|replay| replay.run(&mut |step| line.step(step)));
    line.done();
    let replayed = replayed?;
    let same = replayed.difference.is_none();
    Ok((replayed.finished.record.observations, same))
}
