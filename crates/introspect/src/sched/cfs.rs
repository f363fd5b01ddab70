//! `struct cfs_rq`: the fair class's queue of a CPU, or of a group on a CPU.
//!
//! Until v7.2 each group's queue holds its own tasks and groups, and the choice goes down level by level. From v7.3 on all
//! tasks compete in the root's queue (each with a weight by hierarchy, `se.h_load`), and those of the groups only count.

use record::Value;

use super::eevdf::{Competition, counted_weight};
use super::group_path::group_path;
use super::names::{brief, either};
use super::rq::average;
use crate::collections::{MOST, containers, rbtree};
use crate::{Object, ReadError};

/// `struct cfs_rq`.
#[derive(Debug, Clone, Copy)]
pub struct CfsRq<'k>(Object<'k>);

/// `struct sched_entity`: a task or a group, as one of those that compete in a [`CfsRq`].
#[derive(Debug, Clone, Copy)]
pub struct Entity<'k>(Object<'k>);

impl<'k> CfsRq<'k> {
    /// The queue that this `struct cfs_rq` is.
    pub fn new(queue: Object<'k>) -> CfsRq<'k> {
        CfsRq(queue)
    }

    /// The `struct cfs_rq` itself.
    pub fn object(&self) -> Object<'k> {
        self.0
    }

    /// `tg`: the path of the group whose queue it is, as debugfs tells it; `/` for the root's.
    pub fn path(&self) -> Result<String, ReadError> {
        group_path(self.0.follow("tg")?)
    }

