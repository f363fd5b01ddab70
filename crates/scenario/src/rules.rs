//! What a scenario must be beyond the form of its parts. All of it is found before a machine starts, wherever the scenario comes
//! from: a file, flags, a builder.

use std::ops::RangeInclusive;

use record::{Attach, Expectation};
use spec::{GroupName, Nanos, Op, OpError, SchedulerSpec};

use crate::{Scenario, Scheduler};

/// The most workers of one kind in a group: more than any machine has use for.
pub const MAX_WORKERS: u32 = 1_000;

/// How often a step can be made.
pub const MAX_TIMES: u32 = 1_000;

/// How long the workers may run in all.
const LONGEST: Nanos = Nanos::from_secs(24 * 60 * 60);

/// Guest RAM in MiB.
pub const MEMORY_MIB: RangeInclusive<u32> = 256..=65_536;

/// What is wrong with a scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Two groups of one name.
    #[error("there are two groups `{0}`; give each a name of its own, or list all workers in one of them")]
    TwoGroups(GroupName),
    /// Workers are made in a group that nobody makes.
    #[error("`{op}`: there is no group `{group}`; groups: {known}")]
    NoGroup {
        /// The op or check.
        op: String,
        /// The group.
        group: GroupName,
        /// Those that are made.
        known: String,
    },
    /// The machine cannot do it.
    #[error("`{op}`: {why}")]
    Op {
        /// The op.
        op: String,
        /// Why not.
        why: Box<OpError>,
    },
    /// Nothing is ever run.
    #[error("no step runs: give one of them `run = \"2s\"`, or an op that executes a program")]
    NothingRuns,
    /// More than anybody waits for.
    #[error("the workers run for {} in all, and {} is the most", Nanos(*.0), LONGEST)]
    TooLong(u64),
    /// A step that does nothing.
    #[error("this step does nothing; give it `do = [\"…\"]` or `run = \"1s\"`")]
    EmptyStep,
    /// A step that is made never, or too often.
    #[error("a step is made 1 to {MAX_TIMES} times, not {0}")]
    Times(u32),
    /// No workers, or too many.
    #[error("1 to {MAX_WORKERS} workers, not {0}")]
    Workers(u32),
    /// No nice value.
    #[error("a nice value is -20 to 19, not {0}")]
    Nice(i8),
    /// Too little or too much RAM.
    #[error("memory is {} to {} MiB, not {mib}", MEMORY_MIB.start(), MEMORY_MIB.end())]
    Memory {
        /// How much.
        mib: u32,
    },
    /// No sysctl.
    #[error("`{0}` is no sysctl; write its name as sysctl(8) does, as in `kernel.sched_rt_runtime_us`")]
    Sysctl(String),
    /// A step attaches, and so does the rig.
    #[error("a step attaches the scheduler, so write `attach = \"step\"` for it, not `{0}`")]
    AttachedTwice(Attach),
    /// No step attaches.
    #[error("the scheduler is attached by a step (`attach = \"step\"`), and no step has `attach = true`")]
    NeverAttached,
    /// A program that is there cannot be started again.
    #[error("the scheduler is attached by more than one step; put `do = [\"stop-scheduler\"]` between")]
    AttachedAgain,
    /// One group, or the same one twice.
    #[error("`{0}`: a share is of two groups or more, each named once")]
    Share(String),
    /// A line break in the kernel's arguments.
    #[error("kernel arguments are one line")]
    KernelArguments,
    /// There is nothing to attach.
    #[error("the kernel's own scheduler is always there: a step can only attach a program")]
    NothingToAttach,
}

/// Which part of a scenario is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// The whole.
    Whole,
    /// The machine's memory.
    Memory,
    /// The sysctl of that number.
    Sysctl(usize),
    /// The scheduler's `attach`.
    Attach,
    /// The group of that number.
    Group(usize),
    /// Of the group of that number, these workers.
    Workers(usize, usize),
    /// The step of that number.
    Step(usize),
    /// Of the step of that number, that op.
    Op(usize, usize),
    /// The check of that number.
    Check(usize),
}

impl Scenario {
    /// Is it one that can be run?
    ///
    /// # Errors
    /// The first thing that is wrong with it, and where.
    pub fn check(&self) -> Result<(), (Where, RuleError)> {
        self.machine_is_one()?;
        self.groups_are_well()?;
        self.steps_are_well()?;
        self.attaches_once()?;
        for (nth, check) in self.verdicts.checks.iter().enumerate() {
            if let Expectation::GroupShare { groups, .. } = check {
                let twice = |(nth, name): (usize, &GroupName)| groups[..nth].contains(name);
                if groups.len() < 2 || groups.iter().enumerate().any(twice) {
                    return Err((Where::Check(nth), RuleError::Share(check::text(check))));
                }
            }
            let groups: &[GroupName] = match check {
                Expectation::GroupShare { groups, .. } => groups,
                Expectation::WorkerShare { group, .. } => std::slice::from_ref(group),
                _ => &[],
            };
            for group in groups {
                self.has_group(group, &check::text(check), None)
                    .map_err(|error| (Where::Check(nth), error))?;
            }
        }
        Ok(())
    }

