//! The scenario that the arguments of `cargo schedrig run` mean: a file's, or one that the flags describe.

use std::path::Path;

use anyhow::Context as _;
use record::Expectation;
use scenario::{CANNED, Group, Machine, Scenario, Scheduler, Step, Verdicts, Where};
use schedrig::op::Spawn;
use schedrig::{Attach, Nanos, Op, SchedulerSpec, Topology};

use super::run::Run;
use crate::exit::Usage;

/// How long the workers run where nobody says it.
const SPAN: Nanos = Nanos::from_secs(2);

/// The scenario. All that can be wrong with it is found before a machine starts.
///
/// # Errors
/// [`Usage`], or [`scenario::FileError`].
pub(crate) fn scenario(run: &Run) -> anyhow::Result<Scenario> {
    let mut scenario = match &run.file {
        Some(file) => read(file, run.topology)?,
        None => of_flags(run)?,
    };
    replace(&mut scenario, run)?;
    scenario
        .check()
        .map_err(|(part, error)| Usage(format!("{}{error}", option(run, part))))?;
    programs_are_here(&scenario)?;
    Ok(scenario)
}

/// A file's scenario, or the one of that name that comes with the rig.
pub(crate) fn read(file: &str, instead: Option<Topology>) -> anyhow::Result<Scenario> {
    let canned = CANNED.iter().find(|canned| canned.name == file);
    match canned {
        Some(canned) if !Path::new(file).is_file() => {
            let read = scenario::parse(canned.text, canned.name, instead);
            read.with_context(|| format!("the scenario {file} that comes with the rig"))
        }
        None if !Path::new(file).exists() => {
            let names: Vec<&str> = CANNED.iter().map(|canned| canned.name).collect();
            let names = names.join(", ");
            let beside = format!("{file}{}", scenario::SUFFIX);
            let hint = if Path::new(&beside).is_file() {
                format!("; there is {beside}")
            } else {
                format!("; scenarios that come with the rig: {names}")
            };
            Err(Usage(format!("there is no file {file}{hint}")).into())
        }
        _ => Ok(scenario::read(Path::new(file), instead)?),
    }
}

/// The groups in their order, the workers of one name together; the ops; a run.
fn of_flags(run: &Run) -> anyhow::Result<Scenario> {
    let topology = run.topology.unwrap_or_default();
    let mut groups: Vec<Group> = Vec::new();
    for arg in &run.groups {
        let wrong = |what: &dyn std::fmt::Display| Usage(format!("--group {}: {what}", arg.name));
        let cgroup = arg.cgroup(&topology).map_err(|error| wrong(&error))?;
        let Spawn { workers, .. } = arg.spawn();
        match groups.iter_mut().find(|earlier| earlier.cgroup.name == arg.name) {
            None => groups.push(Group {
                cgroup,
                workers: vec![workers],
            }),
            Some(earlier) if earlier.cgroup == cgroup => earlier.workers.push(workers),
            Some(_) => return Err(wrong(&"given twice with another cpuset or weight").into()),
        }
    }
    let names: Vec<_> = groups.iter().map(|group| group.cgroup.name.clone()).collect();
    let fair = run.fair.map(|within| {
        let group = |group: &schedrig::GroupName| Expectation::WorkerShare {
            group: group.clone(),
            within,
        };
        names.iter().map(group).collect::<Vec<_>>()
    });
    let share = run.share.map(|within| Expectation::GroupShare {
        groups: names.clone(),
        within,
    });
    Ok(Scenario {
        name: "run".to_owned(),
        about: None,
        machine: Machine {
            topology,
            memory_mib: None,
            kernel: None,
            kernel_args: String::new(),
            shift: None,
            sysctls: Vec::new(),
        },
        scheduler: Scheduler {
            program: SchedulerSpec::Eevdf,
            attach: Attach::Once,
            attach_within: None,
        },
        groups,
        steps: vec![Step {
            name: None,
            attach: false,
            ops: run.ops.clone(),
            run: Some(run.span.unwrap_or(SPAN)),
            times: 1,
        }],
        verdicts: Verdicts {
            checks: share.into_iter().chain(fair.into_iter().flatten()).collect(),
            without: Vec::new(),
        },
    })
}

/// Flags win over a file.
fn replace(scenario: &mut Scenario, run: &Run) -> Result<(), Usage> {
    let Machine {
        topology,
        memory_mib,
        kernel,
        kernel_args,
        shift,
        ..
    } = &mut scenario.machine;
    *topology = run.topology.unwrap_or(*topology);
    *memory_mib = run.memory.or(*memory_mib);
    *shift = run.shift.or(*shift);
    if run.kernel.is_some() {
        kernel.clone_from(&run.kernel);
    }
    if let Some(arguments) = &run.append {
        *kernel_args = format!("{kernel_args} {arguments}").trim().to_owned();
    }
    let scheduler = &mut scenario.scheduler;
    if let Some(program) = &run.scheduler {
        scheduler.program = program.clone();
    }
    scheduler.attach = run.attach.unwrap_or(scheduler.attach);
    scheduler.attach_within = run.attach_within.or(scheduler.attach_within);
    if let Some(name) = &run.name {
        scenario.name.clone_from(name);
    }
    if let Some(limit) = run.starvation_limit {
        if limit == Nanos::ZERO {
            let what = "--starvation-limit: nobody runs without a wait; give more than 0";
            return Err(Usage(what.to_owned()));
        }
        let checks = &mut scenario.verdicts.checks;
        checks.extend([
            Expectation::NoStall { limit },
            Expectation::NoStarvation { limit },
        ]);
    }
    Ok(())
}

/// What on the command line says that part of a scenario, to begin an error with.
fn option(run: &Run, part: Where) -> String {
    match part {
        _ if run.file.is_some() => format!("{}: ", run.file.as_deref().unwrap_or_default()),
        Where::Memory => "--memory: ".to_owned(),
        Where::Attach => "--attach: ".to_owned(),
        Where::Group(_) | Where::Workers(..) => "--group: ".to_owned(),
        Where::Op(..) => "--op: ".to_owned(),
        Where::Step(_) => "--for: ".to_owned(),
        Where::Whole | Where::Sysctl(_) | Where::Check(_) => String::new(),
    }
}

/// Programs of this host are read when their op is applied; that one is not here is known before.
fn programs_are_here(scenario: &Scenario) -> Result<(), Usage> {
    let mut ops = scenario.steps.iter().flat_map(|step| &step.ops);
    let missing = ops.find(|op| match op {
        Op::PutProgram(put) => !Path::new(&put.program.path).is_file(),
        _ => false,
    });
    match missing {
        None => Ok(()),
        Some(op) => Err(Usage(format!("`{op}`: there is no such file on this host"))),
    }
}
