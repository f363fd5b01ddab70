//! The schedulers that sched_ext has loaded: `struct scx_sched`, and what is global.
//!
//! Kernels before v6.12 and those built without `CONFIG_SCHED_CLASS_EXT` have none of it: everything is absent then.

use record::Value;

use super::Dsq;
use super::jiffies::{age, ns_per_jiffy};
use super::names::{enumerator, flags};
use crate::collections::{MOST, containers, list, rhashtable};
use crate::{GuestKernel, Object, ReadError, code_at};

/// sched_ext as a whole.
#[derive(Clone, Copy)]
pub struct Scx<'k>(&'k GuestKernel<'k>);

/// `struct scx_sched`: a scheduler that is loaded. The root, or one that an ancestor has let have a cgroup (v7.0 on).
#[derive(Debug, Clone, Copy)]
pub struct ScxSched<'k>(Object<'k>);

/// `struct scx_exit_info`: why a scheduler was ended.
#[derive(Debug, Clone, Copy)]
pub struct ExitInfo<'k>(Object<'k>);

/// Schedulers, and NUMA nodes, at the most.
const MOST_SCHEDS: usize = 4096;
const MOST_NODES: u32 = 1024;
/// `SCX_EXIT_BT_LEN`.
const MOST_FRAMES: u64 = 64;

impl<'k> Scx<'k> {
    /// The one of this kernel.
    pub fn of(kernel: &'k GuestKernel<'k>) -> Scx<'k> {
        Scx(kernel)
    }

    /// `scx_enable_state_var`, by the names of `enum scx_enable_state`.
    pub fn enable_state(&self) -> Result<String, ReadError> {
        let state = self.counter("scx_enable_state_var", "atomic_t")?;
        enumerator(self.0.btf(), "scx_enable_state", state)
    }

    /// `scx_switching_all`: is the fair class's work to be sched_ext's?
    pub fn switching_all(&self) -> Result<bool, ReadError> {
        self.0
            .read_u8(self.0.symbol("scx_switching_all")?)
            .map(|on| on != 0)
    }

    /// `scx_switched_all()`: is it?
    pub fn switched_all(&self) -> Result<bool, ReadError> {
        let key = self.0.variable("__scx_switched_all", "static_key_false")?;
        Ok(key.i64("key.enabled.counter")? > 0)
    }

    /// `scx_nr_rejected`: tasks that wanted to be sched_ext's and may not.
    pub fn nr_rejected(&self) -> Result<i64, ReadError> {
        self.counter("scx_nr_rejected", "atomic_long_t")
    }

    /// `scx_hotplug_seq`: CPUs that came and went since boot.
    pub fn hotplug_seq(&self) -> Result<i64, ReadError> {
        self.counter("scx_hotplug_seq", "atomic_long_t")
    }

    /// `scx_enable_seq`: schedulers that were enabled since boot.
    pub fn enable_seq(&self) -> Result<i64, ReadError> {
        self.counter("scx_enable_seq", "atomic_long_t")
    }

    /// `scx_watchdog_timestamp`: when the watchdog last ran, in jiffies.
    pub fn watchdog_timestamp(&self) -> Result<u64, ReadError> {
        self.0.read_symbol_u64("scx_watchdog_timestamp")
    }

    /// `scx_root`; `None` when no scheduler is loaded.
    pub fn root(&self) -> Result<Option<ScxSched<'k>>, ReadError> {
        Ok(self.0.pointer_variable("scx_root", "scx_sched")?.map(ScxSched))
    }

    /// `scx_sched_all`: all schedulers that are loaded, parents before their children. Before v7.0 there is the root
    /// alone.
    pub fn scheds(&self) -> Result<Vec<ScxSched<'k>>, ReadError> {
        match self.0.variable("scx_sched_all", "list_head") {
            Ok(head) => containers(list(head, MOST_SCHEDS), "scx_sched", "all")
                .map(|sched| sched.map(ScxSched))
                .collect(),
            Err(error) if error.is_absent() => Ok(self.root()?.into_iter().collect()),
            Err(error) => Err(error),
        }
    }

    /// All of it.
    pub fn value(&self) -> Value {
        let since = self
            .watchdog_timestamp()
            .and_then(|at| age(self.0, at))
            .map_or_else(|error| Value::missing(&error), Value::Time);
        let scheds = match self.scheds() {
            Ok(scheds) => scheds.iter().map(ScxSched::value).collect(),
            Err(error) => Value::missing(&error),
        };
        Value::tree([
            ("state", Value::from(self.enable_state())),
            ("switching_all", Value::from(self.switching_all())),
            ("switched_all", Value::from(self.switched_all())),
            ("nr_rejected", Value::from(self.nr_rejected())),
            ("hotplug_seq", Value::from(self.hotplug_seq())),
            ("enable_seq", Value::from(self.enable_seq())),
            ("watchdog_ran_before", since),
            ("scheds", scheds),
        ])
    }

    fn counter(&self, symbol: &str, structure: &str) -> Result<i64, ReadError> {
        self.0.variable(symbol, structure)?.i64("counter")
    }
}

