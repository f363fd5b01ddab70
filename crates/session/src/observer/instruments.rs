//! Hooks and watches: whose they are, and what is done at their hits.
//!
//! At a hit the guest stands still and does not notice: no instrument changes an execution, and what one saw is beside
//! the evidence and not part of the record's hash.

use guestmem::GuestVirt;
use introspect::task::Task;
use introspect::{Argument, Function, GuestKernel, Query, ReadError};
use machine::{Instrument, MachineError, Registers};
use observe::KernelVarError;
use record::{Tag, Value};
use spec::GuestTime;

use super::detector::Trigger;
use super::view::LookError;

/// What is done at a hit.
pub enum HitAction {
    /// It is counted, and the guest is not even stopped.
    Count,
    /// It is noted among the observations; the first 1024 of a run are.
    Log,
    /// It is noted, and these questions are asked.
    Query(Vec<Query>),
    /// It is noted, and a snapshot is taken, which takes the place of the last one with that tag.
    Snapshot(Tag),
    /// This is called, with the guest's kernel as it stands. It must not write to it: a replay would not.
    Call(Box<HitFn>),
    /// The run is over: it ends here.
    Stop,
}

/// What is called at a hit.
pub type HitFn = dyn FnMut(&Hit, &GuestKernel<'_>) + Send;

impl HitAction {
    /// Calls this at each hit.
    pub fn call(function: impl FnMut(&Hit, &GuestKernel<'_>) + Send + 'static) -> HitAction {
        HitAction::Call(Box::new(function))
    }
}

/// Which hits of a hook are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HitFilter {
    /// All.
    #[default]
    Always,
    /// Those with this argument, by its name or as `arg0` to `arg5`; a task by its pid.
    Argument(String, u64),
    /// Those of the task with this pid: the one that runs on the CPU.
    Task(i64),
}

/// A hook or a watch was hit.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// When, to the tick.
    pub at: GuestTime,
    /// The function that is hooked, or what is watched.
    pub name: String,
    /// On which of the guest's CPUs; `None` where it cannot be told.
    pub cpu: Option<u32>,
    /// How often so far, this time included.
    pub hits: u64,
    /// The task that runs there, as `comm[pid]`.
    pub task: String,
    /// What has happened.
    pub what: HitKind,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq)]
pub enum HitKind {
    /// A function is entered.
    Entered {
        /// With these registers.
        registers: Box<Registers>,
        /// With these arguments.
        arguments: Vec<Argument>,
    },
    /// A store was made.
    Stored {
        /// The instruction, as `function+0x10`.
        by: String,
        /// The value before.
        old: u64,
        /// The value now.
        new: u64,
    },
}

