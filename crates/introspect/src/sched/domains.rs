//! `struct sched_domain`: the CPUs among which the kernel balances load, level by level.

use record::Value;
use spec::CpuSet;

use super::names::enumeration;
use crate::btf::Kind;
use crate::{Object, ReadError};

/// `struct sched_domain`: a level, as one CPU has it.
#[derive(Debug, Clone, Copy)]
pub struct Domain<'k>(Object<'k>);

/// `struct sched_group`: CPUs of a domain that count as one.
#[derive(Debug, Clone, Copy)]
pub struct Group<'k>(Object<'k>);

/// No machine has more levels, and no domain more groups than CPUs.
const MOST_LEVELS: usize = 64;
const MOST_GROUPS: usize = 8192;

impl<'k> Domain<'k> {
    /// A domain and those above it, by `parent`.
    ///
    /// # Errors
    /// [`ReadError::TooMany`] where they go in a circle.
    pub fn chain(smallest: Option<Object<'k>>) -> Result<Vec<Domain<'k>>, ReadError> {
        let mut domains = Vec::new();
        let mut at = smallest;
        while let Some(domain) = at {
            if domains.len() == MOST_LEVELS {
                return Err(ReadError::TooMany {
                    what: format!("the parents up to {}", domain.describe()),
                    most: MOST_LEVELS,
                });
            }
            domains.push(Domain(domain));
            at = domain.follow_opt("parent")?;
        }
        Ok(domains)
    }

    /// The `struct sched_domain` itself.
    pub fn object(&self) -> Object<'k> {
        self.0
    }

    /// `name`: `SMT`, `MC`, `PKG`, `NUMA`.
    pub fn name(&self) -> Result<String, ReadError> {
        self.0.str("name")
    }

    /// `level`: 0 for the smallest that the kernel knows, on any machine.
    pub fn level(&self) -> Result<i64, ReadError> {
        self.0.i64("level")
    }

    /// `sched_domain_span()`: its CPUs. The mask follows the structure; kernels of late no longer name it (`span`).
    pub fn span(&self) -> Result<CpuSet, ReadError> {
        let mask = match self.0.field("span") {
            Err(error) if error.is_absent() => behind(&self.0)?,
            found => found?,
        };
        self.0.kernel().cpumask(mask)
    }

    /// `span_weight`: how many CPUs.
    pub fn span_weight(&self) -> Result<u64, ReadError> {
        self.0.u64("span_weight")
    }

    /// `flags`, by the names of the kernel's `sd_flag_debug`, the lowest bit first.
    pub fn flags(&self) -> Result<Vec<String>, ReadError> {
        let bits = self.0.u64("flags")?;
        let table = self.0.kernel().variable("sd_flag_debug", "sd_flag_debug")?;
        let known = self.0.btf().enum_value(None, "__SD_FLAG_CNT");
        // The flags are an int.
        let known = known
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or(0)
            .min(32);
        (0..64u64)
            .filter(|bit| bits >> bit & 1 != 0)
            .map(|bit| match bit < known {
                true => table.element(bit)?.str("name"),
                false => Ok(format!("{:#x}", 1u64 << bit)),
            })
            .collect()
    }

