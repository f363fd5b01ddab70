//! Workqueues, as far as they explain a stall: the pools of workers, and what each worker does.

use guestmem::GuestVirt;
use record::Value;

use crate::collections::{MOST, containers, hlist, list, xarray};
use crate::sched::names::{brief_at, either};
use crate::{GuestKernel, Object, ReadError};

/// `struct worker_pool`: workers that share a CPU, or the attributes of an unbound workqueue.
#[derive(Debug, Clone, Copy)]
pub struct WorkerPool<'k>(Object<'k>);

impl<'k> WorkerPool<'k> {
    /// `worker_pool_idr`: all pools, by ascending id.
    pub fn all(kernel: &'k GuestKernel<'k>) -> Result<Vec<WorkerPool<'k>>, ReadError> {
        let pools = xarray(kernel.variable("worker_pool_idr", "idr")?, MOST);
        pools
            .map(|found| kernel.object(found?.1, "worker_pool").map(WorkerPool))
            .collect()
    }

    /// The `struct worker_pool` itself.
    pub fn object(&self) -> Object<'k> {
        self.0
    }

    /// `cpu`: -1 for none.
    pub fn cpu(&self) -> Result<i64, ReadError> {
        self.0.i64("cpu")
    }

    /// `nr_workers`.
    pub fn nr_workers(&self) -> Result<i64, ReadError> {
        self.0.i64("nr_workers")
    }

    /// `nr_idle`.
    pub fn nr_idle(&self) -> Result<i64, ReadError> {
        self.0.i64("nr_idle")
    }

    /// `nr_running`: workers that are not asleep in their work; kept for pools of a CPU.
    pub fn nr_running(&self) -> Result<i64, ReadError> {
        self.0.i64("nr_running")
    }

    /// `worklist`: how many works wait for a worker.
    pub fn nr_pending(&self) -> Result<u64, ReadError> {
        list(self.0.field("worklist")?, MOST).try_fold(0, |count, node| node.map(|_| count + 1))
    }

    /// `last_progress_ts` (`watchdog_ts` before v7.1): the last progress, in jiffies.
    pub fn last_progress(&self) -> Result<u64, ReadError> {
        either(&self.0, "last_progress_ts", "watchdog_ts")?.bits()
    }

    /// `workers`: all of them, `struct worker`.
    pub fn workers(&self) -> Result<Vec<Object<'k>>, ReadError> {
        containers(list(self.0.field("workers")?, MOST), "worker", "node").collect()
    }

    /// `busy_hash`: those that work.
    pub fn busy(&self) -> Result<Vec<Object<'k>>, ReadError> {
        let hash = self.0.field("busy_hash")?;
        let len = self.0.btf().array(hash.type_id()).map_or(0, |(_, len)| len);
        let mut busy = Vec::new();
        for bucket in 0..u64::from(len) {
            for worker in containers(hlist(hash.element(bucket)?, MOST), "worker", "hentry") {
                busy.push(worker?);
            }
        }
        Ok(busy)
    }

    /// All of it.
    pub fn value(&self) -> Value {
        let busy = match self.busy() {
            Ok(busy) => busy.into_iter().map(worker).collect(),
            Err(error) => Value::missing(&error),
        };
        Value::tree([
            ("id", Value::from(self.0.i64("id"))),
            ("cpu", Value::from(self.cpu())),
            ("nr_workers", Value::from(self.nr_workers())),
            ("nr_idle", Value::from(self.nr_idle())),
            ("nr_running", Value::from(self.nr_running())),
            ("nr_pending", Value::from(self.nr_pending())),
            ("last_progress", Value::from(self.last_progress())),
            ("busy", busy),
        ])
    }
}

fn worker(worker: Object<'_>) -> Value {
    let works = worker.pointer("current_func").map(|at| name(worker.kernel(), at));
    Value::tree([
        ("task", brief_at(worker.follow_opt("task"))),
        ("func", Value::from(works)),
        ("desc", Value::from(worker.str("desc"))),
    ])
}

fn name(kernel: &GuestKernel<'_>, at: GuestVirt) -> String {
    match kernel.symbolize(at) {
        Some((name, 0)) => name.to_owned(),
        Some((name, distance)) => format!("{name}+{distance:#x}"),
        None => at.to_string(),
    }
}

/// All pools.
///
/// # Errors
/// Those of [`WorkerPool::all`].
pub fn pools(kernel: &GuestKernel<'_>) -> Result<Value, ReadError> {
    Ok(WorkerPool::all(kernel)?.iter().map(WorkerPool::value).collect())
}
