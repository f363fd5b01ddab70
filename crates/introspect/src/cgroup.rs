//! Control groups of the version 2 hierarchy: `struct cgroup`, and the `struct task_group` of its CPU controller.
//!
//! ```text
//!  cgrp_dfl_root.cgrp ─ self.children ─► self.sibling of each group below
//!     ├ bstat: the CPU time of the group and those below, as far as it was brought together
//!     ├ rstat_base_cpu (rstat_cpu before v6.16): what each CPU has counted since, of the group alone
//!     ├ cset_links ─► css_set.nr_tasks
//!     └ subsys[cpu_cgrp_id] ─► task_group: shares, cfs_bandwidth
//! ```

use record::Value;

use crate::collections::{MOST, containers, list};
use crate::sched::group_path::kernfs_path;
use crate::sched::names::either;
use crate::task::{CpuTime, adjust, prev_cputime};
use crate::{GuestKernel, Object, ReadError};

/// `struct cgroup`.
#[derive(Debug, Clone, Copy)]
pub struct Cgroup<'k>(Object<'k>);

/// CPU time of a group and those below it, as `cpu.stat` tells it, in ns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuUsage {
    /// `usage_usec`.
    pub usage: u64,
    /// `user_usec`.
    pub user: u64,
    /// `system_usec`.
    pub system: u64,
    /// `nice_usec`.
    pub nice: u64,
}

/// `cpu.max`, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bandwidth {
    /// ns in each period; `None` for `max`.
    pub quota: Option<u64>,
    /// In ns.
    pub period: u64,
    /// `nr_periods`.
    pub nr_periods: u64,
    /// `nr_throttled`: periods in which it was throttled.
    pub nr_throttled: u64,
    /// ns for which it was, summed over the CPUs.
    pub throttled_time: u64,
}

/// Groups within groups; the kernel's own default limit is the largest number.
const DEEPEST: usize = 256;
/// A nice-0 task's share, and what `cpu.weight` calls it.
const SCALE_SHIFT: u32 = 10;
const WEIGHT_DFL: u64 = 100;

impl<'k> Cgroup<'k> {
    /// The group that this `struct cgroup` is.
    pub fn new(cgroup: Object<'k>) -> Cgroup<'k> {
        Cgroup(cgroup)
    }

    /// `cgrp_dfl_root`: the root of the hierarchy.
    pub fn root(kernel: &'k GuestKernel<'k>) -> Result<Cgroup<'k>, ReadError> {
        kernel
            .variable("cgrp_dfl_root", "cgroup_root")?
            .field("cgrp")
            .map(Cgroup)
    }