    /// `groups`: its ring of groups, the one with the CPU itself first.
    pub fn groups(&self) -> Result<Vec<Group<'k>>, ReadError> {
        let first = self.0.follow("groups")?;
        let mut groups = vec![Group(first)];
        let mut at = first.follow("next")?;
        while at.address() != first.address() {
            if groups.len() == MOST_GROUPS {
                return Err(ReadError::TooMany {
                    what: format!("the ring of {}", first.describe()),
                    most: MOST_GROUPS,
                });
            }
            groups.push(Group(at));
            at = at.follow("next")?;
        }
        Ok(groups)
    }

    /// A number by its name: `imbalance_pct`, `balance_interval`, `min_interval`, `max_interval`, `busy_factor`,
    /// `cache_nice_tries`, `nr_balance_failed`, `max_newidle_lb_cost`, `alb_count`, `ttwu_wake_remote`, ….
    pub fn number(&self, name: &str) -> Result<u64, ReadError> {
        self.0.u64(name)
    }

    /// `last_balance`, in jiffies.
    pub fn last_balance(&self) -> Result<u64, ReadError> {
        self.0.u64("last_balance")
    }

    /// The `lb_…` counter of this name for one kind of idleness (`enum cpu_idle_type`): `lb_count`, `lb_failed`,
    /// `lb_balanced`, ….
    pub fn lb(&self, name: &str, idle_type: u64) -> Result<u64, ReadError> {
        self.0.field(name)?.element(idle_type)?.bits()
    }

    /// The names of `enum cpu_idle_type`, by value, without the last, which counts them.
    pub fn idle_types(&self) -> Result<Vec<String>, ReadError> {
        let btf = self.0.btf();
        let all = enumeration(btf, "cpu_idle_type")?;
        let names: Vec<String> = btf.enumerators(all).map(|one| one.name.to_owned()).collect();
        Ok(names[..names.len().saturating_sub(1)].to_vec())
    }

    /// The `lb_…` counters that this kernel has, in its order.
    pub fn lb_names(&self) -> Vec<&'k str> {
        let members = self.0.btf().members(self.0.type_id());
        members
            .map(|member| member.name)
            .filter(|name| name.starts_with("lb_"))
            .collect()
    }

    /// All of it.
    pub fn value(&self) -> Value {
        let span = self.span().map(|span| span.to_string());
        let groups = match self.groups() {
            Ok(groups) => groups.iter().map(Group::value).collect(),
            Err(error) => Value::missing(&error),
        };
        let flags = self.flags().map(|flags| flags.join(" "));
        Value::tree([
            ("name", Value::from(self.name())),
            ("level", Value::from(self.level())),
            ("span", Value::from(span)),
            ("flags", Value::from(flags)),
            ("imbalance_pct", Value::from(self.number("imbalance_pct"))),
            ("balance_interval", Value::from(self.number("balance_interval"))),
            ("nr_balance_failed", Value::from(self.number("nr_balance_failed"))),
            ("groups", groups),
            ("lb", self.lb_value()),
            ("counters", self.counters()),
        ])
    }

    fn lb_value(&self) -> Value {
        let names = self.lb_names();
        match self.idle_types() {
            Ok(types) => Value::tree((0u64..).zip(types).map(|(index, idle_type)| {
                let counters = names
                    .iter()
                    .map(|name| (*name, Value::from(self.lb(name, index))));
                (
                    idle_type,
                    Value::tree(counters.map(|(name, value)| (name.to_owned(), value))),
                )
            })),
            Err(error) => Value::missing(&error),
        }
    }

    /// The counters that no kind of idleness divides: of active balancing, of balancing at exec and fork, of wakeups.
    fn counters(&self) -> Value {
        const OF: [&str; 4] = ["alb_", "sbe_", "sbf_", "ttwu_"];
        let btf = self.0.btf();
        let members = btf.members(self.0.type_id());
        let counters = members
            .filter(|member| OF.iter().any(|prefix| member.name.starts_with(prefix)))
            .filter(|member| btf.kind(btf.resolve(member.type_id)) == Kind::Int)
            .map(|member| (member.name.to_owned(), Value::from(self.0.u64(member.name))));
        Value::tree(counters)
    }
}

impl<'k> Group<'k> {
    /// The `struct sched_group` itself.
    pub fn object(&self) -> Object<'k> {
        self.0
    }

    /// `sched_group_span()`: its CPUs.
    pub fn span(&self) -> Result<CpuSet, ReadError> {
        self.0.kernel().cpumask(self.0.field("cpumask")?)
    }

    /// `group_balance_mask()`: the CPUs that may balance for it.
    pub fn balance_mask(&self) -> Result<CpuSet, ReadError> {
        self.0.kernel().cpumask(self.0.field("sgc->cpumask")?)
    }

    /// `group_weight`: how many CPUs.
    pub fn weight(&self) -> Result<u64, ReadError> {
        self.0.u64("group_weight")
    }

    /// `sgc->capacity`: the sum of its CPUs' capacities.
    pub fn capacity(&self) -> Result<u64, ReadError> {
        self.0.u64("sgc->capacity")
    }

    /// All of it.
    pub fn value(&self) -> Value {
        let text = |mask: Result<CpuSet, ReadError>| Value::from(mask.map(|mask| mask.to_string()));
        Value::tree([
            ("span", text(self.span())),
            ("balance_mask", text(self.balance_mask())),
            ("capacity", Value::from(self.capacity())),
            ("min_capacity", Value::from(self.0.u64("sgc->min_capacity"))),
            ("max_capacity", Value::from(self.0.u64("sgc->max_capacity"))),
        ])
    }
}

/// The mask that begins where this structure ends.
fn behind<'k>(structure: &Object<'k>) -> Result<Object<'k>, ReadError> {
    let at = structure.address().wrapping_add(structure.size());
    structure.kernel().object(at, "cpumask")
}
