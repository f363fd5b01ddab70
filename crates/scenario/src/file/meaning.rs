//! What the tables of a file mean.

use std::ops::{Range, RangeInclusive};

use record::Attach;
use spec::{CgroupSpec, SchedulerSpec, Topology, Weight};
use toml::Spanned;

use super::tables;
use super::text::Text;
use crate::{Group, MAX_TIMES, MAX_WORKERS, MEMORY_MIB, Machine, Scenario, Scheduler, Step, Verdicts, Where};

/// Where in the file, in bytes.
pub(super) type Span = Range<usize>;

/// The scenario, or what is wrong and where.
pub(super) fn of(
    file: &tables::Scenario,
    name: &str,
    instead: Option<Topology>,
) -> Result<Scenario, (Span, String)> {
    let topology = file.machine.topology.as_ref().map(|text| text.0);
    let topology = instead.or(topology).unwrap_or_default();
    let mut groups = Vec::new();
    for group in &file.groups {
        groups.push(group_of(group.get_ref(), &topology)?);
    }
    let machine = &file.machine;
    let scenario = Scenario {
        name: file.name.clone().unwrap_or_else(|| name.to_owned()),
        about: file.about.clone(),
        machine: Machine {
            topology,
            memory_mib: number(machine.memory.as_ref(), "memory", MEMORY_MIB, " MiB")?,
            kernel: machine.kernel.as_ref().map(|kernel| kernel.0.clone()),
            kernel_args: machine.kernel_args.clone(),
            shift: number(machine.shift.as_ref(), "a shift", 0..=10, "")?,
            sysctls: machine
                .sysctl
                .0
                .iter()
                .map(|(name, value)| (name.get_ref().clone(), value.clone()))
                .collect(),
        },
        scheduler: scheduler_of(file),
        groups,
        steps: file
            .steps
            .iter()
            .map(|step| step_of(step.get_ref()))
            .collect::<Result<_, _>>()?,
        verdicts: Verdicts {
            checks: file
                .verdict
                .checks
                .iter()
                .map(|check| check.get_ref().0.0.clone())
                .collect(),
            without: file.verdict.without.iter().map(|name| name.0.0).collect(),
        },
    };
    scenario
        .check()
        .map_err(|(part, error)| (span(file, part), error.to_string()))?;
    Ok(scenario)
}

fn scheduler_of(file: &tables::Scenario) -> Scheduler {
    let tables::Scheduler {
        run,
        attach,
        attach_within,
    } = &file.scheduler;
    Scheduler {
        program: run.as_ref().map_or(SchedulerSpec::Eevdf, |run| run.0.clone()),
        attach: attach.as_ref().map_or(Attach::Once, |attach| attach.get_ref().0),
        attach_within: attach_within.as_ref().map(|within| within.0),
    }
}

fn group_of(group: &tables::Group, topology: &Topology) -> Result<Group, (Span, String)> {
    let cpus = group.cpus.as_ref().map(|cpus| {
        let on = cpus.get_ref().0.on(topology);
        on.map_err(|error| (cpus.span(), error.to_string()))
    });
    let workers = group.workers.iter().map(|workers| {
        let tables::Workers { work, count, nice } = workers.get_ref();
        let count = number(count.as_ref(), "the number of workers", 1..=MAX_WORKERS, "")?;
        let nice = number(nice.as_ref(), "a nice value", -20..=19, "")?;
        Ok(spec::Workers::new(work.0.clone(), count.unwrap_or(1)).nice(nice.unwrap_or(0)))
    });
    Ok(Group {
        cgroup: CgroupSpec {
            name: group.name.0.clone(),
            cpus: cpus.transpose()?,
            weight: match number(group.weight.as_ref(), "a weight", 1..=10_000_u32, "")? {
                Some(weight) => Weight::try_from(weight).unwrap_or_default(),
                None => Weight::DEFAULT,
            },
        },
        workers: workers.collect::<Result<_, _>>()?,
    })
}

fn step_of(step: &tables::Step) -> Result<Step, (Span, String)> {
    let times = number(step.times.as_ref(), "how often a step is made", 1..=MAX_TIMES, "")?;
    Ok(Step {
        name: step.name.clone(),
        attach: step.attach,
        ops: step.ops.iter().map(|op| op.get_ref().0.clone()).collect(),
        run: step.run.as_ref().map(|Text(span)| *span),
        times: times.unwrap_or(1),
    })
}

/// A number that must lie within bounds.
fn number<T>(
    given: Option<&Spanned<i64>>,
    what: &str,
    bounds: RangeInclusive<T>,
    unit: &str,
) -> Result<Option<T>, (Span, String)>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    let Some(given) = given else { return Ok(None) };
    let number = T::try_from(*given.get_ref()).ok();
    match number.filter(|number| bounds.contains(number)) {
        Some(number) => Ok(Some(number)),
        None => {
            let (least, most) = (bounds.start(), bounds.end());
            let what = format!("{what} is {least} to {most}{unit}, not {}", given.get_ref());
            Err((given.span(), what))
        }
    }
}

/// Where a part of the scenario stands in its file.
fn span(file: &tables::Scenario, part: Where) -> Span {
    fn of<T>(item: Option<&Spanned<T>>) -> Option<Span> {
        item.map(Spanned::span)
    }
    let found = match part {
        Where::Whole => None,
        Where::Memory => of(file.machine.memory.as_ref()),
        Where::Sysctl(nth) => file.machine.sysctl.0.get(nth).map(|(name, _)| name.span()),
        Where::Attach => of(file.scheduler.attach.as_ref()),
        Where::Group(nth) => of(file.groups.get(nth)),
        Where::Workers(nth, index) => file
            .groups
            .get(nth)
            .and_then(|group| of(group.get_ref().workers.get(index))),
        Where::Step(nth) => of(file.steps.get(nth)),
        Where::Op(nth, index) => file
            .steps
            .get(nth)
            .and_then(|step| of(step.get_ref().ops.get(index))),
        Where::Check(nth) => of(file.verdict.checks.get(nth)),
    };
    found.unwrap_or(0..0)
}