impl<'k> ScxSched<'k> {
    /// The scheduler that this `struct scx_sched` is.
    pub fn new(sched: Object<'k>) -> ScxSched<'k> {
        ScxSched(sched)
    }

    /// The `struct scx_sched` itself.
    pub fn object(&self) -> Object<'k> {
        self.0
    }

    /// `ops.name`.
    pub fn name(&self) -> Result<String, ReadError> {
        self.0.str("ops.name")
    }

    /// `ops.flags`, by the names of `enum scx_ops_flags`.
    pub fn ops_flags(&self) -> Result<String, ReadError> {
        flags(self.0.btf(), "scx_ops_flags", self.0.u64("ops.flags")?)
    }

    /// `level`: 0 for the root.
    pub fn level(&self) -> Result<i64, ReadError> {
        self.0.i64("level")
    }

    /// `cgrp_path`: the cgroup that it schedules; `None` for the root.
    pub fn cgroup_path(&self) -> Result<Option<String>, ReadError> {
        self.0.follow_opt("cgrp_path")?.map(|at| text_at(&at)).transpose()
    }

    /// `children`: those that have a part of its cgroup.
    pub fn children(&self) -> Result<Vec<ScxSched<'k>>, ReadError> {
        let nodes = list(self.0.field("children")?, MOST_SCHEDS);
        containers(nodes, "scx_sched", "sibling")
            .map(|sched| sched.map(ScxSched))
            .collect()
    }

    /// `exit_kind`, by the names of `enum scx_exit_kind`; `SCX_EXIT_NONE` while it is not being ended.
    pub fn exit_kind(&self) -> Result<String, ReadError> {
        let kind = self.0.i64("exit_kind.counter")?;
        enumerator(self.0.btf(), "scx_exit_kind", kind)
    }

    /// `exit_info`; filled in while it is being ended.
    pub fn exit_info(&self) -> Result<Option<ExitInfo<'k>>, ReadError> {
        Ok(self.0.follow_opt("exit_info")?.map(ExitInfo))
    }

    /// `bypass_depth`: while it is not 0, the kernel runs the tasks first come, first served.
    pub fn bypass_depth(&self) -> Result<i64, ReadError> {
        self.0.i64("bypass_depth")
    }

    /// `slice_dfl`: the slice of a task that was given none, in ns.
    pub fn slice_dfl(&self) -> Result<u64, ReadError> {
        self.0.u64("slice_dfl")
    }

    /// `watchdog_timeout`: a runnable task that waits longer ends it, in ns.
    pub fn watchdog_timeout(&self) -> Result<u64, ReadError> {
        let kernel = self.0.kernel();
        let timeout = match self.0.u64("watchdog_timeout") {
            Err(error) if error.is_absent() => kernel.read_symbol_u64("scx_watchdog_timeout"),
            found => found,
        };
        Ok(timeout?.saturating_mul(ns_per_jiffy(kernel)?))
    }

    /// `scx_read_events()`: what has happened so far, each kind by the kernel's name for it, summed over all CPUs.
    pub fn events(&self) -> Result<Vec<(String, i64)>, ReadError> {
        let btf = self.0.btf();
        let stats = btf.structure("scx_event_stats")?;
        let names: Vec<String> = btf.members(stats).map(|member| member.name.to_owned()).collect();
        let mut sums = vec![0i64; names.len()];
        for cpu in self.0.kernel().possible_cpus()?.iter() {
            let counters = self.events_of(cpu)?;
            for (sum, name) in sums.iter_mut().zip(&names) {
                *sum = sum.wrapping_add(counters.i64(name)?);
            }
        }
        Ok(names.into_iter().zip(sums).collect())
    }

    /// The `struct scx_event_stats` of a CPU: in `pcpu`, before v7.0 `event_stats_cpu`.
    fn events_of(&self, cpu: u32) -> Result<Object<'k>, ReadError> {
        match self.pcpu(cpu) {
            Err(error) if error.is_absent() => self.per_cpu("event_stats_cpu", cpu),
            found => found?.field("event_stats"),
        }
    }

    /// `per_cpu_ptr(pcpu, cpu)`: the `struct scx_sched_pcpu` of a CPU.
    pub fn pcpu(&self, cpu: u32) -> Result<Object<'k>, ReadError> {
        self.per_cpu("pcpu", cpu)
    }

    fn per_cpu(&self, member: &str, cpu: u32) -> Result<Object<'k>, ReadError> {
        let template = self.0.follow(member)?;
        let at = self.0.kernel().per_cpu_at(member, template.address(), cpu)?;
        Ok(template.elsewhere(at))
    }

    /// The global DSQs, one a NUMA node: `pnode[node]->global_dsq`, before v7.0 `global_dsqs[node]`.
    pub fn global_dsqs(&self) -> Result<Vec<Dsq<'k>>, ReadError> {
        let (table, within) = match self.0.follow("pnode") {
            Err(error) if error.is_absent() => (self.0.follow("global_dsqs")?, None),
            found => (found?, Some("global_dsq")),
        };
        (0..nodes(self.0.kernel())?)
            .map(|node| {
                let at = table.element(node.into())?.deref()?;
                within.map_or(Ok(at), |within| at.field(within)).map(Dsq::new)
            })
            .collect()
    }

    /// The DSQ of each CPU that is used while the scheduler is bypassed: `pcpu->bypass_dsq` (v7.0 on).
    pub fn bypass_dsqs(&self) -> Result<Vec<(u32, Dsq<'k>)>, ReadError> {
        let cpus = self.0.kernel().possible_cpus()?;
        cpus.iter()
            .map(|cpu| Ok((cpu, Dsq::new(self.pcpu(cpu)?.field("bypass_dsq")?))))
            .collect()
    }

    /// `dsq_hash`: the DSQs that the scheduler has made, by ascending id.
    pub fn user_dsqs(&self) -> Result<Vec<Dsq<'k>>, ReadError> {
        let nodes = rhashtable(self.0.field("dsq_hash")?, MOST);
        let mut found = Vec::new();
        for dsq in containers(nodes, "scx_dispatch_q", "hash_node") {
            let dsq = Dsq::new(dsq?);
            found.push((dsq.id()?, dsq));
        }
        found.sort_by_key(|(id, _)| *id);
        Ok(found.into_iter().map(|(_, dsq)| dsq).collect())
    }

    /// All of it.
    pub fn value(&self) -> Value {
        let exit_info = match self.exit_info() {
            Ok(Some(info)) => info.value(),
            Ok(None) => Value::from("none"),
            Err(error) => Value::missing(&error),
        };
        let cgroup = match self.cgroup_path() {
            Ok(path) => Value::from(path.unwrap_or_else(|| "/".to_owned())),
            Err(error) => Value::missing(&error),
        };
        let events = match self.events() {
            Ok(events) => Value::tree(events.into_iter().map(|(name, sum)| (name, Value::Int(sum)))),
            Err(error) => Value::missing(&error),
        };
        let dsqs = |found: Result<Vec<Dsq<'k>>, ReadError>| match found {
            Ok(dsqs) => dsqs.iter().map(Dsq::value).collect(),
            Err(error) => Value::missing(&error),
        };
        let bypass = self
            .bypass_dsqs()
            .map(|dsqs| dsqs.into_iter().map(|(_, dsq)| dsq).collect());
        Value::tree([
            ("name", Value::from(self.name())),
            ("flags", Value::from(self.ops_flags())),
            ("level", Value::from(self.level())),
            ("cgroup", cgroup),
            ("exit_kind", Value::from(self.exit_kind())),
            ("exit_info", exit_info),
            ("bypass_depth", Value::from(self.bypass_depth())),
            ("slice_dfl", Value::time(self.slice_dfl())),
            ("watchdog_timeout", Value::time(self.watchdog_timeout())),
            ("events", events),
            ("global_dsqs", dsqs(self.global_dsqs())),
            ("bypass_dsqs", dsqs(bypass)),
            ("user_dsqs", dsqs(self.user_dsqs())),
        ])
    }
}

