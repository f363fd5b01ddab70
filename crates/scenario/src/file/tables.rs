//! What a scenario's file holds, table by table. Documentation here is what editors show.

use std::str::FromStr;

use kstore::KernelRequest;
use record::{Attach, Expectation};
use schemars::JsonSchema;
use serde::Deserialize;
use spec::{Cpus, GroupName, Nanos, Op, SchedulerSpec, Topology, Work};
use toml::Spanned;

use super::text::{Allowed, Described, Text};

/// A scenario of schedrig: a machine, a scheduler, load, and what the run is judged by.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "schedrig scenario")]
pub(super) struct Scenario {
    /// Its name in reports and records; the file's if left out.
    pub(super) name: Option<String>,
    /// What it is for, in a line.
    pub(super) about: Option<String>,
    #[serde(default)]
    pub(super) machine: Machine,
    #[serde(default)]
    pub(super) scheduler: Scheduler,
    /// The cgroups below the root, each with its workers; made in this order, before the first step.
    #[serde(default)]
    #[schemars(with = "Vec<Group>")]
    pub(super) groups: Vec<Spanned<Group>>,
    /// What is done, in this order.
    #[serde(default)]
    #[schemars(with = "Vec<Step>")]
    pub(super) steps: Vec<Spanned<Step>>,
    #[serde(default)]
    pub(super) verdict: Verdict,
}

/// The machine and its kernel.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Machine {
    /// 1n1l2c1t if left out.
    pub(super) topology: Option<Text<Topology>>,
    /// Guest RAM in MiB, 256 to 65536; by the number of CPUs if left out.
    #[schemars(with = "Option<u32>", range(min = 256, max = 65_536))]
    pub(super) memory: Option<Spanned<i64>>,
    /// The newest packaged kernel if left out.
    pub(super) kernel: Option<Text<KernelRequest>>,
    /// Kernel arguments beside the rig's own; later ones win.
    #[serde(default)]
    pub(super) kernel_args: String,
    /// An instruction takes 2^shift ns of guest time, 0 to 10; by the number of CPUs if left out.
    #[schemars(with = "Option<u8>", range(max = 10))]
    pub(super) shift: Option<Spanned<i64>>,
    /// Names below /proc/sys, as in kernel.sched_rt_runtime_us, and their values.
    #[serde(default)]
    #[schemars(with = "std::collections::BTreeMap<String, String>")]
    pub(super) sysctl: Entries,
}

/// The scheduler, and when it is attached.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Scheduler {
    /// EEVDF if left out.
    pub(super) run: Option<Text<SchedulerSpec>>,
    /// `once` if left out.
    #[schemars(with = "Option<Text<Attach>>")]
    pub(super) attach: Option<Spanned<Text<Attach>>>,
    /// How long it may take to attach, or to load one more BPF program, in guest time; 300s if left out.
    pub(super) attach_within: Option<Text<Nanos>>,
}

/// A cgroup and its workers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) name: Text<GroupName>,
    /// All CPUs if left out.
    #[schemars(with = "Option<Text<Cpus>>")]
    pub(super) cpus: Option<Spanned<Text<Cpus>>>,
    /// `cpu.weight`, 1 to 10000; 100 if left out.
    #[schemars(with = "Option<u32>", range(min = 1, max = 10_000))]
    pub(super) weight: Option<Spanned<i64>>,
    /// What runs in it.
    #[serde(default)]
    #[schemars(with = "Vec<Workers>")]
    pub(super) workers: Vec<Spanned<Workers>>,
}

/// Workers that do the same.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Workers {
    pub(super) work: Text<Work>,
    /// How many, 1 to 1000; one if left out.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1_000))]
    pub(super) count: Option<Spanned<i64>>,
    /// Their nice value, -20 to 19; 0 if left out.
    #[schemars(with = "Option<i8>", range(min = -20, max = 19))]
    pub(super) nice: Option<Spanned<i64>>,
}

/// Something is done, then the workers run for a while.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// Its name in the record.
    pub(super) name: Option<String>,
    /// The scheduler is attached, before the ops; for a scheduler with `attach = "step"`.
    #[serde(default)]
    pub(super) attach: bool,
    /// The ops, in this order.
    #[serde(default, rename = "do")]
    #[schemars(with = "Vec<Text<Op>>")]
    pub(super) ops: Vec<Spanned<Text<Op>>>,
    /// How long the workers then run, in guest time.
    pub(super) run: Option<Text<Nanos>>,
    /// How often the step is made, 1 to 1000; once if left out.
    #[schemars(with = "Option<u32>", range(min = 1, max = 1_000))]
    pub(super) times: Option<Spanned<i64>>,
}