    /// All groups: each, and behind it those below it.
    ///
    /// # Errors
    /// [`ReadError`] when a list of groups is broken.
    pub fn all(kernel: &'k GuestKernel<'k>) -> Result<Vec<Cgroup<'k>>, ReadError> {
        let mut pending = vec![Cgroup::root(kernel)?];
        let mut all = Vec::new();
        while let Some(group) = pending.pop() {
            if all.len() == MOST {
                let what = "the tree of cgroups".to_owned();
                return Err(ReadError::TooMany { what, most: MOST });
            }
            all.push(group);
            let mut below = group.children()?;
            below.reverse();
            pending.extend(below);
        }
        Ok(all)
    }

    /// The `struct cgroup` itself.
    pub fn object(&self) -> Object<'k> {
        self.0
    }

    /// `cgroup_path()`: `/`, `/a/b`.
    pub fn path(&self) -> Result<String, ReadError> {
        kernfs_path(self.0.follow("kn")?)
    }

    /// `level`: 0 for the root.
    pub fn level(&self) -> Result<i64, ReadError> {
        self.0.i64("level")
    }

    /// `self.children` that were not removed (`CSS_ONLINE`).
    pub fn children(&self) -> Result<Vec<Cgroup<'k>>, ReadError> {
        let online = self.0.btf().enum_value(None, "CSS_ONLINE").unwrap_or(0);
        let mut children = self.all_children()?;
        let mut failed = None;
        children.retain(|child| match child.0.u64("self.flags") {
            Ok(flags) => flags & online.cast_unsigned() == online.cast_unsigned(),
            Err(error) => {
                failed = Some(error);
                false
            }
        });
        failed.map_or(Ok(children), Err)
    }

    /// `self.children`: those too that were removed, and are still counted.
    fn all_children(&self) -> Result<Vec<Cgroup<'k>>, ReadError> {
        containers(
            list(self.0.field("self.children")?, MOST),
            "cgroup",
            "self.sibling",
        )
        .map(|child| child.map(Cgroup))
        .collect()
    }

    /// Tasks in it, not in those below it: `nr_tasks` of the sets in `cset_links`.
    pub fn nr_tasks(&self) -> Result<i64, ReadError> {
        let links = containers(
            list(self.0.field("cset_links")?, MOST),
            "cgrp_cset_link",
            "cset_link",
        );
        links
            .map(|link| link?.i64("cset->nr_tasks"))
            .try_fold(0i64, |sum, nr| Ok(sum.saturating_add(nr?)))
    }

    /// `cgroup_is_populated()`: is there a task in it or below it?
    pub fn populated(&self) -> Result<bool, ReadError> {
        let csets = either(&self.0, "self.nr_populated_csets", "nr_populated_csets")?.bits()?;
        let below = self.0.u64("nr_populated_domain_children")?;
        let threaded = self.0.u64("nr_populated_threaded_children")?;
        Ok(csets | below | threaded != 0)
    }

    /// `subsys[cpu_cgrp_id]`: its CPU controller's `struct task_group`, which may be that of a group above; `None` where
    /// the controller is not enabled for it.
    pub fn task_group(&self) -> Result<Option<Object<'k>>, ReadError> {
        let Some(index) = self.0.btf().enum_value(None, "cpu_cgrp_id") else {
            return Err(ReadError::no_type("constant", "cpu_cgrp_id"));
        };
        match self.0.field("subsys")?.element(index.cast_unsigned())?.deref() {
            Ok(css) => css.container_of("task_group", "css").map(Some),
            Err(ReadError::Null { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `cpu.weight`, by `shares`; `None` where the controller is not enabled.
    pub fn weight(&self) -> Result<Option<u64>, ReadError> {
        let group = self.task_group()?;
        let shares = group.map(|group| group.u64("shares")).transpose()?;
        Ok(shares.map(weight_of))
    }

    /// `cpu.max`, and the counts of it in `cpu.stat`; `None` where the controller is not enabled.
    pub fn bandwidth(&self) -> Result<Option<Bandwidth>, ReadError> {
        let Some(group) = self.task_group()? else {
            return Ok(None);
        };
        let of = group.field("cfs_bandwidth")?;
        let quota = of.u64("quota")?;
        Ok(Some(Bandwidth {
            // `RUNTIME_INF`.
            quota: (quota != u64::MAX).then_some(quota),
            period: of.u64("period")?,
            nr_periods: of.u64("nr_periods")?,
            nr_throttled: of.u64("nr_throttled")?,
            throttled_time: of.u64("throttled_time")?,
        }))
    }

    /// What `cpu.stat` would tell now. The kernel brings together what the CPUs have counted when it is asked; this does
    /// the same sum, and changes nothing. Not of the root, of which the kernel tells what the CPUs tell.
    pub fn usage(&self) -> Result<CpuUsage, ReadError> {
        let cpus: Vec<u32> = self.0.kernel().possible_cpus()?.iter().collect();
        let mut sum = Sum::of(&self.0.field("bstat")?)?;
        sum.add(self.uncollected(&cpus)?);
        for child in self.all_children()? {
            sum.add(child.carried(&cpus, 0)?);
        }
        let told = adjust(
            CpuTime {
                utime: sum.utime,
                stime: sum.stime,
            },
            sum.runtime,
            prev_cputime(&self.0)?,
        );
        Ok(CpuUsage {
            usage: sum.runtime,
            user: told.utime,
            system: told.stime,
            nice: sum.nice,
        })
    }

    /// What the group above has not got yet, of this and of those below.
    fn carried(&self, cpus: &[u32], depth: usize) -> Result<Sum, ReadError> {
        if depth == DEEPEST {
            return Err(ReadError::TooMany {
                what: format!("the groups down to {}", self.0.describe()),
                most: DEEPEST,
            });
        }
        let mut sum = Sum::of(&self.0.field("bstat")?)?;
        sum.sub(Sum::of(&self.0.field("last_bstat")?)?);
        sum.add(self.uncollected(cpus)?);
        for child in self.all_children()? {
            sum.add(child.carried(cpus, depth + 1)?);
        }
        Ok(sum)
    }

    /// What the CPUs have counted of this group alone since it was last brought together.
    fn uncollected(&self, cpus: &[u32]) -> Result<Sum, ReadError> {
        let template = either(&self.0, "rstat_base_cpu", "rstat_cpu")?.deref()?;
        let kernel = self.0.kernel();
        let mut sum = Sum::default();
        for cpu in cpus {
            let at = kernel.per_cpu_at("rstat", template.address(), *cpu)?;
            let own = template.elsewhere(at);
            sum.add(Sum::of(&own.field("bstat")?)?);
            sum.sub(Sum::of(&own.field("last_bstat")?)?);
        }
        Ok(sum)
    }

    /// All of it, without those below.
    pub fn value(&self) -> Value {
        let optional = |of: Result<Option<u64>, ReadError>| match of {
            Ok(Some(weight)) => Value::from(weight),
            Ok(None) => Value::from("not enabled"),
            Err(error) => Value::missing(&error),
        };
        let usage = self.usage();
        let time = |which: fn(&CpuUsage) -> u64| Value::time(usage.as_ref().map(which));
        let bandwidth = match self.bandwidth() {
            Ok(Some(bandwidth)) => bandwidth.value(),
            Ok(None) => Value::from("not enabled"),
            Err(error) => Value::missing(&error),
        };
        let mut entries = vec![
            ("path", Value::from(self.path())),
            ("nr_tasks", Value::from(self.nr_tasks())),
            ("populated", Value::from(self.populated())),
            ("cpu.weight", optional(self.weight())),
            ("cpu.max", bandwidth),
        ];
        if self.level() != Ok(0) {
            entries.extend([
                ("usage", time(|usage| usage.usage)),
                ("user", time(|usage| usage.user)),
                ("system", time(|usage| usage.system)),
                ("nice", time(|usage| usage.nice)),
            ]);
        }
        Value::tree(entries)
    }
}

impl Bandwidth {
    /// All of it.
    pub fn value(&self) -> Value {
        let quota = self.quota.map(u64::cast_signed);
        Value::tree([
            ("quota", quota.map_or_else(|| Value::from("max"), Value::Time)),
            ("period", Value::Time(self.period.cast_signed())),
            ("nr_periods", Value::from(self.nr_periods)),
            ("nr_throttled", Value::from(self.nr_throttled)),
            ("throttled_time", Value::Time(self.throttled_time.cast_signed())),
        ])
    }
}

/// All groups with what they have used.
///
/// # Errors
/// Those of [`Cgroup::all`].
pub fn tree(kernel: &GuestKernel<'_>) -> Result<Value, ReadError> {
    Ok(Cgroup::all(kernel)?.iter().map(Cgroup::value).collect())
}

/// `sched_weight_to_cgroup(scale_load_down(shares))`.
fn weight_of(shares: u64) -> u64 {
    let scaled = match shares {
        0 => 0,
        shares => (shares >> SCALE_SHIFT).max(2),
    };
    (scaled * WEIGHT_DFL + (1 << SCALE_SHIFT) / 2) >> SCALE_SHIFT
}

/// `struct cgroup_base_stat`, in ns. Differences of it, so all arithmetic wraps.
#[derive(Default, Clone, Copy)]
struct Sum {
    runtime: u64,
    utime: u64,
    stime: u64,
    nice: u64,
}

impl Sum {
    fn of(stat: &Object<'_>) -> Result<Sum, ReadError> {
        Ok(Sum {
            runtime: stat.u64("cputime.sum_exec_runtime")?,
            utime: stat.u64("cputime.utime")?,
            stime: stat.u64("cputime.stime")?,
            nice: stat.u64("ntime")?,
        })
    }

    fn add(&mut self, other: Sum) {
        self.runtime = self.runtime.wrapping_add(other.runtime);
        self.utime = self.utime.wrapping_add(other.utime);
        self.stime = self.stime.wrapping_add(other.stime);
        self.nice = self.nice.wrapping_add(other.nice);
    }

    fn sub(&mut self, other: Sum) {
        self.runtime = self.runtime.wrapping_sub(other.runtime);
        self.utime = self.utime.wrapping_sub(other.utime);
        self.stime = self.stime.wrapping_sub(other.stime);
        self.nice = self.nice.wrapping_sub(other.nice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeKernel;

    #[test]
    fn a_group_that_is_below_itself_ends_the_walk() {
        let mut kernel = FakeKernel::new(
            1,
            "struct list_head { struct list_head *next, *prev; };
             struct cgroup_subsys_state { struct list_head sibling, children; u32 flags; };
             struct cgroup { struct cgroup_subsys_state self; };
             struct cgroup_root { struct cgroup cgrp; };",
        );
        let root = kernel.variable("cgrp_dfl_root", "cgroup_root");
        let (children, sibling) = (
            kernel.at(root, "cgroup_root", "cgrp.self.children"),
            kernel.at(root, "cgroup_root", "cgrp.self.sibling"),
        );
        kernel.list_init(children);
        let child = kernel.alloc("cgroup");
        kernel.list_add_tail(kernel.at(child, "cgroup", "self.sibling"), children);
        kernel.list_init(kernel.at(child, "cgroup", "self.children"));
        let two = |guest: &crate::testing::FakeGuest| Cgroup::all(&guest.kernel()).map(|all| all.len());
        kernel.set(sibling, "list_head", "next", 0);
        let guest = kernel.built();
        assert_eq!(two(&guest), Ok(2));
        // The root becomes its own child.
        let fake = guest.kernel();
        let head = fake.variable("cgrp_dfl_root", "cgroup_root").unwrap();
        let next = |path: &str, to: u64| head.field(path).unwrap().write(to).unwrap();
        next("cgrp.self.children.next", sibling.0);
        next("cgrp.self.sibling.next", children.0);
        let what = "the tree of cgroups".to_owned();
        assert_eq!(two(&guest), Err(ReadError::TooMany { what, most: MOST }));
    }

    #[test]
    fn shares_are_the_weight_that_was_written() {
        // `sched_weight_from_cgroup`, then `sched_group_set_shares(scale_load())`.
        let shares = |weight: u64| ((weight * 1024 + 50) / 100) << 10;
        for weight in [1, 2, 33, 100, 101, 300, 9999, 10000] {
            assert_eq!(weight_of(shares(weight)), weight);
        }
        assert_eq!(weight_of(0), 0);
        assert!(weight_of(u64::MAX) > 0);
    }
}
