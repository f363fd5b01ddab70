//! `cargo schedrig replay`: a recorded run once more.

use std::path::PathBuf;

use clap::Args;
use schedrig::{KernelRequest, Replay, ReplayOptions};

use crate::exit::Exit;
use crate::progress::Line;

/// Make a recorded run again, and tell whether it is the same execution.
///
/// Exit code 0: identical, whatever the run's verdict is; 1: it differs, and the first difference is printed; 69: this host
/// has not what the run was made with.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The record: its directory, its name, or the beginning of its hash.
    record: String,

    /// Where records are, and where the record of another execution is put.
    #[arg(long, value_name = "DIR", env = "SCHEDRIG_RECORDS")]
    records: Option<PathBuf>,

    /// The scheduler's program, where it is not at its recorded path.
    #[arg(long, value_name = "PROGRAM")]
    scheduler: Option<PathBuf>,

    /// The kernel, where it cannot be had as it was then.
    #[arg(long, value_name = "REQUEST")]
    kernel: Option<KernelRequest>,

    /// QEMU's program.
    #[arg(long, value_name = "PROGRAM", env = "SCHEDRIG_QEMU")]
    qemu: Option<PathBuf>,

    /// Go on where something is not what it was; then the execution may be another.
    #[arg(long)]
    anyway: bool,

    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(arguments: &ReplayArgs) -> anyhow::Result<Exit> {
    let records = match &arguments.records {
        Some(records) => records.clone(),
        None => schedrig::default_records_dir()?,
    };
    let place = record::find(&arguments.record, &records)?;
    let recorded = record::load(&place)?;
    let options = ReplayOptions {
        scheduler: arguments.scheduler.clone(),
        kernel: arguments.kernel.clone(),
        qemu: arguments.qemu.clone(),
        saves: None,
        records: arguments.records.clone(),
        queries: Vec::new(),
        anyway: arguments.anyway,
    };
    let line = Line::new();
    line.say(format!("replaying {}", place.display()));
    let hash = recorded.hash.clone();
    let replayed = Replay::new(recorded, &options, &mut |step| line.step(step))
        .and_then(|replay| replay.run(&mut |step| line.step(step)));
    line.done();
    let replayed = replayed?;
    let again = &replayed.finished.record;
    if arguments.json {
        let json = serde_json::json!({
            "identical": replayed.difference.is_none(),
            "recorded_hash": hash.as_str(),
            "record_hash": again.hash.as_str(),
            "verdict": again.verdict(),
            "difference": replayed.difference,
            "record": replayed.finished.place,
        });
        println!("{json:#}");
    } else {
        match &replayed.difference {
            None => println!("identical: the same execution again, record {}", hash.short()),
            Some(difference) if again.hash == hash => println!(
                "DIFFERENT: the record was changed after it was made, and the execution has its hash {} still\n  \
                 first difference: {difference}",
                hash.short()
            ),
            Some(difference) => println!(
                "DIFFERENT: record {} now, {} then\n  first difference: {difference}",
                again.hash.short(),
                hash.short()
            ),
        }
        println!("  {}", report::verdict_line(again));
        eprintln!("  host time {:.1} s", again.host.seconds);
        if let Some(place) = &replayed.finished.place {
            eprintln!("  record in {}", place.display());
        }
    }
    Ok(if replayed.difference.is_none() {
        Exit::Pass
    } else {
        Exit::Fail
    })
}