/// What the run is judged by, beside the default checks.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Verdict {
    /// Each in the place of the default check of its name, or beside them.
    #[serde(default)]
    #[schemars(with = "Vec<Text<Check>>")]
    pub(super) checks: Vec<Spanned<Text<Check>>>,
    /// Names of default checks that are left out.
    #[serde(default)]
    pub(super) without: Vec<Text<CheckName>>,
}

/// A table of texts in its order.
#[derive(Debug, Default)]
pub(super) struct Entries(pub(super) Vec<(Spanned<String>, String)>);

/// A check.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Check(pub(super) Expectation);

/// The name of a default check.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CheckName(pub(super) &'static str);

/// A name that no default check has.
#[derive(Debug, thiserror::Error)]
#[error("no default check is called `{name}`; default checks: {}", default_checks())]
pub(super) struct CheckNameError {
    name: String,
}

impl FromStr for Check {
    type Err = check::CheckTextError;

    fn from_str(text: &str) -> Result<Check, check::CheckTextError> {
        check::parse(text).map(Check)
    }
}

impl FromStr for CheckName {
    type Err = CheckNameError;

    fn from_str(text: &str) -> Result<CheckName, CheckNameError> {
        let mut defaults = check::KINDS.iter().filter(|kind| kind.default);
        let kind = defaults.find(|kind| kind.name == text);
        kind.map(|kind| CheckName(kind.name))
            .ok_or_else(|| CheckNameError {
                name: text.to_owned(),
            })
    }
}

fn default_names() -> impl Iterator<Item = &'static str> {
    check::KINDS
        .iter()
        .filter(|kind| kind.default)
        .map(|kind| kind.name)
}

fn default_checks() -> String {
    let names: Vec<String> = default_names().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfTable;
        impl<'de> serde::de::Visitor<'de> for OfTable {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table of names and texts, as in `{ \"kernel.sched_rt_runtime_us\" = \"-1\" }`")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(OfTable)
    }
}

macro_rules! described {
    ($($type:ty, $name:literal, $describe:expr $(, $allowed:expr)?;)+) => {
        $(impl Described for $type {
            const NAME: &'static str = $name;

            fn describe() -> String {
                $describe.to_string()
            }
            $(
                fn allowed() -> Allowed {
                    $allowed
                }
            )?
        })+
    };
}

described! {
    Topology, "Topology", "{NUMA nodes}n{LLCs}l{cores per LLC}c{threads per core}t, as in `1n2l4c1t`",
        Allowed::Pattern("^[0-9]+n[0-9]+l[0-9]+c[0-9]+t$");
    KernelRequest, "Kernel", "`apt:SUITE[/FLAVOUR][=VERSION]`, `path:FILE`, `host`";
    SchedulerSpec, "Scheduler", "`eevdf`, or a program's name or path with its arguments, as in `scx_bpfland --slice-us 5000`";
    Attach, "Attach", "`once` for all runs, `fresh` in each, or by a `step`",
        Allowed::Words(Attach::ALL.map(|attach| attach.to_string()).to_vec());
    Nanos, "Span", "a span of time, as in `2s`, `150ms`, `20us`",
        Allowed::Pattern("^([0-9]+(\\.[0-9]+)?(h|m|s|ms|us|ns))+$");
    GroupName, "GroupName", "1 to 32 letters, digits, `-` or `_`", Allowed::Pattern("^[A-Za-z0-9_-]{1,32}$");
    Cpus, "Cpus", "`llc0`, `node1`, or a list as in `0-2,5`";
    Work, "Work", Work::help();
    Op, "Op", ops();
    Check, "Check", check::help();
    CheckName, "CheckName", format!("one of {}", default_checks()),
        Allowed::Words(default_names().map(str::to_owned).collect());
}

fn ops() -> String {
    let forms = Op::forms().map(|form| format!("{}: {}", form.usage, form.help));
    forms.collect::<Vec<_>>().join("\n")
}
