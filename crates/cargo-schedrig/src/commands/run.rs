//! `cargo schedrig run`: one scenario, given by a file or by flags.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use report::Model;
use scenario::Scenario;
use schedrig::op::Form;
use schedrig::{
    Attach, Finished, KernelRequest, Nanos, Op, Percent, Record, RigError, RunSpec, SchedulerSpec, Setup,
    Topology,
};

use crate::exit::{Exit, Policy, Usage};
use crate::group::{self, GroupArg};
use crate::page::{note, out, outln};
use crate::progress::Line;
use crate::{page, query, seeds, shell};

use super::flags;

const EXAMPLE: &str = "Examples: cargo schedrig run shares.rig.toml --scheduler scx_bpfland --seed 7
          cargo schedrig run --topology 1n2l4c1t --scheduler scx_bpfland \\
            --group a:spin:8@llc0 --group b:spin:8@llc1 --for 5s";

/// Run a scenario and judge it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Run {
    /// A scenario's file, or one that comes with the rig (`cargo schedrig list`); what else is said here replaces what it says.
    #[arg(value_name = "FILE", conflicts_with_all = ["groups", "ops", "span", "share", "fair"])]
    pub(super) file: Option<String>,

    /// The machine: {NUMA nodes}n{LLCs}l{cores per LLC}c{threads per core}t [default: 1n1l2c1t].
    #[arg(long, value_name = "SHAPE")]
    pub(super) topology: Option<Topology>,

    /// The scheduler: `eevdf`, or a program's name or path with its arguments in one word [default: eevdf].
    #[arg(long, value_name = "PROGRAM")]
    pub(super) scheduler: Option<SchedulerSpec>,

    /// The kernel: `apt:<suite>[/<flavour>][=<version>]`, `path:<vmlinuz or directory>`, `host` [default: apt:sid].
    #[arg(long, value_name = "REQUEST", env = "SCHEDRIG_KERNEL")]
    pub(super) kernel: Option<KernelRequest>,

    #[arg(
        long = "group",
        help = group::help(),
        value_name = "NAME:WORK:COUNT[@CPUS][,weight=N][,nice=N]",
        required_unless_present = "file"
    )]
    pub(super) groups: Vec<GroupArg>,

    #[arg(long = "op", value_name = "OP", help = ops_help())]
    pub(super) ops: Vec<Op>,

    /// How long the workers run, in guest time [default: 2s].
    #[arg(long = "for", value_name = "TIME", allow_hyphen_values = true)]
    pub(super) span: Option<Nanos>,

    /// Ask the guest's kernel something that much guest time after the workers were told to run; changes nothing.
    /// WHAT is as in `cargo schedrig inspect`.
    #[arg(long = "at", value_name = "TIME inspect WHAT", num_args = 3..=40)]
    queries: Vec<String>,

    /// Take that many snapshots of the kernel while the workers run, evenly over the time; they are in the record.
    #[arg(long, value_name = "N", default_value_t = 0)]
    snapshots: usize,

    /// Do not execute a run that failed a second time to trace the calls that led there.
    #[arg(long)]
    no_auto_repro: bool,

    /// The seed: the same one gives the same execution [default: 1].
    #[arg(long, value_name = "N", value_parser = seed, allow_hyphen_values = true)]
    seed: Option<u64>,

    /// The step after which the seed enters: `begin`, where the run begins; `ops`, when groups and workers are made and the ops
    /// are applied. What comes before is the same for all seeds.
    #[arg(long, value_name = "STEP", default_value = "begin")]
    seed_after: SeedAfter,

    /// Make the run that often, and fail unless all are the same execution.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    repeat: Option<u64>,

    /// Attach the scheduler `once` for all runs, which are forks of that machine, or `fresh` in each run [default: once].
    #[arg(long, value_name = "WHEN")]
    pub(super) attach: Option<Attach>,

    /// Do not fork the run from a warm machine; changes no result.
    #[arg(long)]
    cold: bool,

    /// How long the scheduler may take to attach, or to load one more BPF program, in guest time [default: 300s].
    #[arg(long, value_name = "TIME")]
    pub(super) attach_within: Option<Nanos>,

    /// Guest RAM in MiB.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(256..=65_536))]
    pub(super) memory: Option<u32>,

    /// An instruction takes 2^N ns of guest time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=10))]
    pub(super) shift: Option<u8>,

    /// Kernel arguments beside the rig's own and the scenario's; later ones win.
    #[arg(long, value_name = "ARGUMENTS", allow_hyphen_values = true)]
    pub(super) append: Option<String>,

    /// Fail unless the groups get their shares by cpu.weight, within that many percent.
    #[arg(long, value_name = "PERCENT", help_heading = "Checks")]
    pub(super) share: Option<Percent>,

    /// Fail unless the workers of each group get their shares by nice weight, within that many percent.
    #[arg(long, value_name = "PERCENT", help_heading = "Checks")]
    pub(super) fair: Option<Percent>,

    /// The longest that a worker may be kept from running [default: 1s].
    #[arg(long, value_name = "TIME", help_heading = "Checks")]
    pub(super) starvation_limit: Option<Nanos>,

    #[command(flatten)]
    policy: Policy,

    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,

    /// Keep the record in this directory.
    #[arg(long, value_name = "DIR", env = "SCHEDRIG_RECORDS")]
    records: Option<PathBuf>,

    /// The run's name in the report and the record [default: the scenario's, or `run`].
    #[arg(long)]
    pub(super) name: Option<String>,

    /// QEMU's program.
    #[arg(long, value_name = "PROGRAM", env = "SCHEDRIG_QEMU")]
    qemu: Option<PathBuf>,
}