    /// `tg->se[cpu]`, from v7.2 on beside the queue: as what the group competes on this CPU; `None` for the root's.
    pub fn group_entity(&self) -> Result<Option<Entity<'k>>, ReadError> {
        let root = self.0.kernel().symbol("root_task_group")?;
        if self.0.pointer("tg")? == root {
            return Ok(None);
        }
        match self.0.container_of("cfs_tg_state", "cfs_rq") {
            Err(error) if error.is_absent() => {
                let cpu = self.0.u64("rq->cpu")?;
                let entities = self.0.follow("tg->se")?;
                Ok(Some(Entity(entities.element(cpu)?.deref()?)))
            }
            state => Ok(Some(Entity(state?.field("se")?))),
        }
    }

    /// `nr_queued` (`nr_running` before v6.14): tasks and groups of this level, the running one too.
    pub fn nr_queued(&self) -> Result<u64, ReadError> {
        either(&self.0, "nr_queued", "nr_running")?.bits()
    }

    /// `h_nr_queued` (`h_nr_running`): tasks of this level and of those below.
    pub fn h_nr_queued(&self) -> Result<u64, ReadError> {
        either(&self.0, "h_nr_queued", "h_nr_running")?.bits()
    }

    /// `h_nr_runnable`: those without the ones that wait to be dequeued (`sched_delayed`).
    pub fn h_nr_runnable(&self) -> Result<u64, ReadError> {
        match self.0.u64("h_nr_runnable") {
            Err(error) if error.is_absent() => {
                let delayed = self.0.u64("h_nr_delayed")?;
                Ok(self.h_nr_queued()?.saturating_sub(delayed))
            }
            found => found,
        }
    }

    /// `h_nr_idle` (`idle_h_nr_running`): those with the policy `SCHED_IDLE`, or in a group with `cpu.idle`.
    pub fn h_nr_idle(&self) -> Result<u64, ReadError> {
        either(&self.0, "h_nr_idle", "idle_h_nr_running")?.bits()
    }

    /// `load.weight`: the sum of the weights of this level's entities.
    pub fn load_weight(&self) -> Result<u64, ReadError> {
        self.0.u64("load.weight")
    }

    /// `zero_vruntime` (`min_vruntime` before v6.19): what the vruntimes of the queue are counted from, in ns.
    pub fn zero_vruntime(&self) -> Result<u64, ReadError> {
        either(&self.0, "zero_vruntime", "min_vruntime")?.bits()
    }

    /// `sum_w_vruntime` (`avg_vruntime`): Σ (vruntime − zero) · weight of the entities in the tree.
    pub fn sum_w_vruntime(&self) -> Result<i64, ReadError> {
        either(&self.0, "sum_w_vruntime", "avg_vruntime")?.number()
    }

    /// `sum_weight` (`avg_load`): Σ weight of the entities in the tree.
    pub fn sum_weight(&self) -> Result<u64, ReadError> {
        either(&self.0, "sum_weight", "avg_load")?.bits()
    }

    /// `sum_shift`: by how much weights are shortened so that the sums do not overflow.
    pub fn sum_shift(&self) -> Result<u64, ReadError> {
        self.0.u64("sum_shift")
    }

    /// `avg_vruntime()`: the vruntime of an ideal machine, which would run all at once, in ns. What the kernel's function
    /// would give now.
    pub fn avg_vruntime(&self) -> Result<u64, ReadError> {
        Ok(self.competition()?.avg_vruntime())
    }

    /// `entity_eligible()`: has it got less than its share, or just that?
    pub fn is_eligible(&self, entity: &Entity<'k>) -> Result<bool, ReadError> {
        Ok(self.competition()?.is_eligible(entity.vruntime()?))
    }

    /// How far the entity is behind the ideal, in ns of vruntime: [`CfsRq::avg_vruntime`] less its vruntime. The kernel
    /// keeps it as `vlag`, within bounds, when it dequeues the entity.
    pub fn lag(&self, entity: &Entity<'k>) -> Result<i64, ReadError> {
        let vruntime = entity.vruntime()?;
        Ok(self.avg_vruntime()?.wrapping_sub(vruntime).cast_signed())
    }

    /// `curr`: the entity that runs. It is not in the tree.
    pub fn curr(&self) -> Result<Option<Entity<'k>>, ReadError> {
        Ok(self.0.follow_opt("curr")?.map(Entity))
    }

    /// `h_curr` (v7.3 on): the group or task of this level that runs.
    pub fn h_curr(&self) -> Result<Option<Entity<'k>>, ReadError> {
        Ok(self.0.follow_opt("h_curr")?.map(Entity))
    }

    /// `next`: the entity that is to be preferred.
    pub fn next(&self) -> Result<Option<Entity<'k>>, ReadError> {
        Ok(self.0.follow_opt("next")?.map(Entity))
    }

    /// `tasks_timeline`: the entities that wait, the earliest deadline first.
    pub fn queued(&self) -> Result<Vec<Entity<'k>>, ReadError> {
        let nodes = rbtree(self.0.field("tasks_timeline")?, MOST);
        containers(nodes, "sched_entity", "run_node")
            .map(|entity| entity.map(Entity))
            .collect()
    }

    /// `throttled`: has the group used up its `cpu.max`?
    pub fn throttled(&self) -> Result<bool, ReadError> {
        self.0.u64("throttled").map(|throttled| throttled != 0)
    }

    /// `throttle_count`: this and the groups above that are throttled.
    pub fn throttle_count(&self) -> Result<i64, ReadError> {
        self.0.i64("throttle_count")
    }

    /// All of it, with those that wait in the order of the tree.
    pub fn value(&self) -> Value {
        let entity = |found: Result<Option<Entity<'k>>, ReadError>| match found {
            Ok(Some(entity)) => entity.value(self),
            Ok(None) => Value::from("none"),
            Err(error) => Value::missing(&error),
        };
        let queued = match self.queued() {
            Ok(queued) => queued.iter().map(|entity| entity.value(self)).collect(),
            Err(error) => Value::missing(&error),
        };
        let average = self
            .0
            .field("avg")
            .map_or_else(|error| Value::missing(&error), average);
        Value::tree([
            ("path", Value::from(self.path())),
            ("nr_queued", Value::from(self.nr_queued())),
            ("h_nr_queued", Value::from(self.h_nr_queued())),
            ("h_nr_runnable", Value::from(self.h_nr_runnable())),
            ("h_nr_idle", Value::from(self.h_nr_idle())),
            ("load", Value::from(self.load_weight())),
            ("zero_vruntime", Value::time(self.zero_vruntime())),
            ("avg_vruntime", Value::time(self.avg_vruntime())),
            ("sum_w_vruntime", Value::from(self.sum_w_vruntime())),
            ("sum_weight", Value::from(self.sum_weight())),
            ("avg", average),
            ("throttled", Value::from(self.throttled())),
            ("throttle_count", Value::from(self.throttle_count())),
            ("curr", entity(self.curr())),
            ("next", entity(self.next())),
            ("queued", queued),
        ])
    }

    fn competition(&self) -> Result<Competition, ReadError> {
        let sum_shift = match self.sum_shift() {
            Ok(shift) => Some(u32::try_from(shift).unwrap_or(u32::MAX)),
            Err(error) if error.is_absent() => None,
            Err(error) => return Err(error),
        };
        let curr = match self.curr()? {
            // One that is about to sleep is still `curr`, but out of the competition.
            Some(curr) if curr.on_rq()? => {
                Some((curr.vruntime()?, counted_weight(curr.weight()?, sum_shift)))
            }
            _ => None,
        };
        Ok(Competition {
            zero: self.zero_vruntime()?,
            sum_w_vruntime: self.sum_w_vruntime()?,
            sum_weight: self.sum_weight()?,
            curr,
        })
    }
}