impl<'k> ExitInfo<'k> {
    /// `kind`, by the names of `enum scx_exit_kind`.
    pub fn kind(&self) -> Result<String, ReadError> {
        enumerator(self.0.btf(), "scx_exit_kind", self.0.i64("kind")?)
    }

    /// `exit_code`: of a scheduler that ended itself or is to be restarted.
    pub fn exit_code(&self) -> Result<i64, ReadError> {
        self.0.i64("exit_code")
    }

    /// `reason`: the kind in words; empty while there is none.
    pub fn reason(&self) -> Result<String, ReadError> {
        self.text("reason")
    }

    /// `msg`: what happened.
    pub fn msg(&self) -> Result<String, ReadError> {
        self.text("msg")
    }

    /// `bt`: where in the kernel it was ended, the innermost first; by name where it is in the kernel's image or in a BPF program.
    pub fn backtrace(&self) -> Result<Vec<String>, ReadError> {
        let len = self.0.u64("bt_len")?;
        if len > MOST_FRAMES {
            let what = format!("bt_len of {}", self.0.describe());
            let why = format!("at most {MOST_FRAMES} frames are kept");
            return Err(ReadError::out_of_range(what, len, why));
        }
        if len == 0 {
            return Ok(Vec::new());
        }
        let frames = self.0.follow("bt")?;
        (0..len)
            .map(|frame| {
                let at = guestmem::GuestVirt(frames.element(frame)?.bits()?);
                Ok(code_at(self.0.kernel(), at))
            })
            .collect()
    }

