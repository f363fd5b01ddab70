//! `struct rq`: what a CPU has to run.

use record::Value;

use super::names::{brief_at, either};
use super::{CfsRq, Domain, ScxRq};
use crate::collections::{MOST, containers, list};
use crate::{GuestKernel, Object, ReadError};

/// `struct rq`: a CPU's runqueue.
#[derive(Debug, Clone, Copy)]
pub struct Rq<'k>(Object<'k>);

/// The averages of `struct sched_avg`, and the members of `struct rq` in which they are.
const AVERAGES: [(&str, &str); 5] = [
    ("cfs", "cfs.avg"),
    ("rt", "avg_rt"),
    ("dl", "avg_dl"),
    ("irq", "avg_irq"),
    ("hw", "avg_hw"),
];

/// Counters of `CONFIG_SCHEDSTATS`.
const SCHEDSTATS: [&str; 5] = [
    "yld_count",
    "sched_count",
    "sched_goidle",
    "ttwu_count",
    "ttwu_local",
];

impl<'k> Rq<'k> {
    /// `cpu_rq(cpu)`.
    ///
    /// # Errors
    /// [`ReadError::PerCpu`] for a CPU that the kernel does not have.
    pub fn of(kernel: &'k GuestKernel<'k>, cpu: u32) -> Result<Rq<'k>, ReadError> {
        kernel.per_cpu("runqueues", cpu).map(Rq)
    }

    /// Those of all CPUs that can ever be.
    ///
    /// # Errors
    /// [`ReadError`] when the CPUs cannot be told.
    pub fn all(kernel: &'k GuestKernel<'k>) -> Result<Vec<Rq<'k>>, ReadError> {
        let cpus = kernel.possible_cpus()?;
        cpus.iter().map(|cpu| Rq::of(kernel, cpu)).collect()
    }

    /// The `struct rq` itself.
    pub fn object(&self) -> Object<'k> {
        self.0
    }

    /// `cpu`: its CPU.
    pub fn cpu(&self) -> Result<i64, ReadError> {
        self.0.i64("cpu")
    }

    /// `online`: is it part of a root domain?
    pub fn online(&self) -> Result<bool, ReadError> {
        self.0.u64("online").map(|online| online != 0)
    }

    /// `nr_running`: runnable tasks of all classes, the running one too; no idle task.
    pub fn nr_running(&self) -> Result<u64, ReadError> {
        self.0.u64("nr_running")
    }

    /// `nr_switches`: context switches since boot.
    pub fn nr_switches(&self) -> Result<u64, ReadError> {
        self.0.u64("nr_switches")
    }

    /// `nr_uninterruptible`: a CPU's part of a sum, so it can be below zero. Printed as the 32-bit or 64-bit number that
    /// the kernel has.
    pub fn nr_uninterruptible(&self) -> Result<i64, ReadError> {
        let field = self.0.field("nr_uninterruptible")?;
        let bits = field.bits()?;
        Ok(match field.size() {
            4 => i64::from((bits as u32).cast_signed()),
            _ => bits.cast_signed(),
        })
    }

    /// `nr_iowait`: tasks that slept here for input or output.
    pub fn nr_iowait(&self) -> Result<i64, ReadError> {
        self.0.i64("nr_iowait.counter")
    }

    /// `cfs.h_nr_queued` (`h_nr_running` before v6.14): tasks of the fair class, of all groups, those too that wait to
    /// be dequeued (`sched_delayed`).
    pub fn cfs_nr_running(&self) -> Result<u64, ReadError> {
        either(&self.0, "cfs.h_nr_queued", "cfs.h_nr_running")?.bits()
    }

    /// `rt.rt_nr_running`: tasks of the real-time class.
    pub fn rt_nr_running(&self) -> Result<u64, ReadError> {
        self.0.u64("rt.rt_nr_running")
    }

    /// `dl.dl_nr_running`: tasks of the deadline class, and servers of lower classes.
    pub fn dl_nr_running(&self) -> Result<u64, ReadError> {
        self.0.u64("dl.dl_nr_running")
    }

    /// `curr`: the task that runs.
    pub fn curr(&self) -> Result<Object<'k>, ReadError> {
        self.0.follow("curr")
    }

    /// `donor`: the task in whose scheduling context `curr` runs; the same without `CONFIG_SCHED_PROXY_EXEC`.
    pub fn donor(&self) -> Result<Object<'k>, ReadError> {
        self.0.follow("donor")
    }

    /// `idle`: the task that runs when there is no other.
    pub fn idle(&self) -> Result<Object<'k>, ReadError> {
        self.0.follow("idle")
    }

    /// `stop`: the task of the stop class (`migration/N`).
    pub fn stop(&self) -> Result<Option<Object<'k>>, ReadError> {
        self.0.follow_opt("stop")
    }

    /// `clock`: `sched_clock` at the last `update_rq_clock`, in ns.
    pub fn clock(&self) -> Result<u64, ReadError> {
        self.0.u64("clock")
    }

    /// `clock_task`: `clock` without the time of interrupts and of the hypervisor, in ns.
    pub fn clock_task(&self) -> Result<u64, ReadError> {
        self.0.u64("clock_task")
    }

    /// `clock_pelt`: `clock_task` at the CPU's capacity, in ns.
    pub fn clock_pelt(&self) -> Result<u64, ReadError> {
        self.0.u64("clock_pelt")
    }

    /// `cpu_capacity`: what is left for the fair class; 1024 is all of the biggest CPU.
    pub fn cpu_capacity(&self) -> Result<u64, ReadError> {
        self.0.u64("cpu_capacity")
    }

    /// `next_balance`, in jiffies.
    pub fn next_balance(&self) -> Result<u64, ReadError> {
        self.0.u64("next_balance")
    }

    /// `avg_idle`: how long the CPU idles on average, in ns.
    pub fn avg_idle(&self) -> Result<u64, ReadError> {
        self.0.u64("avg_idle")
    }

    /// `max_idle_balance_cost`: what balancing of a CPU that goes idle has cost at most, in ns.
    pub fn max_idle_balance_cost(&self) -> Result<u64, ReadError> {
        self.0.u64("max_idle_balance_cost")
    }

    /// A counter of `CONFIG_SCHEDSTATS` by its name: `yld_count`, `sched_count`, `sched_goidle`, `ttwu_count`,
    /// `ttwu_local`.
    pub fn schedstat(&self, name: &str) -> Result<u64, ReadError> {
        self.0.u64(name)
    }

    /// `rq_cpu_time`: the ns that tasks have run here (`CONFIG_SCHED_INFO`).
    pub fn rq_cpu_time(&self) -> Result<u64, ReadError> {
        self.0.u64("rq_cpu_time")
    }

    /// `rq_sched_info.run_delay`: the ns that tasks have waited here.
    pub fn run_delay(&self) -> Result<u64, ReadError> {
        self.0.u64("rq_sched_info.run_delay")
    }

    /// `rq_sched_info.pcount`: how often a task began to run.
    pub fn pcount(&self) -> Result<u64, ReadError> {
        self.0.u64("rq_sched_info.pcount")
    }

    /// `cfs`: the fair class's queue.
    pub fn cfs(&self) -> Result<CfsRq<'k>, ReadError> {
        self.0.field("cfs").map(CfsRq::new)
    }

    /// `leaf_cfs_rq_list`: the queues of all groups that are in use here, children before their parents; the root's is
    /// the last. What is in it is what `/sys/kernel/debug/sched/debug` shows.
    pub fn leaf_cfs_rqs(&self) -> Result<Vec<CfsRq<'k>>, ReadError> {
        let nodes = list(self.0.field("leaf_cfs_rq_list")?, MOST);
        containers(nodes, "cfs_rq", "leaf_cfs_rq_list")
            .map(|queue| queue.map(CfsRq::new))
            .collect()
    }

    /// `scx`: what sched_ext keeps for the CPU.
    pub fn scx(&self) -> Result<ScxRq<'k>, ReadError> {
        self.0.field("scx").map(ScxRq::new)
    }

    /// `sd`: the scheduling domains, from the smallest to the largest.
    pub fn domains(&self) -> Result<Vec<Domain<'k>>, ReadError> {
        Domain::chain(self.0.follow_opt("sd")?)
    }

    /// All of it, without the queues' contents.
    pub fn value(&self) -> Value {
        let running = [
            ("cfs", Value::from(self.cfs_nr_running())),
            ("rt", Value::from(self.rt_nr_running())),
            ("dl", Value::from(self.dl_nr_running())),
            ("scx", Value::from(self.scx().and_then(|scx| scx.nr_running()))),
        ];
        let averages = AVERAGES
            .iter()
            .map(|(name, path)| (*name, self.average(path)))
            .filter(|(_, average)| !matches!(average, Err(error) if error.is_absent()))
            .map(|(name, average)| (name, average.unwrap_or_else(|error| Value::missing(&error))));
        let mut schedstats: Vec<(&'static str, Value)> = SCHEDSTATS
            .iter()
            .map(|name| (*name, Value::from(self.schedstat(name))))
            .collect();
        schedstats.push(("rq_cpu_time", Value::time(self.rq_cpu_time())));
        schedstats.push(("run_delay", Value::time(self.run_delay())));
        schedstats.push(("pcount", Value::from(self.pcount())));
        Value::tree([
            ("cpu", Value::from(self.cpu())),
            ("online", Value::from(self.online())),
            ("nr_running", Value::from(self.nr_running())),
            ("running", Value::tree(running)),
            ("curr", brief_at(self.curr().map(Some))),
            ("donor", brief_at(self.donor().map(Some))),
            ("idle", brief_at(self.idle().map(Some))),
            ("stop", brief_at(self.stop())),
            ("clock", Value::time(self.clock())),
            ("clock_task", Value::time(self.clock_task())),
            ("clock_pelt", Value::time(self.clock_pelt())),
            ("nr_switches", Value::from(self.nr_switches())),
            ("nr_uninterruptible", Value::from(self.nr_uninterruptible())),
            ("nr_iowait", Value::from(self.nr_iowait())),
            ("cpu_capacity", Value::from(self.cpu_capacity())),
            ("avg_idle", Value::time(self.avg_idle())),
            ("max_idle_balance_cost", Value::time(self.max_idle_balance_cost())),
            ("avg", Value::tree(averages)),
            ("schedstat", Value::tree(schedstats)),
        ])
    }

    fn average(&self, path: &str) -> Result<Value, ReadError> {
        Ok(average(self.0.field(path)?))
    }
}

/// A `struct sched_avg`: load, runnable and utilization averages of PELT.
pub(crate) fn average(avg: Object<'_>) -> Value {
    Value::tree(["load_avg", "runnable_avg", "util_avg"].map(|name| (name, Value::from(avg.u64(name)))))
}
