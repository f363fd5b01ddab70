//! `struct task_struct`: a thread of a process, or one of the kernel's.

use guestmem::GuestVirt;
use record::Value;
use spec::CpuSet;

use super::flags::{PF_KTHREAD, policy, task_flags};
use super::{CpuTime, ScxEntity, State, cputime, state};
use crate::btf::FieldError;
use crate::cgroup::Cgroup;
use crate::collections::{MOST, containers, list};
use crate::sched::Entity;
use crate::sched::names::{brief_at, either};
use crate::sched::rq::average;
use crate::{Object, ReadError};

/// `struct task_struct`.
#[derive(Debug, Clone, Copy)]
pub struct Task<'k>(Object<'k>);

/// The classes, and their symbols.
const CLASSES: [(&str, &str); 6] = [
    ("fair", "fair_sched_class"),
    ("ext", "ext_sched_class"),
    ("rt", "rt_sched_class"),
    ("idle", "idle_sched_class"),
    ("stop", "stop_sched_class"),
    ("dl", "dl_sched_class"),
];

/// `MAX_RT_PRIO`, and `DEFAULT_PRIO`: nice 0.
const MAX_RT_PRIO: i64 = 100;
const DEFAULT_PRIO: i64 = 120;

impl<'k> Task<'k> {
    /// The task that this `struct task_struct` is.
    pub fn new(task: Object<'k>) -> Task<'k> {
        Task(task)
    }

    /// The `struct task_struct` itself.
    pub fn object(&self) -> Object<'k> {
        self.0
    }