    fn machine_is_one(&self) -> Result<(), (Where, RuleError)> {
        if let Some(mib) = self.machine.memory_mib.filter(|mib| !MEMORY_MIB.contains(mib)) {
            return Err((Where::Memory, RuleError::Memory { mib }));
        }
        if self.machine.kernel_args.contains(['\n', '\r']) {
            return Err((Where::Whole, RuleError::KernelArguments));
        }
        let is_name = |name: &str| {
            let harmless = |c: char| c.is_ascii_alphanumeric() || "_.-/".contains(c);
            !name.is_empty() && name.chars().all(harmless) && !name.contains("..") && !name.starts_with('/')
        };
        for (nth, (name, _)) in self.machine.sysctls.iter().enumerate() {
            if !is_name(name) {
                return Err((Where::Sysctl(nth), RuleError::Sysctl(name.clone())));
            }
        }
        Ok(())
    }

    fn groups_are_well(&self) -> Result<(), (Where, RuleError)> {
        for (nth, group) in self.groups.iter().enumerate() {
            let name = &group.cgroup.name;
            if self.groups[..nth].iter().any(|other| other.cgroup.name == *name) {
                return Err((Where::Group(nth), RuleError::TwoGroups(name.clone())));
            }
            for (index, workers) in group.workers.iter().enumerate() {
                let at = Where::Workers(nth, index);
                if !(1..=MAX_WORKERS).contains(&workers.count) {
                    return Err((at, RuleError::Workers(workers.count)));
                }
                if !(-20..=19).contains(&workers.nice) {
                    return Err((at, RuleError::Nice(workers.nice)));
                }
            }
        }
        Ok(())
    }

    fn steps_are_well(&self) -> Result<(), (Where, RuleError)> {
        for (nth, step) in self.steps.iter().enumerate() {
            if step.ops.is_empty() && step.run.is_none_or(|run| run == Nanos::ZERO) && !step.attach {
                return Err((Where::Step(nth), RuleError::EmptyStep));
            }
            if !(1..=MAX_TIMES).contains(&step.times) {
                return Err((Where::Step(nth), RuleError::Times(step.times)));
            }
            for (index, op) in step.ops.iter().enumerate() {
                let at = Where::Op(nth, index);
                if let Op::Spawn(spawn) = op {
                    self.has_group(&spawn.group, &op.to_string(), Some((nth, index)))
                        .map_err(|error| (at, error))?;
                    if !(1..=MAX_WORKERS).contains(&spawn.workers.count) {
                        return Err((at, RuleError::Workers(spawn.workers.count)));
                    }
                }
                op.check(&self.machine.topology).map_err(|why| {
                    let (op, why) = (op.to_string(), Box::new(why));
                    (at, RuleError::Op { op, why })
                })?;
            }
        }
        let executes = |op: &Op| matches!(op, Op::Exec(_));
        let mut ops = self.steps.iter().flat_map(|step| &step.ops);
        match self.runs_for() {
            Nanos::ZERO if !ops.any(executes) => Err((Where::Whole, RuleError::NothingRuns)),
            span if span > LONGEST => Err((Where::Whole, RuleError::TooLong(span.0))),
            _ => Ok(()),
        }
    }

    fn attaches_once(&self) -> Result<(), (Where, RuleError)> {
        let Scheduler { program, attach, .. } = &self.scheduler;
        let by_step = self.steps.iter().position(|step| step.attach);
        let times: u32 = self
            .steps
            .iter()
            .filter(|step| step.attach)
            .map(|step| step.times)
            .sum();
        let mut ops = self.steps.iter().flat_map(|step| &step.ops);
        if times > 1 && !ops.any(|op| matches!(op, Op::StopScheduler(_))) {
            let last = self.steps.iter().rposition(|step| step.attach);
            return Err((Where::Step(last.unwrap_or_default()), RuleError::AttachedAgain));
        }
        match (by_step, attach) {
            (Some(nth), _) if *program == SchedulerSpec::Eevdf => {
                Err((Where::Step(nth), RuleError::NothingToAttach))
            }
            (Some(_), Attach::Step) | (None, Attach::Once | Attach::Fresh) => Ok(()),
            (Some(nth), attach) => Err((Where::Step(nth), RuleError::AttachedTwice(*attach))),
            (None, Attach::Step) => Err((Where::Attach, RuleError::NeverAttached)),
        }
    }

    /// Is the group made, by the scenario or by one of its ops before that place?
    fn has_group(
        &self,
        group: &GroupName,
        op: &str,
        before: Option<(usize, usize)>,
    ) -> Result<(), RuleError> {
        let ops = self.steps.iter().enumerate().flat_map(|(nth, step)| {
            let ops = step.ops.iter().enumerate();
            ops.map(move |(index, op)| ((nth, index), op))
        });
        let by_ops = ops.filter_map(|(at, op)| match op {
            Op::MakeCgroup(made) if before.is_none_or(|before| at < before) => Some(&made.group.name),
            _ => None,
        });
        let own = self.groups.iter().map(|group| &group.cgroup.name);
        let known: Vec<&GroupName> = own.chain(by_ops).collect();
        if known.contains(&group) {
            return Ok(());
        }
        let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
        Err(RuleError::NoGroup {
            op: op.to_owned(),
            group: group.clone(),
            known: if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            },
        })
    }
}
