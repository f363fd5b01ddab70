//! `cargo schedrig replay`: executes a recorded run again.

use std::path::PathBuf;

use clap::Args;
use schedrig::{KernelRequest, Replay, ReplayOptions};

use crate::exit::Exit;
use crate::page::{note, outln};
use crate::progress::Line;
use crate::records::Records;

/// Execute a recorded run again, and report whether it is the same execution.
///
/// Exit code 0: identical, whatever the run's verdict is; 1: it differs, and the first difference is printed; 69: this host
/// lacks what the run was made with.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The record: its directory, its name, or the beginning of its hash.
    record: String,

    /// The record of an execution that differs is kept there, too.
    #[command(flatten)]
    records: Records,

    /// The scheduler's program, where it is not at its recorded path.
    #[arg(long, value_name = "PROGRAM")]
    scheduler: Option<PathBuf>,

    /// The kernel, where the recorded request does not give the recorded kernel.
    #[arg(long, value_name = "REQUEST")]
    kernel: Option<KernelRequest>,

    /// QEMU's program.
    #[arg(long, value_name = "PROGRAM", env = "SCHEDRIG_QEMU")]
    qemu: Option<PathBuf>,

    /// Continue where something differs from what the run was made with; then the execution may differ, too.
    #[arg(long)]
    anyway: bool,

    /// Do not fork the run from a warm machine; changes no result.
    #[arg(long)]
    cold: bool,

    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(arguments: &ReplayArgs) -> anyhow::Result<Exit> {
    let (place, recorded) = arguments.records.load(&arguments.record)?;
    let options = ReplayOptions {
        scheduler: arguments.scheduler.clone(),
        kernel: arguments.kernel.clone(),
        qemu: arguments.qemu.clone(),
        saves: None,
        records: arguments.records.directory.clone(),
        looks: Vec::new(),
        anyway: arguments.anyway,
        warm: !arguments.cold,
    };
    let line = Line::new();
    line.title(format!("replaying {}", place.display()));
    let hash = recorded.hash.clone();
    let replayed = Replay::new(recorded, &options, &mut |step| line.step(step))
        .and_then(|replay| replay.run(&mut |step| line.step(step)));
    line.done();
    let replayed = replayed?;
    let record = &replayed.finished.record;
    if arguments.json {
        let json = serde_json::json!({
            "identical": replayed.difference.is_none(),
            "recorded_hash": hash.as_str(),
            "record_hash": record.hash.as_str(),
            "verdict": record.verdict(),
            "difference": replayed.difference,
            "record": replayed.finished.place,
        });
        outln!("{json:#}");
    } else {
        match &replayed.difference {
            None => outln!("identical: the same execution, record {}", hash.short()),
            Some(difference) if record.hash == hash => outln!(
                "DIFFERENT: the record was changed after it was made; the execution still has its hash {}\n  \
                 first difference: {difference}",
                hash.short()
            ),
            Some(difference) => outln!(
                "DIFFERENT: recorded {}, replayed {}\n  first difference: {difference}",
                hash.short(),
                record.hash.short()
            ),
        }
        outln!("  {}", report::text::headline(&report::Model::of(record)));
        note!("  host time {:.1} s", record.host.seconds);
        if let Some(error) = &replayed.finished.not_kept {
            note!("warning: the record was not kept: {}", schedrig::chain(error));
        }
        if let Some(place) = &replayed.finished.place {
            note!("  record in {}", place.display());
        }
    }
    Ok(if replayed.difference.is_none() {
        Exit::Pass
    } else {
        Exit::Fail
    })
}