/// A hook or a watch could not be set.
#[derive(Debug, thiserror::Error)]
pub enum InstrumentError {
    /// The guest's kernel cannot be looked at.
    #[error(transparent)]
    Look(#[from] LookError),
    /// What is hooked or watched cannot be found.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is nothing that can be watched.
    #[error(transparent)]
    KernelVar(#[from] KernelVarError),
    /// The machine cannot have it.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The function has no such argument.
    #[error("{function} has no argument `{wanted}`: there is {}", there.join(", "))]
    Argument {
        /// The function.
        function: String,
        /// What was asked for.
        wanted: String,
        /// Its arguments.
        there: Vec<String>,
    },
}

/// Who has set an instrument.
pub(crate) enum Owner {
    /// The session itself.
    FailureDetector(Trigger),
    /// Its user: what it is called, what is hooked, which hits are meant, what is done.
    User {
        name: String,
        function: Option<Function>,
        only: HitFilter,
        act: HitAction,
    },
}

/// Those of a run.
#[derive(Default)]
pub(crate) struct Instruments {
    all: Vec<(Instrument, Owner)>,
}

impl Instruments {
    pub(crate) fn add(&mut self, which: Instrument, owner: Owner) {
        self.all.push((which, owner));
    }

    pub(crate) fn remove(&mut self, which: Instrument) {
        self.all.retain(|(other, _)| *other != which);
    }

    pub(crate) fn owner(&mut self, which: Instrument) -> Option<&mut Owner> {
        let found = self.all.iter_mut().find(|(other, _)| *other == which);
        found.map(|(_, owner)| owner)
    }

    /// Those of the guard that tell this.
    pub(crate) fn of_detector(&self, triggers: &[Trigger]) -> Vec<Instrument> {
        let guards = self.all.iter().filter_map(|(which, owner)| match owner {
            Owner::FailureDetector(trigger) if triggers.contains(trigger) => Some(*which),
            _ => None,
        });
        guards.collect()
    }
}

/// What a machine told of a hit, before anybody has looked at the kernel.
pub(crate) enum RawHit {
    Hook(machine::HookHit),
    Watch(machine::WatchHit),
}

impl RawHit {
    pub(crate) fn which(&self) -> Instrument {
        match self {
            RawHit::Hook(hit) => Instrument::Hook(hit.hook),
            RawHit::Watch(hit) => Instrument::Watch(hit.watch),
        }
    }

    /// Which of the kernel's CPUs it was.
    pub(crate) fn cpu(&self, kernel: &GuestKernel<'_>) -> Option<u32> {
        let (vcpu, base) = match self {
            RawHit::Hook(hit) => (hit.vcpu, hit.registers.per_cpu_base()),
            RawHit::Watch(hit) => (hit.vcpu, hit.per_cpu_base),
        };
        let by_base = || kernel.cpu_of_base(base?);
        vcpu.map(|vcpu| vcpu.0).or_else(by_base)
    }

    /// The first six arguments, of a call.
    pub(crate) fn arguments(&self) -> [u64; 6] {
        match self {
            RawHit::Hook(hit) => hit.registers.arguments(),
            RawHit::Watch(_) => [0; 6],
        }
    }

    /// With what the kernel tells of it; `None` if it is none of those that are meant.
    pub(crate) fn describe(
        self,
        at: GuestTime,
        name: &str,
        function: Option<&Function>,
        only: &HitFilter,
        kernel: &GuestKernel<'_>,
    ) -> Option<Hit> {
        let arguments = self.arguments();
        let cpu = self.cpu(kernel);
        let (pid, task) = current(kernel, cpu);
        if matches!(only, HitFilter::Task(wanted) if *wanted != pid) {
            return None;
        }
        let (hits, what) = match self {
            RawHit::Hook(hit) => {
                let arguments = function
                    .and_then(|function| function.arguments(kernel, arguments).ok())
                    .unwrap_or_default();
                if let HitFilter::Argument(wanted, value) = only
                    && !arguments
                        .iter()
                        .any(|argument| argument.name == *wanted && is(kernel, argument, *value))
                {
                    return None;
                }
                let registers = Box::new(hit.registers);
                (hit.hits, HitKind::Entered { registers, arguments })
            }
            RawHit::Watch(hit) => {
                let (by, old, new) = (introspect::code_at(kernel, hit.ip), hit.old, hit.new);
                (hit.hits, HitKind::Stored { by, old, new })
            }
        };
        Some(Hit {
            at,
            name: name.to_owned(),
            cpu,
            hits,
            task,
            what,
        })
    }
}

/// Has the argument this value? A task has its pid.
fn is(kernel: &GuestKernel<'_>, argument: &Argument, value: u64) -> bool {
    if argument.is_task() {
        let task = kernel.object(GuestVirt(argument.bits), "task_struct");
        let pid = task.and_then(|task| task.i64("pid"));
        return pid.is_ok_and(|pid| i64::try_from(value) == Ok(pid));
    }
    argument.bits == value || argument.value.as_u64() == Some(value)
}

/// Pid and name of the task that runs on a CPU.
fn current(kernel: &GuestKernel<'_>, cpu: Option<u32>) -> (i64, String) {
    let Some(cpu) = cpu else {
        return (-1, "? (its CPU cannot be told)".to_owned());
    };
    let task = introspect::sched::Rq::of(kernel, cpu).and_then(|rq| rq.curr());
    match task.map(Task::new) {
        Ok(task) => (task.pid().unwrap_or(-1), introspect::brief_line(task.object())),
        Err(error) => (-1, format!("? ({error})")),
    }
}

impl Hit {
    /// What an observation of it is called.
    pub(crate) fn asked(&self) -> String {
        match self.what {
            HitKind::Entered { .. } => format!("hook {}", self.name),
            HitKind::Stored { .. } => format!("watch {}", self.name),
        }
    }

    /// As an observation has it.
    pub fn value(&self) -> Value {
        let mut all = vec![
            (
                "cpu".into(),
                self.cpu
                    .map_or_else(|| Value::Missing("cannot be told".to_owned()), Value::from),
            ),
            ("task".into(), Value::from(self.task.as_str())),
        ];
        match &self.what {
            HitKind::Entered { arguments, .. } => {
                let each = arguments
                    .iter()
                    .map(|argument| (argument.name.clone().into(), argument.value.clone()));
                all.push(("arguments".into(), Value::Tree(each.collect())));
            }
            HitKind::Stored { by, old, new } => all.extend([
                ("by".into(), Value::from(by.as_str())),
                ("old".into(), Value::from(*old)),
                ("new".into(), Value::from(*new)),
            ]),
        }
        all.push(("hits".into(), Value::from(self.hits)));
        Value::Tree(all)
    }
}
