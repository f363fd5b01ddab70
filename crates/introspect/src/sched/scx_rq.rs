//! `struct scx_rq`: what sched_ext keeps for a CPU.

use record::Value;

use super::Dsq;
use super::names::{brief, flags};
use crate::collections::{MOST, containers, list};
use crate::{Object, ReadError};

/// `struct scx_rq`.
#[derive(Debug, Clone, Copy)]
pub struct ScxRq<'k>(Object<'k>);

impl<'k> ScxRq<'k> {
    /// What sched_ext keeps for the CPU with this `struct scx_rq`.
    pub fn new(rq: Object<'k>) -> ScxRq<'k> {
        ScxRq(rq)
    }

    /// The `struct scx_rq` itself.
    pub fn object(&self) -> Object<'k> {
        self.0
    }

    /// `nr_running`: runnable tasks of the class, those too that wait in a DSQ of no CPU.
    pub fn nr_running(&self) -> Result<u64, ReadError> {
        self.0.u64("nr_running")
    }

    /// `flags`, by the names of `enum scx_rq_flags`.
    pub fn flags(&self) -> Result<String, ReadError> {
        flags(self.0.btf(), "scx_rq_flags", self.0.u64("flags")?)
    }

    /// `cpu_released`: has a higher class taken the CPU away?
    pub fn cpu_released(&self) -> Result<bool, ReadError> {
        self.0.u64("cpu_released").map(|released| released != 0)
    }

    /// `cpuperf_target`: the performance that the scheduler asks of the CPU; 1024 is all.
    pub fn cpuperf_target(&self) -> Result<u64, ReadError> {
        self.0.u64("cpuperf_target")
    }

    /// `clock`: what `scx_bpf_now()` gives while `SCX_RQ_CLK_VALID` is set, in ns.
    pub fn clock(&self) -> Result<u64, ReadError> {
        self.0.u64("clock")
    }

    /// `local_dsq`: the tasks that the CPU runs next.
    pub fn local_dsq(&self) -> Result<Dsq<'k>, ReadError> {
        self.0.field("local_dsq").map(Dsq::new)
    }

    /// The CPU's DSQs with an id of their own, beside the local one (v7.3 on): `reject_dsq`, `rescue.dsq`.
    pub fn other_dsqs(&self) -> Vec<Dsq<'k>> {
        let paths = ["reject_dsq", "rescue.dsq"].into_iter();
        paths
            .filter_map(|path| self.0.field(path).ok())
            .map(Dsq::new)
            .collect()
    }

    /// `runnable_list`: the tasks that the watchdog looks at, the one that waits longest first.
    pub fn runnable(&self) -> Result<Vec<Object<'k>>, ReadError> {
        let nodes = list(self.0.field("runnable_list")?, MOST);
        containers(nodes, "task_struct", "scx.runnable_node").collect()
    }

    /// The first of [`ScxRq::runnable`], and nothing else is read.
    pub fn longest_runnable(&self) -> Result<Option<Object<'k>>, ReadError> {
        let nodes = list(self.0.field("runnable_list")?, MOST);
        containers(nodes, "task_struct", "scx.runnable_node")
            .next()
            .transpose()
    }

    /// All of it.
    pub fn value(&self) -> Value {
        let local = self
            .local_dsq()
            .map_or_else(|error| Value::missing(&error), |dsq| dsq.value());
        let runnable = match self.runnable() {
            Ok(tasks) => tasks.into_iter().map(brief).collect(),
            Err(error) => Value::missing(&error),
        };
        Value::tree([
            ("nr_running", Value::from(self.nr_running())),
            ("flags", Value::from(self.flags())),
            ("cpu_released", Value::from(self.cpu_released())),
            ("cpuperf_target", Value::from(self.cpuperf_target())),
            ("clock", Value::time(self.clock())),
            ("local_dsq", local),
            ("other_dsqs", self.other_dsqs().iter().map(Dsq::value).collect()),
            ("runnable", runnable),
        ])
    }
}