    /// All of it.
    pub fn value(&self) -> Value {
        let backtrace = match self.backtrace() {
            Ok(frames) => frames.into_iter().collect(),
            Err(error) => Value::missing(&error),
        };
        Value::tree([
            ("kind", Value::from(self.kind())),
            ("reason", Value::from(self.reason())),
            ("msg", Value::from(self.msg())),
            ("exit_code", Value::from(self.exit_code())),
            ("backtrace", backtrace),
        ])
    }

    fn text(&self, path: &str) -> Result<String, ReadError> {
        let at = self.0.follow_opt(path)?;
        at.map_or(Ok(String::new()), |at| text_at(&at))
    }
}

/// The string that begins here.
fn text_at(at: &Object<'_>) -> Result<String, ReadError> {
    const MOST_BYTES: usize = 4096;
    let bytes = at.kernel().read_cstr(at.address(), MOST_BYTES)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// `nr_node_ids`; a constant 1 in kernels without NUMA.
fn nodes(kernel: &GuestKernel<'_>) -> Result<u32, ReadError> {
    match kernel.read_symbol_u32("nr_node_ids") {
        Ok(nodes @ 1..=MOST_NODES) => Ok(nodes),
        Ok(nodes) => {
            let why = format!("no kernel has more than {MOST_NODES} nodes");
            Err(ReadError::out_of_range("nr_node_ids", nodes.into(), why))
        }
        Err(error) if error.is_absent() => Ok(1),
        Err(error) => Err(error),
    }
}