fn seed(text: &str) -> Result<u64, String> {
    seeds::seed(text).ok_or_else(|| format!("a seed is a number from 0 to {}, as in `7` or `0x10`", u64::MAX))
}

/// Makes the run and prints its report.
pub(crate) fn execute(run: &Run) -> anyhow::Result<Exit> {
    run.policy.check()?;
    let scenario = flags::scenario(run)?;
    let spec = run.specify(&scenario)?;
    let seed = spec.seed;
    let line = Line::new();
    let (topology, scheduler) = (scenario.machine.topology, &scenario.scheduler.program);
    line.title(format!("{topology} under {scheduler}"));
    let setup = Setup::new(spec, &mut |step| line.step(step));
    let finished = setup.and_then(|setup| {
        if run.repeat.is_some() {
            setup.require_determinism("--repeat")?;
        }
        let first = setup.run(seed, &mut |step| line.step(step), |rig| rig.play(&scenario))?;
        Ok((repeat(&setup, &scenario, run, &first.record, &line)?, first))
    });
    line.done();
    let (other, finished) = finished?;
    print(run, &finished)?;
    match other {
        Some((nth, difference)) => {
            note!("error: run {nth} of the same seed is a different execution: {difference}");
            note!("please report this: it is a defect of schedrig, or of its QEMU");
            Ok(Exit::Software)
        }
        None => Ok(run.policy.exit(finished.record.verdict())),
    }
}

/// The first of the repeated runs that is another execution than `first`, and in what.
fn repeat(
    setup: &Setup,
    scenario: &Scenario,
    run: &Run,
    first: &Record,
    line: &Line,
) -> Result<Option<(u64, report::Difference)>, RigError> {
    let (seed, times) = (first.plan.seed, run.repeat.unwrap_or(1));
    for nth in 2..=times {
        line.title(format!("run {nth} of {times}"));
        let again = setup.run(seed, &mut |step| line.step(step), |rig| rig.play(scenario))?;
        if let Some(difference) = report::first_difference(first, &again.record) {
            return Ok(Some((nth, difference)));
        }
    }
    Ok(None)
}

