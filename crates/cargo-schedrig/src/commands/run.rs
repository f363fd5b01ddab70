//! `cargo schedrig run`: one scenario, given by flags.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use schedrig::{Expectation, KernelRequest, Nanos, Percent, Rig, RunSpec, SchedulerSpec, Topology, Workers};

use crate::exit::{Exit, Usage};
use crate::group::GroupArg;
use crate::progress::Line;

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

    /// A cgroup and its workers. WORK is spin, burst, burst/SLEEP/BURST, burst/SLEEP/BURST/JITTER (as in
    /// burst/4ms/1ms/20%) or pingpong; CPUS is llcN, nodeN or a list as in 0-2+5. The same NAME again adds
    /// workers.
    #[arg(
        long = "group",
        value_name = "NAME:WORK:COUNT[@CPUS][,weight=N][,nice=N]",
        required = true
    )]
    groups: Vec<GroupArg>,

    /// How long the workers run, in guest time.
    #[arg(long = "for", value_name = "TIME", default_value = "2s")]
    span: Nanos,

    /// The seed: the same one gives the same execution.
    #[arg(long, default_value_t = 1)]
    seed: u64,

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

/// Makes the run and prints its report.
pub(crate) fn execute(run: &Run) -> anyhow::Result<Exit> {
    let groups = merge(&run.groups, &run.topology)?;
    let spec = specify(run)?;
    let line = Line::new();
    line.say(format!("{} under {}", run.topology, run.scheduler));
    let finished = schedrig::run(&spec, &mut |step| line.step(step), |rig| {
        scenario(rig, run, &groups)
    });
    line.done();
    let finished = finished?;
    let record = &finished.record;
    if run.json {
        let mut summary = serde_json::to_value(report::Summary::of(record)).context("make the summary")?;
        summary["record"] = finished.place.display().to_string().into();
        println!(
            "{}",
            serde_json::to_string_pretty(&summary).context("print the summary")?
        );
    } else {
        print!("{}", report::detail(record));
        let host = &record.host;
        eprintln!(
            "  host time {:.1} s, of it boot {:.1} s",
            host.seconds, host.boot_seconds
        );
        eprintln!("  record in {}", finished.place.display());
    }
    Ok(record.judgement.verdict.into())
}

/// A cgroup and everything that is spawned in it.
struct Scenario<'r> {
    group: &'r GroupArg,
    cpus: Option<schedrig::CpuSet>,
    workers: Vec<Workers>,
}

/// The groups in order, the workers of one name together. All that can be wrong is found before a machine starts.
fn merge<'r>(groups: &'r [GroupArg], topology: &Topology) -> anyhow::Result<Vec<Scenario<'r>>> {
    let mut merged: Vec<Scenario<'r>> = Vec::new();
    for group in groups {
        let cpus = group.cpus.as_ref().map(|cpus| cpus.on(topology)).transpose();
        let cpus = cpus.map_err(|what| Usage(format!("--group {}: {what}", group.name)))?;
        let workers = Workers::new(group.work.clone(), group.count).nice(group.nice);
        match merged.iter_mut().find(|earlier| earlier.group.name == group.name) {
            None => merged.push(Scenario {
                group,
                cpus,
                workers: vec![workers],
            }),
            Some(earlier) if earlier.cpus == cpus && earlier.group.weight == group.weight => {
                earlier.workers.push(workers);
            }
            Some(_) => {
                let name = &group.name;
                return Err(Usage(format!(
                    "group {name} is given twice with another cpuset or weight"
                ))
                .into());
            }
        }
    }
    Ok(merged)
}

fn scenario(rig: &mut Rig, run: &Run, groups: &[Scenario<'_>]) -> schedrig::Outcome {
    let limit = run.starvation_limit;
    rig.instead(Expectation::NoStall { limit });
    rig.instead(Expectation::NoStarvation { limit });
    let mut made = Vec::new();
    for Scenario { group, cpus, workers } in groups {
        let mut builder = rig.cgroup(group.name.as_str()).weight(group.weight.get());
        if let Some(cpus) = cpus {
            builder = builder.cpus(cpus.clone());
        }
        let group = builder.make()?;
        for workers in workers {
            rig.spawn(&group, workers)?;
        }
        made.push(group);
    }
    if let Some(within) = run.share {
        rig.check(schedrig::share(&made.iter().collect::<Vec<_>>()).within(within))?;
    }
    if let Some(within) = run.fair {
        for group in &made {
            rig.check(schedrig::fair(group).within(within))?;
        }
    }
    rig.run_for(run.span)?;
    rig.finish()
}

fn specify(run: &Run) -> anyhow::Result<RunSpec> {
    let mut spec = RunSpec::new(&run.name, run.topology)?;
    spec.memory_mib = run.memory;
    spec.kernel = run.kernel.clone();
    spec.scheduler = run.scheduler.clone();
    spec.seed = run.seed;
    spec.shift = run.shift;
    spec.kernel_args = run.append.clone();
    spec.qemu = run.qemu.clone();
    spec.replay = std::env::args().skip(1).fold("cargo".to_owned(), |line, word| {
        format!("{line} {}", quoted(&word))
    });
    if let Some(records) = &run.records {
        spec.records = records.clone();
    }
    Ok(spec)
}

/// The word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
