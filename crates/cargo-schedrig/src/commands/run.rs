//! `cargo schedrig run`: one scenario, given by flags.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use report::Model;
use schedrig::op::{Form, MakeCgroup, RunFor, Seed};
use schedrig::{
    Attach, Expectation, Finished, GroupName, KernelRequest, Nanos, Op, Percent, Record, Rig, RigError,
    RunSpec, SchedulerSpec, Setup, Topology,
};
use spec::CgroupSpec;

use crate::exit::{Exit, Policy, Usage};
use crate::group::{self, GroupArg};
use crate::page::{note, out, outln};
use crate::progress::Line;
use crate::{page, query, seeds, shell};

const EXAMPLE: &str = "Example: cargo schedrig run --topology 1n2l4c1t --scheduler scx_bpfland \\
           --group a:spin:8@llc0 --group b:spin:8@llc1 --for 5s --seed 7";

/// Run a scenario and judge it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct Run {
    /// The machine: {NUMA nodes}n{LLCs}l{cores per LLC}c{threads per core}t.
    #[arg(long, value_name = "SHAPE", default_value = "1n1l2c1t")]
    topology: Topology,

    /// The scheduler: `eevdf`, or a program's name or path with its arguments in one word.
    #[arg(long, value_name = "PROGRAM", default_value = "eevdf")]
    scheduler: SchedulerSpec,

    /// The kernel: `apt:<suite>[/<flavour>][=<version>]`, `path:<vmlinuz or directory>`, `host`.
    #[arg(long, value_name = "REQUEST", env = "SCHEDRIG_KERNEL", default_value = schedrig::DEFAULT_KERNEL)]
    kernel: KernelRequest,

    #[arg(
        long = "group",
        help = group::help(),
        value_name = "NAME:WORK:COUNT[@CPUS][,weight=N][,nice=N]",
        required = true
    )]
    groups: Vec<GroupArg>,

    #[arg(long = "op", value_name = "OP", help = ops_help())]
    ops: Vec<Op>,

    /// How long the workers run, in guest time.
    #[arg(
        long = "for",
        value_name = "TIME",
        default_value = "2s",
        allow_hyphen_values = true
    )]
    span: Nanos,

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

    /// Attach the scheduler `once` for all runs, which are forks of that machine, or `fresh` in each run.
    #[arg(long, value_name = "WHEN", default_value = "once")]
    attach: Attach,

    /// Do not fork the run from a warm machine; changes no result.
    #[arg(long)]
    cold: bool,

    /// How long the scheduler may take to attach, or to load one more BPF program, in guest time [default: 300s].
    #[arg(long, value_name = "TIME")]
    attach_within: Option<Nanos>,

    /// Guest RAM in MiB.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(256..=65_536))]
    memory: Option<u32>,

    /// An instruction takes 2^N ns of guest time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=10))]
    shift: Option<u8>,

    /// Kernel arguments beside the rig's own; later ones win.
    #[arg(
        long,
        value_name = "ARGUMENTS",
        default_value = "",
        allow_hyphen_values = true
    )]
    append: String,

    /// Fail unless the groups get their shares by cpu.weight, within that many percent.
    #[arg(long, value_name = "PERCENT", help_heading = "Checks")]
    share: Option<Percent>,

    /// Fail unless the workers of each group get their shares by nice weight, within that many percent.
    #[arg(long, value_name = "PERCENT", help_heading = "Checks")]
    fair: Option<Percent>,

    /// The longest that a worker may be kept from running.
    #[arg(long, value_name = "TIME", default_value = "1s", help_heading = "Checks")]
    starvation_limit: Nanos,

    #[command(flatten)]
    policy: Policy,

    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,

    /// Keep the record in this directory.
    #[arg(long, value_name = "DIR", env = "SCHEDRIG_RECORDS")]
    records: Option<PathBuf>,

    /// The run's name in the report and the record.
    #[arg(long, default_value = "run")]
    name: String,

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
    let scenario = Scenario::of(run)?;
    let spec = run.specify()?;
    let seed = spec.seed;
    let line = Line::new();
    line.title(format!("{} under {}", run.topology, run.scheduler));
    let setup = Setup::new(spec, &mut |step| line.step(step));
    let finished = setup.and_then(|setup| {
        if run.repeat.is_some() {
            setup.require_determinism("--repeat")?;
        }
        let first = setup.run(seed, &mut |step| line.step(step), |rig| scenario.play(rig))?;
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
        let again = setup.run(seed, &mut |step| line.step(step), |rig| scenario.play(rig))?;
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

/// What the arguments ask the guest to do. All that can be wrong with it is found before a machine starts.
pub(crate) struct Scenario {
    /// In this order: each cgroup with all of its workers, what `--op` asks for.
    ops: Vec<Op>,
    seed_after: SeedAfter,
    run_for: RunFor,
    groups: Vec<GroupName>,
    share: Option<Percent>,
    fair: Option<Percent>,
    starvation_limit: Nanos,
}

impl Scenario {
    /// The scenario of these arguments: the groups in order, the workers of one name together.
    pub(crate) fn of(run: &Run) -> anyhow::Result<Scenario> {
        let mut groups: Vec<(CgroupSpec, Vec<Op>)> = Vec::new();
        for arg in &run.groups {
            let wrong = |what: &dyn std::fmt::Display| Usage(format!("--group {}: {what}", arg.name));
            let cgroup = arg.cgroup(&run.topology).map_err(|error| wrong(&error))?;
            let spawn = arg.spawn().into();
            match groups.iter_mut().find(|(earlier, _)| earlier.name == arg.name) {
                None => groups.push((cgroup, vec![spawn])),
                Some((earlier, workers)) if *earlier == cgroup => workers.push(spawn),
                Some(_) => {
                    return Err(wrong(&"given twice with another cpuset or weight").into());
                }
            }
        }
        let names = groups.iter().map(|(group, _)| group.name.clone()).collect();
        let mut ops = Vec::new();
        for (group, workers) in groups {
            ops.push(MakeCgroup { group }.into());
            ops.extend(workers);
        }
        ops.extend(run.ops.iter().cloned());
        spawns_into_groups(&ops)?;
        programs_are_here(&ops)?;
        for op in &ops {
            let option = if run.ops.contains(op) { "--op" } else { "--group" };
            op.check(&run.topology)
                .map_err(|error| Usage(format!("{option} '{op}': {error}")))?;
        }
        Ok(Scenario {
            ops,
            seed_after: run.seed_after,
            run_for: RunFor { span: run.span },
            groups: names,
            share: run.share,
            fair: run.fair,
            starvation_limit: run.starvation_limit,
        })
    }

    /// Applies its ops; what it is judged by does not depend on what comes of them.
    pub(crate) fn play(&self, rig: &mut Rig) -> schedrig::Outcome {
        let limit = self.starvation_limit;
        rig.instead(Expectation::NoStall { limit });
        rig.instead(Expectation::NoStarvation { limit });
        if let Some(within) = self.share {
            let groups = self.groups.clone();
            rig.check(Expectation::GroupShare { groups, within })?;
        }
        for group in &self.groups {
            if let Some(within) = self.fair {
                let group = group.clone();
                rig.check(Expectation::WorkerShare { group, within })?;
            }
        }
        for op in &self.ops {
            rig.apply(op.clone())?;
        }
        if self.seed_after == SeedAfter::Ops {
            let seed = rig.seed();
            rig.apply(Seed { seed })?;
        }
        rig.apply(self.run_for.clone())?;
        rig.finish()
    }
}

/// Workers can only be made in groups that are there.
fn spawns_into_groups(ops: &[Op]) -> Result<(), Usage> {
    let made = |name: &GroupName| {
        ops.iter()
            .any(|op| matches!(op, Op::MakeCgroup(made) if made.group.name == *name))
    };
    let missing = ops
        .iter()
        .find(|op| matches!(op, Op::Spawn(spawn) if !made(&spawn.group)));
    match missing {
        None => Ok(()),
        Some(op) => Err(Usage(format!(
            "--op '{op}': no such group; make it with `--group` or `--op 'cgroup NAME'`"
        ))),
    }
}

/// Programs of this host are read when their op is applied; that one is not here is known before.
fn programs_are_here(ops: &[Op]) -> Result<(), Usage> {
    let missing = ops.iter().find(|op| match op {
        Op::PutProgram(put) => !std::path::Path::new(&put.program.path).is_file(),
        _ => false,
    });
    match missing {
        None => Ok(()),
        Some(op) => Err(Usage(format!("--op '{op}': there is no such file on this host"))),
    }
}

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
    /// What a run of these arguments is.
    pub(crate) fn specify(&self) -> anyhow::Result<RunSpec> {
        let mut spec = RunSpec::new(&self.name, self.topology)?;
        spec.memory_mib = self.memory;
        spec.attach = self.attach;
        spec.warm = !self.cold;
        spec.limits.scheduler = self.attach_within.unwrap_or(spec.limits.scheduler);
        spec.kernel = self.kernel.clone();
        spec.scheduler = self.scheduler.clone();
        spec.seed = self.seed.unwrap_or(spec.seed);
        spec.begin_seed = match self.seed_after {
            SeedAfter::Begin => None,
            SeedAfter::Ops => Some(BEGIN_SEED),
        };
        spec.shift = self.shift;
        spec.kernel_args = self.append.clone();
        spec.qemu = self.qemu.clone();
        spec.looks = query::timed(&self.queries)?;
        for at in spec.looks.iter().filter_map(|look| look.at) {
            if at > self.span {
                let span = self.span;
                return Err(Usage(format!("--at {at}: the workers run for {span} only (--for)")).into());
            }
        }
        if self.starvation_limit == Nanos::ZERO {
            return Err(
                Usage("--starvation-limit: nobody runs without a wait; give more than 0".to_owned()).into(),
            );
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
    pub(crate) fn title(&self, manifest: &record::Manifest) -> String {
        let release = &manifest.kernel_release;
        format!(
            "{}  ({} on {release}, {})",
            self.name, self.scheduler, self.topology
        )
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
