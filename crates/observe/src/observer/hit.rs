//! A hit of a hook or a watch: which hits count, what is done then, and what the kernel tells of one.

use guestmem::GuestVirt;
use introspect::task::Task;
use introspect::{Argument, Function, GuestKernel, Query};
use machine::{HookHit, Instrument, Registers, WatchHit};
use record::{Tag, Value};
use spec::GuestTime;

/// What is done at a hit.
pub enum HitAction {
    /// The hit is counted; the guest is not stopped.
    Count,
    /// The hit is recorded among the observations; a run keeps the first 1024.
    Log,
    /// The hit is recorded, with the answers to these queries.
    Query(Vec<Query>),
    /// The hit is recorded, and a snapshot is taken, which replaces the last one with that tag.
    Snapshot(Tag),
    /// This is called, with the guest's kernel as it stands. It must not write to the kernel: a replay would not.
    Call(Box<HitFn>),
    /// The run ends here, with a dump.
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

/// Which hits of a hook count.
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

/// What a machine reports of a hit, before the kernel is looked at.
#[derive(Debug)]
pub enum RawHit {
    /// Of a hook.
    Hook(HookHit),
    /// Of a watch.
    Watch(WatchHit),
}

impl RawHit {
    pub(super) fn which(&self) -> Instrument {
        match self {
            RawHit::Hook(hit) => Instrument::Hook(hit.hook),
            RawHit::Watch(hit) => Instrument::Watch(hit.watch),
        }
    }

    /// Which of the kernel's CPUs it was.
    pub(super) fn cpu(&self, kernel: &GuestKernel<'_>) -> Option<u32> {
        let (vcpu, base) = match self {
            RawHit::Hook(hit) => (hit.vcpu, hit.registers.per_cpu_base()),
            RawHit::Watch(hit) => (hit.vcpu, hit.per_cpu_base),
        };
        let by_base = || kernel.cpu_of_base(base?);
        vcpu.map(|vcpu| vcpu.0).or_else(by_base)
    }

    /// The first six arguments, of a call.
    pub(super) fn arguments(&self) -> [u64; 6] {
        match self {
            RawHit::Hook(hit) => hit.registers.arguments(),
            RawHit::Watch(_) => [0; 6],
        }
    }

    /// With what the kernel tells of it; `None` if the filter excludes it.
    pub(super) fn describe(
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
    pub(super) fn asked(&self) -> String {
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
