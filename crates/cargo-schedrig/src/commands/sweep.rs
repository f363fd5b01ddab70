//! `cargo schedrig sweep`: one scenario, many seeds, all host CPUs.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, Parser};
use schedrig::{Keep, Rig, RigError, Setup, Verdict};

use crate::commands::flags;
use crate::commands::run::Run;
use crate::exit::{Exit, Usage};
use crate::page::{note, out, outln};
use crate::progress::{Bar, Line};
use crate::seeds::Seeds;
use crate::sweep::{InOrder, Jobs, Tally};

const EXAMPLE: &str =
    "Example: cargo schedrig sweep --seeds 0..200 -- --scheduler scx_bpfland --group a:spin:8 --for 1s";

/// Run a scenario over many seeds, and report the distribution of its metrics.
///
/// Ctrl-C prints the results so far and exits with 130.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Sweep {
    /// The seeds: `0..200` (without 200), `0..=199`, `7`, or several with commas.
    #[arg(long, value_name = "SEEDS")]
    seeds: Seeds,

    /// How many runs at a time [default: one for each host CPU].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,

    /// Stop at the first seed that does not pass, in the order of the seeds.
    #[arg(long)]
    stop: bool,

    /// Keep the records of all runs, not only of those that did not pass.
    #[arg(long)]
    keep_all: bool,

    /// Print the result as JSON.
    #[arg(long)]
    json: bool,

    /// The arguments of `cargo schedrig run`, without a seed.
    #[arg(last = true, required = true, value_name = "RUN ARGUMENTS")]
    run: Vec<String>,
}

/// What follows the `--`.
#[derive(Debug, Parser)]
#[command(name = "cargo schedrig sweep --seeds SEEDS --", no_binary_name = true)]
struct RunLine {
    #[command(flatten)]
    run: Run,
}

/// How often the sweep checks for Ctrl-C while it waits for a run.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) fn execute(sweep: &Sweep) -> anyhow::Result<Exit> {
    let run = RunLine::try_parse_from(&sweep.run)
        .map_err(|error| {
            Usage(
                error
                    .to_string()
                    .trim_start_matches("error: ")
                    .trim_end()
                    .to_owned(),
            )
        })?
        .run;
    run.refuse_for_a_sweep()?;
    let scenario = flags::scenario(&run)?;
    let mut spec = run.specify(&scenario)?;
    // The command that is listed with a failure traces the calls that led there.
    spec.auto_repro = false;
    spec.keep = if sweep.keep_all { Keep::All } else { Keep::Failures };
    let words = sweep.run.clone();
    spec.replay =
        Arc::new(move |run| crate::shell::exactly(&format!("{} run", crate::shell::program()), &words, run));

    let interrupted = Arc::<AtomicBool>::default();
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("catch signals")?;
    }
    let records = spec.records.clone();
    let line = Line::new();
    line.title(format!("{} under {}", spec.topology, spec.scheduler));
    let setup = Setup::new(spec, &mut |step| line.step(step)).and_then(|setup| {
        setup.ready(&mut |step| line.step(step))?;
        Ok(setup)
    });
    line.done();
    let setup = match setup {
        // A download, for example, got the signal, too, and failed by it.
        Err(_) if interrupted.load(Ordering::Relaxed) => return Ok(Exit::Interrupted),
        setup => Arc::new(setup?),
    };
    let title = Run::title(&scenario, setup.manifest());

    let began = Instant::now();
    let count = sweep.jobs.map_or_else(cpus, NonZeroUsize::get);
    let play: Arc<dyn Fn(&mut Rig) -> schedrig::Outcome + Send + Sync> =
        Arc::new(move |rig| rig.play(&scenario));
    let jobs = Jobs::start(&setup, &sweep.seeds, count, &play).context("start the jobs")?;
    let (tally, broken) = gather(sweep, &jobs, &interrupted);
    let stopped = interrupted.load(Ordering::Relaxed);

    let (seeds, planned) = (sweep.seeds.to_string(), sweep.seeds.len());
    let seconds = began.elapsed().as_secs_f64();
    let per_minute = tally.runs() as f64 / seconds * 60.0;
    if sweep.json {
        let mut json = tally.json(&seeds, planned);
        json["title"] = title.into();
        json["interrupted"] = stopped.into();
        json["jobs"] = count.into();
        json["host_seconds"] = seconds.into();
        json["runs_per_minute"] = per_minute.into();
        outln!("{json:#}");
    } else {
        out!("{}", tally.text(&title, &seeds, planned));
        note!("  host time {seconds:.1} s, {count} at a time, {per_minute:.0} runs per minute");
    }
    // The process ends with runs in progress, which may be writing.
    record::abandon(&records).context("remove unfinished records")?;
    match broken {
        _ if stopped => Ok(Exit::Interrupted),
        Some(error) => Err(error.into()),
        None => Ok(tally.verdict().into()),
    }
}

/// Counts the runs until all have ended, no more are wanted, or a run cannot be made; then returns why.
///
/// With `--stop`, runs are counted in the order of their seeds up to the first that does not pass: so the answer does not
/// depend on the host, on which a later seed may end before.
fn gather(sweep: &Sweep, jobs: &Jobs, interrupted: &AtomicBool) -> (Tally, Option<RigError>) {
    let (mut tally, mut broken) = (Tally::default(), None);
    let mut waiting = InOrder::default();
    let bar = Bar::new(sweep.seeds.len());
    let passes = |verdict: Verdict| verdict <= Verdict::Pass;
    'runs: while !interrupted.load(Ordering::Relaxed) {
        match jobs.ran.recv_timeout(POLL_INTERVAL) {
            Ok(Ok((_, ran))) if !sweep.stop => tally.add(ran),
            Ok(Ok((place, ran))) => {
                if !passes(ran.verdict) {
                    jobs.stop();
                }
                waiting.put(place, ran);
            }
            Ok(Err(error)) => {
                broken = Some(error);
                break;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        while let Some(ran) = waiting.next() {
            let last = !passes(ran.verdict);
            tally.add(ran);
            if last {
                break 'runs;
            }
        }
        bar.show(tally.runs(), &tally.counts());
    }
    bar.done();
    (tally, broken)
}

fn cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}