impl<'k> Entity<'k> {
    /// The entity that this `struct sched_entity` is.
    pub fn new(entity: Object<'k>) -> Entity<'k> {
        Entity(entity)
    }

    /// The `struct sched_entity` itself.
    pub fn object(&self) -> Object<'k> {
        self.0
    }

    /// `task_of()`: the task; `None` for a group.
    pub fn task(&self) -> Result<Option<Object<'k>>, ReadError> {
        match self.my_q()? {
            Some(_) => Ok(None),
            None => self.0.container_of("task_struct", "se").map(Some),
        }
    }

    /// `my_q`: a group's own queue; `None` for a task, and in kernels without groups.
    pub fn my_q(&self) -> Result<Option<CfsRq<'k>>, ReadError> {
        match self.0.follow_opt("my_q") {
            Err(error) if error.is_absent() => Ok(None),
            found => Ok(found?.map(CfsRq)),
        }
    }

    /// `on_rq`: is it accounted in its queue?
    pub fn on_rq(&self) -> Result<bool, ReadError> {
        self.0.u64("on_rq").map(|on_rq| on_rq != 0)
    }

    /// `sched_delayed`: it sleeps, but stays queued until its lag is used up.
    pub fn sched_delayed(&self) -> Result<bool, ReadError> {
        self.0.u64("sched_delayed").map(|delayed| delayed != 0)
    }

    /// `vruntime`: the time that it has run, stretched by its weight, in ns.
    pub fn vruntime(&self) -> Result<u64, ReadError> {
        self.0.u64("vruntime")
    }

    /// `deadline`: the vruntime by which it is to have had its slice, in ns.
    pub fn deadline(&self) -> Result<u64, ReadError> {
        self.0.u64("deadline")
    }

    /// `slice`: what it asks for at once, in ns.
    pub fn slice(&self) -> Result<u64, ReadError> {
        self.0.u64("slice")
    }

    /// `vlag`: how far it was behind when it was last dequeued, in ns of vruntime.
    pub fn vlag(&self) -> Result<i64, ReadError> {
        self.0.i64("vlag")
    }

    /// `sum_exec_runtime`: the time that it has run, in ns.
    pub fn sum_exec_runtime(&self) -> Result<u64, ReadError> {
        self.0.u64("sum_exec_runtime")
    }

    /// `h_load.weight`, and before v7.3 `load.weight`: the weight with which it competes; 1048576 is nice 0.
    pub fn weight(&self) -> Result<u64, ReadError> {
        either(&self.0, "h_load.weight", "load.weight")?.bits()
    }

    /// All of it; `queue` is where it competes.
    pub fn value(&self, queue: &CfsRq<'k>) -> Value {
        let who = match (self.task(), self.my_q()) {
            (Ok(Some(task)), _) => ("task", brief(task)),
            (_, Ok(Some(queue))) => ("group", Value::from(queue.path())),
            (Err(error), _) | (_, Err(error)) => ("task", Value::missing(&error)),
            (Ok(None), Ok(None)) => ("task", Value::from("none")),
        };
        let lag = queue
            .lag(self)
            .map_or_else(|error| Value::missing(&error), Value::Time);
        let vlag = self
            .vlag()
            .map_or_else(|error| Value::missing(&error), Value::Time);
        Value::tree([
            who,
            ("vruntime", Value::time(self.vruntime())),
            ("deadline", Value::time(self.deadline())),
            ("slice", Value::time(self.slice())),
            ("eligible", Value::from(queue.is_eligible(self))),
            ("lag", lag),
            ("vlag", vlag),
            ("weight", Value::from(self.weight())),
            ("delayed", Value::from(self.sched_delayed())),
        ])
    }
}