    /// A number as wide as the kernel's types say, which has changed in the past (contract A25).
    fn scalar(&self, path: &str) -> Result<Object<'k>, ReadError> {
        let field = self.0.field(path)?;
        if field.is_bitfield() {
            let path = path.to_owned();
            return Err(ReadError::NoField(FieldError::Bitfield { path }));
        }
        Ok(field)
    }

    /// `pid`: the thread's, in the outermost namespace.
    pub fn pid(&self) -> Result<i64, ReadError> {
        self.scalar("pid")?.number()
    }

    /// `tgid`: the process's.
    pub fn tgid(&self) -> Result<i64, ReadError> {
        self.scalar("tgid")?.number()
    }

    /// `comm`: its name, at most 15 bytes.
    pub fn comm(&self) -> Result<String, ReadError> {
        self.0.str("comm")
    }

    /// `get_task_state()` of `__state` and `exit_state`.
    pub fn state(&self) -> Result<State, ReadError> {
        state::of(&self.0, self.raw_state()?, self.0.u64("exit_state")?)
    }

    /// `__state`: 0 is running, the bits are `TASK_*`.
    pub fn raw_state(&self) -> Result<u64, ReadError> {
        self.scalar("__state")?.bits()
    }

    /// `on_cpu`: does it run on a CPU now?
    pub fn on_cpu(&self) -> Result<bool, ReadError> {
        self.scalar("on_cpu")?.bits().map(|on| on != 0)
    }

    /// `on_rq`: 0 for one that sleeps, 1 for one that is queued, 2 for one that is being moved.
    pub fn on_rq(&self) -> Result<u64, ReadError> {
        self.scalar("on_rq")?.bits()
    }

    /// `task_cpu()`: the CPU that it runs on or ran on last.
    pub fn cpu(&self) -> Result<u64, ReadError> {
        either(&self.0, "thread_info.cpu", "cpu")?.bits()
    }

    /// `policy`, by its name in `<sched.h>`.
    pub fn policy(&self) -> Result<String, ReadError> {
        self.0.u64("policy").map(policy)
    }

    /// `sched_class`, by its symbol without `_sched_class`: `stop`, `dl`, `rt`, `fair`, `ext`, `idle`.
    pub fn sched_class(&self) -> Result<&'static str, ReadError> {
        let at = self.0.pointer("sched_class")?;
        let is = |symbol| self.0.kernel().symbol(symbol).is_ok_and(|class| class == at);
        let found = CLASSES.into_iter().find(|(_, symbol)| is(symbol));
        found.map(|(name, _)| name).ok_or_else(|| {
            let what = format!("sched_class of {}", self.0.describe());
            ReadError::out_of_range(what, at.0, "it is none of the kernel's classes")
        })
    }

    /// `prio`: 0 to 99 for the classes above the fair one, 100 to 139 for nice -20 to 19. With what it inherits.
    pub fn prio(&self) -> Result<i64, ReadError> {
        self.0.i64("prio")
    }

    /// `static_prio`: by its nice value alone.
    pub fn static_prio(&self) -> Result<i64, ReadError> {
        self.0.i64("static_prio")
    }

    /// `normal_prio`: without what it inherits.
    pub fn normal_prio(&self) -> Result<i64, ReadError> {
        self.0.i64("normal_prio")
    }

    /// `rt_priority`: 1 to 99 for the real-time class, else 0.
    pub fn rt_priority(&self) -> Result<u64, ReadError> {
        self.0.u64("rt_priority")
    }

    /// `task_prio()`: `prio` less `MAX_RT_PRIO`, as `/proc/PID/stat` has it.
    pub fn proc_priority(&self) -> Result<i64, ReadError> {
        self.prio().map(|prio| prio.wrapping_sub(MAX_RT_PRIO))
    }

    /// `task_nice()`.
    pub fn nice(&self) -> Result<i64, ReadError> {
        self.static_prio().map(|prio| prio.wrapping_sub(DEFAULT_PRIO))
    }

    /// `cpus_ptr`: the CPUs that it may run on now.
    pub fn cpus(&self) -> Result<CpuSet, ReadError> {
        self.0.kernel().cpumask(self.0.follow("cpus_ptr")?)
    }

    /// `cpus_mask`: the CPUs that it may run on, as `Cpus_allowed_list` has it: also while migration is disabled.
    pub fn cpus_allowed(&self) -> Result<CpuSet, ReadError> {
        self.0.kernel().cpumask(self.0.field("cpus_mask")?)
    }

    /// `migration_disabled`: how often it has asked to stay where it is.
    pub fn migration_disabled(&self) -> Result<u64, ReadError> {
        self.0.u64("migration_disabled")
    }

    /// `flags`, by the names of `PF_*`.
    pub fn flags(&self) -> Result<String, ReadError> {
        self.0.u64("flags").map(task_flags)
    }

    /// `PF_KTHREAD`: is it the kernel's own?
    pub fn is_kthread(&self) -> Result<bool, ReadError> {
        self.0.u64("flags").map(|flags| flags & PF_KTHREAD != 0)
    }

    /// `start_boottime`: when it started, in ns since boot, with the time asleep.
    pub fn start_boottime(&self) -> Result<u64, ReadError> {
        self.scalar("start_boottime")?.bits()
    }

    /// `start_time`: when it started, in ns since boot, without the time asleep.
    pub fn start_time(&self) -> Result<u64, ReadError> {
        self.scalar("start_time")?.bits()
    }

    /// `utime` and `stime`: the ticks that hit it, in ns.
    pub fn sampled_cputime(&self) -> Result<CpuTime, ReadError> {
        Ok(CpuTime {
            utime: self.0.u64("utime")?,
            stime: self.0.u64("stime")?,
        })
    }

    /// `task_cputime_adjusted()`: user and system time as the kernel would tell them now, in ns.
    pub fn cputime(&self) -> Result<CpuTime, ReadError> {
        cputime::of_task(&self.0)
    }

    /// `nvcsw`: how often it gave up its CPU.
    pub fn nvcsw(&self) -> Result<u64, ReadError> {
        self.0.u64("nvcsw")
    }

    /// `nivcsw`: how often its CPU was taken from it.
    pub fn nivcsw(&self) -> Result<u64, ReadError> {
        self.0.u64("nivcsw")
    }

    /// `sched_info.run_delay`: the ns that it has waited to run.
    pub fn run_delay(&self) -> Result<u64, ReadError> {
        self.0.u64("sched_info.run_delay")
    }

    /// `sched_info.pcount`: how often it began to run.
    pub fn pcount(&self) -> Result<u64, ReadError> {
        self.0.u64("sched_info.pcount")
    }

    /// `se.sum_exec_runtime`: the ns that it has run.
    pub fn sum_exec_runtime(&self) -> Result<u64, ReadError> {
        self.0.u64("se.sum_exec_runtime")
    }

    /// `se`: what the fair class keeps for it.
    pub fn entity(&self) -> Result<Entity<'k>, ReadError> {
        self.0.field("se").map(Entity::new)
    }

    /// `scx`: what sched_ext keeps for it.
    pub fn scx(&self) -> Result<ScxEntity<'k>, ReadError> {
        self.0.field("scx").map(ScxEntity::new)
    }

    /// `real_parent`.
    pub fn parent(&self) -> Result<Task<'k>, ReadError> {
        self.0.follow("real_parent").map(Task)
    }

    /// `group_leader`: the process's first thread.
    pub fn leader(&self) -> Result<Task<'k>, ReadError> {
        self.0.follow("group_leader").map(Task)
    }

    /// `children`.
    pub fn children(&self) -> Result<Vec<Task<'k>>, ReadError> {
        containers(list(self.0.field("children")?, MOST), "task_struct", "sibling")
            .map(|child| child.map(Task))
            .collect()
    }

    /// `signal->nr_threads`: of its process.
    pub fn nr_threads(&self) -> Result<i64, ReadError> {
        self.0.i64("signal->nr_threads")
    }

    /// `task_pgrp_nr()`: the process group.
    pub fn pgrp(&self) -> Result<i64, ReadError> {
        self.group("PIDTYPE_PGID")
    }

    /// `task_session_nr()`.
    pub fn session(&self) -> Result<i64, ReadError> {
        self.group("PIDTYPE_SID")
    }

    /// `signal->pids[kind]`, its number in the outermost namespace; 0 of none.
    fn group(&self, kind: &str) -> Result<i64, ReadError> {
        let index = self.0.btf().enum_value(Some("pid_type"), kind);
        let index = index.ok_or_else(|| ReadError::no_type("constant", kind))?;
        let pids = self.0.field("signal->pids")?;
        match pids.element(index.cast_unsigned())?.deref() {
            Ok(pid) => pid.field("numbers")?.element(0)?.i64("nr"),
            Err(ReadError::Null { .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// `cgroups->dfl_cgrp`: its cgroup in the version 2 hierarchy.
    pub fn cgroup(&self) -> Result<Cgroup<'k>, ReadError> {
        self.0.follow("cgroups->dfl_cgrp").map(Cgroup::new)
    }

    /// `mm`: its memory; NULL for the kernel's own.
    pub fn mm(&self) -> Result<GuestVirt, ReadError> {
        self.0.pointer("mm")
    }

    /// `stack`: where its kernel stack begins.
    pub fn stack(&self) -> Result<GuestVirt, ReadError> {
        self.0.pointer("stack")
    }

    /// A line of a list of tasks.
    pub fn row(&self) -> Value {
        let state = self.state().map(|state| state.letter.to_string());
        Value::tree([
            ("pid", Value::from(self.pid())),
            ("tgid", Value::from(self.tgid())),
            ("comm", Value::from(self.comm())),
            ("state", Value::from(state)),
            ("cpu", Value::from(self.cpu())),
            ("on_cpu", Value::from(self.on_cpu())),
            ("class", Value::from(self.sched_class())),
            ("nice", Value::from(self.nice())),
            ("runtime", Value::time(self.sum_exec_runtime())),
            ("run_delay", Value::time(self.run_delay())),
            (
                "cgroup",
                Value::from(self.cgroup().and_then(|cgroup| cgroup.path())),
            ),
        ])
    }

    /// All of it.
    pub fn value(&self) -> Value {
        let told = |of: Result<CpuTime, ReadError>, which: fn(CpuTime) -> u64| Value::time(of.map(which));
        let text = |of: Result<CpuSet, ReadError>| Value::from(of.map(|set| set.to_string()));
        let part = |of: Result<Value, ReadError>| of.unwrap_or_else(|error| Value::missing(&error));
        let state = self.state().map(|state| state.to_string());
        let address = |at: Result<GuestVirt, ReadError>| Value::hex(at.map(|at| at.0));
        Value::tree([
            ("pid", Value::from(self.pid())),
            ("tgid", Value::from(self.tgid())),
            ("comm", Value::from(self.comm())),
            ("state", Value::from(state)),
            ("cpu", Value::from(self.cpu())),
            ("on_cpu", Value::from(self.on_cpu())),
            ("on_rq", Value::from(self.on_rq())),
            ("class", Value::from(self.sched_class())),
            ("policy", Value::from(self.policy())),
            ("nice", Value::from(self.nice())),
            ("prio", Value::from(self.prio())),
            ("static_prio", Value::from(self.static_prio())),
            ("normal_prio", Value::from(self.normal_prio())),
            ("rt_priority", Value::from(self.rt_priority())),
            ("cpus", text(self.cpus())),
            ("migration_disabled", Value::from(self.migration_disabled())),
            ("flags", Value::from(self.flags())),
            (
                "cgroup",
                Value::from(self.cgroup().and_then(|cgroup| cgroup.path())),
            ),
            ("parent", brief_at(self.0.follow_opt("real_parent"))),
            ("leader", brief_at(self.0.follow_opt("group_leader"))),
            ("nr_threads", Value::from(self.nr_threads())),
            ("start_boottime", Value::time(self.start_boottime())),
            ("utime", told(self.cputime(), |time| time.utime)),
            ("stime", told(self.cputime(), |time| time.stime)),
            ("run_delay", Value::time(self.run_delay())),
            ("pcount", Value::from(self.pcount())),
            ("nvcsw", Value::from(self.nvcsw())),
            ("nivcsw", Value::from(self.nivcsw())),
            ("se", part(self.0.field("se").map(fair))),
            ("scx", part(self.scx().map(|scx| scx.value()))),
            ("mm", address(self.mm())),
            ("stack", address(self.stack())),
            ("task_struct", Value::Hex(self.0.address().0)),
        ])
    }
}

/// A task's `struct sched_entity`, without the queue that it competes in.
fn fair(entity: Object<'_>) -> Value {
    let span = |path| {
        let ns = entity.i64(path);
        ns.map_or_else(|error| Value::missing(&error), Value::Time)
    };
    let number = |path| Value::from(entity.u64(path));
    Value::tree([
        ("vruntime", span("vruntime")),
        ("deadline", span("deadline")),
        ("vlag", span("vlag")),
        ("slice", span("slice")),
        ("sum_exec_runtime", span("sum_exec_runtime")),
        ("exec_start", span("exec_start")),
        ("nr_migrations", number("nr_migrations")),
        ("load", number("load.weight")),
        ("on_rq", number("on_rq")),
        ("sched_delayed", number("sched_delayed")),
        (
            "avg",
            entity
                .field("avg")
                .map_or_else(|error| Value::missing(&error), average),
        ),
    ])
}