fn print(run: &Run, finished: &Finished) -> anyhow::Result<()> {
    let Finished {
        record,
        place,
        not_kept,
    } = finished;
    let model = Model::of(record).kept(place.as_deref().map(|place| shell::replay(place, record)));
    let place = place.as_ref().map(|place| place.display().to_string());
    if let Some(error) = not_kept {
        note!("warning: the record was not kept: {}", schedrig::chain(error));
    }
    if run.json {
        let mut summary = serde_json::to_value(report::json::of(&model)).context("make the summary")?;
        summary["record"] = place.into();
        outln!("{summary:#}");
        return Ok(());
    }
    out!("{}", report::text::fit(&model, page::width()));
    let host = &record.host;
    note!(
        "  host time {:.1} s, of it {:.2} s until the run began",
        host.seconds,
        host.boot_seconds
    );
    if let Some(times) = run.repeat {
        note!("  {times} runs, one execution");
    }
    if let Some(place) = place {
        note!("  record in {place}");
    }
    Ok(())
}

/// The step after which a run's seed enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SeedAfter {
    Begin,
    Ops,
}

/// The seed up to then.
const BEGIN_SEED: u64 = 1;

/// The help of `--op`: every op that can be typed.
fn ops_help() -> String {
    let width = Op::forms().map(|form| form.usage.len()).max().unwrap_or_default();
    let mut help =
        "Apply an op when the groups are made, before the workers run; may be given several times".to_owned();
    for Form { usage, help: what } in Op::forms() {
        help += &format!("\n  {usage:width$}  {what}");
    }
    help
}

impl Run {
    /// What a run of this scenario is, on this host.
    pub(crate) fn specify(&self, scenario: &Scenario) -> anyhow::Result<RunSpec> {
        let mut spec = RunSpec::of(scenario)?;
        spec.warm = !self.cold;
        spec.seed = self.seed.unwrap_or(spec.seed);
        spec.begin_seed = match self.seed_after {
            SeedAfter::Begin => None,
            SeedAfter::Ops => Some(BEGIN_SEED),
        };
        spec.qemu = self.qemu.clone();
        spec.looks = query::timed(&self.queries)?;
        let span = scenario.runs_for();
        for at in spec.looks.iter().filter_map(|look| look.at) {
            if at > span {
                return Err(Usage(format!("--at {at}: the workers run for {span} only (--for)")).into());
            }
        }
        spec.snapshots = self.snapshots;
        spec.auto_repro = !self.no_auto_repro;
        let words: Vec<String> = std::env::args().skip(1).collect();
        spec.replay = Arc::new(move |run| shell::exactly(&shell::cargo(), &words, run));
        if let Some(records) = &self.records {
            spec.records = records.clone();
        }
        Ok(spec)
    }

    /// `scx_baton on 7.2.13, 1n1l2c1t`.
    pub(crate) fn title(scenario: &Scenario, manifest: &record::Manifest) -> String {
        let release = &manifest.kernel_release;
        let (scheduler, topology) = (&scenario.scheduler.program, scenario.machine.topology);
        format!("{}  ({scheduler} on {release}, {topology})", scenario.name)
    }

    /// A sweep has its own seeds and its own output.
    pub(crate) fn refuse_for_a_sweep(&self) -> Result<(), Usage> {
        let refuse = |what: &str| {
            Err(Usage(format!(
                "a sweep takes {what} before the `--`, for all of its runs"
            )))
        };
        match self {
            Run { seed: Some(_), .. } => refuse("`--seeds`"),
            Run { queries, .. } if !queries.is_empty() => Err(Usage(
                "a sweep does not take `--at`: replay the run that is of interest".to_owned(),
            )),
            Run { json: true, .. } => refuse("`--json`"),
            Run { repeat: Some(_), .. } => Err(Usage("a sweep does not take `--repeat`".to_owned())),
            _ => Ok(()),
        }
    }
}
