//! `struct sched_ext_entity`: what sched_ext keeps for a task. Absent in kernels without sched_ext.

use record::Value;

use crate::sched::Dsq;
use crate::sched::dsq::name_of;
use crate::sched::jiffies::age;
use crate::sched::names::{enumeration, enumerator, flags};
use crate::{Object, ReadError};

/// `struct sched_ext_entity`.
#[derive(Debug, Clone, Copy)]
pub struct ScxEntity<'k>(Object<'k>);

impl<'k> ScxEntity<'k> {
    /// What this `struct sched_ext_entity` is.
    pub fn new(entity: Object<'k>) -> ScxEntity<'k> {
        ScxEntity(entity)
    }

    /// The `struct sched_ext_entity` itself.
    pub fn object(&self) -> Object<'k> {
        self.0
    }

    /// `scx_get_task_state()`: from `SCX_TASK_NONE` to `SCX_TASK_ENABLED`, which is a task that a scheduler has.
    pub fn state(&self) -> Result<String, ReadError> {
        let bits = self.0.u64("flags")? & self.constant("SCX_TASK_STATE_MASK")?;
        let shift = self.constant("SCX_TASK_STATE_SHIFT")?;
        // The states were an enumeration of their own until they became flags.
        match enumerator(
            self.0.btf(),
            "scx_task_state",
            (bits >> shift.min(63)).cast_signed(),
        ) {
            Err(error) if error.is_absent() => enumerator(self.0.btf(), "scx_ent_flags", bits.cast_signed()),
            found => found,
        }
    }

    /// `flags`, by the names of `enum scx_ent_flags`, without the state.
    pub fn flags(&self) -> Result<String, ReadError> {
        let btf = self.0.btf();
        let masks: u64 = btf
            .enumerators(enumeration(btf, "scx_ent_flags")?)
            .filter(|one| one.name.ends_with("_MASK"))
            .fold(0, |masks, one| masks | one.unsigned());
        flags(btf, "scx_ent_flags", self.0.u64("flags")? & !masks)
    }

    /// `dsq`: the queue that it waits in.
    pub fn dsq(&self) -> Result<Option<Dsq<'k>>, ReadError> {
        Ok(self.0.follow_opt("dsq")?.map(Dsq::new))
    }

    /// `dsq_vtime`: its place in a queue by vtime, and the scheduler's to use.
    pub fn dsq_vtime(&self) -> Result<u64, ReadError> {
        self.0.u64("dsq_vtime")
    }

    /// `slice`: what is left of it, in ns.
    pub fn slice(&self) -> Result<u64, ReadError> {
        self.0.u64("slice")
    }

    /// `weight`: 1 to 10000, 100 for nice 0.
    pub fn weight(&self) -> Result<u64, ReadError> {
        self.0.u64("weight")
    }

    /// `ops_state` without the count of its changes, by the names of `enum scx_ops_state`.
    pub fn ops_state(&self) -> Result<String, ReadError> {
        let shift = self.constant("SCX_OPSS_QSEQ_SHIFT")?.min(63);
        let state = self.0.u64("ops_state.counter")? & ((1 << shift) - 1);
        enumerator(self.0.btf(), "scx_ops_state", state.cast_signed())
    }

    /// The count in `ops_state`: goes up each time the task is queued.
    pub fn qseq(&self) -> Result<u64, ReadError> {
        let shift = self.constant("SCX_OPSS_QSEQ_SHIFT")?.min(63);
        Ok(self.0.u64("ops_state.counter")? >> shift)
    }

    /// `sticky_cpu`: where it is being moved to; -1 for nowhere.
    pub fn sticky_cpu(&self) -> Result<i64, ReadError> {
        self.0.i64("sticky_cpu")
    }

    /// `holding_cpu`: which CPU is taking it out of a queue; -1 for none.
    pub fn holding_cpu(&self) -> Result<i64, ReadError> {
        self.0.i64("holding_cpu")
    }

    /// `selected_cpu`: what `ops.select_cpu` gave last.
    pub fn selected_cpu(&self) -> Result<i64, ReadError> {
        self.0.i64("selected_cpu")
    }

    /// `ddsp_dsq_id`: the queue that it goes to without `ops.enqueue`, by name.
    pub fn ddsp_dsq(&self) -> Result<String, ReadError> {
        Ok(name_of(self.0.btf(), self.0.u64("ddsp_dsq_id")?))
    }

    /// How long ago `runnable_at` is, in ns by whole jiffies: since when the watchdog waits for it to run.
    pub fn runnable_for(&self) -> Result<i64, ReadError> {
        age(self.0.kernel(), self.0.u64("runnable_at")?)
    }

    /// `disallow`: the scheduler does not want it.
    pub fn disallow(&self) -> Result<bool, ReadError> {
        self.0.u64("disallow").map(|disallow| disallow != 0)
    }

    /// All of it.
    pub fn value(&self) -> Value {
        let dsq = match self.dsq() {
            Ok(Some(dsq)) => Value::from(dsq.name()),
            Ok(None) => Value::from("none"),
            Err(error) => Value::missing(&error),
        };
        let runnable_for = self.runnable_for();
        Value::tree([
            ("state", Value::from(self.state())),
            ("flags", Value::from(self.flags())),
            ("dsq", dsq),
            ("dsq_vtime", Value::from(self.dsq_vtime())),
            ("slice", Value::time(self.slice())),
            ("weight", Value::from(self.weight())),
            ("ops_state", Value::from(self.ops_state())),
            ("qseq", Value::from(self.qseq())),
            ("ddsp_dsq", Value::from(self.ddsp_dsq())),
            ("sticky_cpu", Value::from(self.sticky_cpu())),
            ("holding_cpu", Value::from(self.holding_cpu())),
            ("selected_cpu", Value::from(self.selected_cpu())),
            (
                "runnable_for",
                runnable_for.map_or_else(|error| Value::missing(&error), Value::Time),
            ),
            ("disallow", Value::from(self.disallow())),
        ])
    }

    fn constant(&self, name: &str) -> Result<u64, ReadError> {
        let found = self.0.btf().enum_value(None, name).map(i64::cast_unsigned);
        found.ok_or_else(|| ReadError::no_type("constant", name))
    }
}
