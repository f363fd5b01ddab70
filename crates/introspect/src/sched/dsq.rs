//! `struct scx_dispatch_q`: a dispatch queue of sched_ext.
//!
//! ```text
//!  list ─► scx_dsq_list_node (task_struct.scx.dsq_list) ─► cursor of an iterator ─► task … : all, in dispatch order
//!  priq ─► tree of task_struct.scx.dsq_priq: those that were put in by vtime
//! ```
//! A task that was put in by vtime is in both; the list has it where the tree has it.

use record::Value;

use super::jiffies::age;
use super::names::brief;
use crate::btf::Btf;
use crate::collections::{MOST, containers, list, rbtree};
use crate::{Object, ReadError};

/// `struct scx_dispatch_q`.
#[derive(Debug, Clone, Copy)]
pub struct Dsq<'k>(Object<'k>);

impl<'k> Dsq<'k> {
    /// The queue that this `struct scx_dispatch_q` is.
    pub fn new(queue: Object<'k>) -> Dsq<'k> {
        Dsq(queue)
    }

    /// The `struct scx_dispatch_q` itself.
    pub fn object(&self) -> Object<'k> {
        self.0
    }

    /// `id`.
    pub fn id(&self) -> Result<u64, ReadError> {
        self.0.u64("id")
    }

    /// `id`, by the names of `enum scx_dsq_id_flags`; the user's in hex.
    pub fn name(&self) -> Result<String, ReadError> {
        Ok(name_of(self.0.btf(), self.id()?))
    }

    /// `nr`: tasks in it.
    pub fn nr(&self) -> Result<u64, ReadError> {
        self.0.u64("nr")
    }

    /// `seq`: tasks that were ever put in.
    pub fn seq(&self) -> Result<u64, ReadError> {
        self.0.u64("seq")
    }

    /// `list`: the tasks, in the order in which they are dispatched. Places that iterators keep are left out.
    pub fn tasks(&self) -> Result<Vec<Object<'k>>, ReadError> {
        let mut tasks = Vec::new();
        for node in containers(list(self.0.field("list")?, MOST), "scx_dsq_list_node", "node") {
            let node = node?;
            if !is_cursor(&node)? {
                tasks.push(node.container_of("task_struct", "scx.dsq_list")?);
            }
        }
        Ok(tasks)
    }

    /// `priq`: the tasks that were put in by vtime, the least first.
    pub fn by_vtime(&self) -> Result<Vec<Object<'k>>, ReadError> {
        let nodes = rbtree(self.0.field("priq")?, MOST);
        containers(nodes, "task_struct", "scx.dsq_priq").collect()
    }

    /// All of it, with the tasks in dispatch order.
    pub fn value(&self) -> Value {
        let tasks = match self.tasks() {
            Ok(tasks) => tasks.into_iter().map(waiting).collect(),
            Err(error) => Value::missing(&error),
        };
        let by_vtime = self.by_vtime().map(|tasks| tasks.len() as u64);
        Value::tree([
            ("id", Value::from(self.name())),
            ("nr", Value::from(self.nr())),
            ("seq", Value::from(self.seq())),
            ("by_vtime", Value::from(by_vtime)),
            ("tasks", tasks),
        ])
    }
}

/// A task that waits in a DSQ.
fn waiting(task: Object<'_>) -> Value {
    let Value::Tree(mut entries) = brief(task) else {
        return brief(task);
    };
    entries.extend([
        ("dsq_vtime".into(), Value::time(task.u64("scx.dsq_vtime"))),
        ("slice".into(), Value::time(task.u64("scx.slice"))),
        ("weight".into(), Value::from(task.u64("scx.weight"))),
        ("runnable_for".into(), runnable_for(&task)),
    ]);
    Value::Tree(entries)
}

/// For how long the task has been runnable, as the watchdog counts it.
pub(super) fn runnable_for(task: &Object<'_>) -> Value {
    let since = task.u64("scx.runnable_at");
    let since = since.and_then(|at| age(task.kernel(), at));
    since.map_or_else(|error| Value::missing(&error), Value::Time)
}

/// Is this node of a DSQ's list an iterator's place in it, not a task?
fn is_cursor(node: &Object<'_>) -> Result<bool, ReadError> {
    match node.u64("flags") {
        Ok(flags) => {
            let cursor = node
                .btf()
                .enum_value(Some("scx_dsq_lnode_flags"), "SCX_DSQ_LNODE_ITER_CURSOR");
            // A kernel that has flags has the enumeration that names them.
            let cursor = cursor.ok_or_else(|| ReadError::NoType(missing_flags()))?;
            Ok(flags & cursor.cast_unsigned() != 0)
        }
        Err(error) if error.is_absent() => node.u64("is_bpf_iter_cursor").map(|cursor| cursor != 0),
        Err(error) => Err(error),
    }
}

fn missing_flags() -> crate::btf::Missing {
    crate::btf::Missing {
        kind: "enum",
        name: "scx_dsq_lnode_flags".to_owned(),
    }
}

/// `SCX_DSQ_GLOBAL`, `SCX_DSQ_LOCAL_ON|3`, `0x2a`.
pub(crate) fn name_of(btf: &Btf, id: u64) -> String {
    let constant = |name| {
        btf.enum_value(Some("scx_dsq_id_flags"), name)
            .map(i64::cast_unsigned)
    };
    let builtin = constant("SCX_DSQ_FLAG_BUILTIN").unwrap_or(1 << 63);
    if id & builtin == 0 {
        return format!("{id:#x}");
    }
    if let (Some(local_on), Some(cpus)) = (constant("SCX_DSQ_LOCAL_ON"), constant("SCX_DSQ_LOCAL_CPU_MASK"))
        && id & local_on == local_on
    {
        return format!("SCX_DSQ_LOCAL_ON|{}", id & cpus);
    }
    let named = super::names::enumeration(btf, "scx_dsq_id_flags")
        .ok()
        .and_then(|all| {
            let mut all = btf.enumerators(all);
            // The flag alone is `SCX_DSQ_INVALID`.
            all.find(|one| one.unsigned() == id && !one.name.contains("_FLAG_"))
        });
    named.map_or_else(|| format!("{id:#x}"), |one| one.name.to_owned())
}
