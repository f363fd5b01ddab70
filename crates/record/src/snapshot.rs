//! A kernel at an instant, with a name: a test can still read it when the guest has run on.

use serde::{Deserialize, Serialize};
use spec::{GuestTime, KernelPath, PathRoot, PathStep};

use crate::{NoSuchValue, Tag, Value};

/// What a kernel looked like when it stood still. Not covered by the record hash: observing a run changes no execution.
///
/// ```text
/// cpus[cpu=N]         the runqueue, with .cfs and .scx
/// tasks[pid=N]        all tasks
/// dsqs, sched_ext     dispatch queues, schedulers
/// maps[name=…]        BPF maps, variables among them
/// progs               BPF programs
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its name: no other snapshot of the run has it.
    pub tag: Tag,
    /// When it was taken.
    pub at: GuestTime,
    /// Everything.
    pub seen: Value,
}

/// A value of a snapshot, and its path.
#[derive(Debug, Clone, PartialEq)]
pub struct View<'s> {
    path: String,
    value: &'s Value,
}

/// Which task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskRef<'n> {
    /// That with this process id.
    Pid(i64),
    /// The first with this name.
    Comm(&'n str),
}

impl From<i64> for TaskRef<'_> {
    fn from(pid: i64) -> Self {
        TaskRef::Pid(pid)
    }
}

impl<'n> From<&'n str> for TaskRef<'n> {
    fn from(comm: &'n str) -> Self {
        TaskRef::Comm(comm)
    }
}

/// An error lists no more than this.
const MAX_LISTED: usize = 16;
/// The kernel's per-CPU variable that [`Snapshot::cpu`] shows.
const RUNQUEUES: &str = "runqueues";
/// The kernel's pointer to the scheduler at the top, which comes first.
const ROOT_SCHEDULER: &str = "scx_root";

impl Snapshot {
    /// The value at a kernel path, as in `runqueues[1].nr_running`, `task[112].scx.dsq_vtime`, `dsq[0x2].nr`,
    /// `map[stats][0].count`, `scx_root->exit_kind` or `nr_enqueued`; or at a path of the tree itself, as in
    /// `sched_ext.state`.
    ///
    /// # Errors
    /// [`NoSuchValue`] lists what is there.
    pub fn get(&self, path: &str) -> Result<View<'_>, NoSuchValue> {
        let Ok(kernel_path) = path.parse::<KernelPath>() else {
            return self.root().field(path);
        };
        let steps = kernel_path.steps();
        match (kernel_path.root(), steps) {
            (PathRoot::Task(pid), _) => self.task(i64::from(*pid))?.follow(steps),
            (PathRoot::Dsq(id), _) => self.dsq(*id)?.follow(steps),
            (PathRoot::Map(name), [PathStep::Index(key), rest @ ..]) => {
                let contents = format!("contents[key={key}].value");
                self.map(name)?.field(&contents)?.follow(rest)
            }
            (PathRoot::Map(name), _) => self.map(name)?.contents()?.follow(steps),
            (PathRoot::Name(name), [PathStep::Index(cpu), rest @ ..]) if name == RUNQUEUES => {
                self.cpu(u32::try_from(*cpu).unwrap_or(u32::MAX))?.follow(rest)
            }
            (PathRoot::Name(name), _) if name == ROOT_SCHEDULER => {
                self.root().field("sched_ext.scheds[0]")?.follow(steps)
            }
            (PathRoot::Name(name), _) if !self.has(name) => self.var(name)?.follow(steps),
            _ => self.root().field(path),
        }
    }

    /// Is this a part of the tree itself?
    fn has(&self, name: &str) -> bool {
        self.root().field(name).is_ok()
    }

    /// A CPU's runqueue.
    ///
    /// # Errors
    /// [`NoSuchValue`] lists the CPUs.
    pub fn cpu(&self, cpu: u32) -> Result<View<'_>, NoSuchValue> {
        let wanted = |view: &View<'_>| view.u64("cpu") == Ok(u64::from(cpu));
        self.one_of("cpus", wanted, format!("CPU {cpu}"), |view| view.text("cpu"))
    }

    /// A task, by its process id or its name.
    ///
    /// # Errors
    /// [`NoSuchValue`] lists tasks.
    pub fn task<'n>(&self, who: impl Into<TaskRef<'n>>) -> Result<View<'_>, NoSuchValue> {
        let who = who.into();
        let wanted = |view: &View<'_>| match who {
            TaskRef::Pid(pid) => view.i64("pid") == Ok(pid),
            TaskRef::Comm(comm) => view.str("comm") == Ok(comm),
        };
        let name = match who {
            TaskRef::Pid(pid) => format!("task with the pid {pid}"),
            TaskRef::Comm(comm) => format!("task `{comm}`"),
        };
        self.one_of("tasks", wanted, name, |view| {
            format!("{}[{}]", view.text("comm"), view.text("pid"))
        })
    }

    /// A dispatch queue that a scheduler has made; those of the CPUs are in [`Snapshot::cpu`], below `ext`.
    ///
    /// # Errors
    /// [`NoSuchValue`] lists the queues.
    pub fn dsq(&self, id: u64) -> Result<View<'_>, NoSuchValue> {
        let mut there = Vec::new();
        for sched in self.root().field("sched_ext.scheds")?.items() {
            let Ok(queues) = sched.field("user_dsqs") else {
                continue;
            };
            for queue in queues.items() {
                let name = queue.text("id");
                if name == format!("{id:#x}") || queue.u64("id") == Ok(id) {
                    return Ok(queue);
                }
                there.push(name);
            }
        }
        Err(none("sched_ext", format!("DSQ {id:#x}"), there))
    }

    /// A BPF map, by its name; [`View::contents`] leads to the value of one that has just one.
    ///
    /// # Errors
    /// [`NoSuchValue`] lists the maps.
    pub fn map(&self, name: &str) -> Result<View<'_>, NoSuchValue> {
        let wanted = |view: &View<'_>| view.str("name") == Ok(name);
        self.one_of("maps", wanted, format!("map `{name}`"), |view| view.text("name"))
    }

    /// A global variable of a BPF program.
    ///
    /// # Errors
    /// [`NoSuchValue`] lists the variables.
    pub fn var(&self, name: &str) -> Result<View<'_>, NoSuchValue> {
        let mut there = Vec::new();
        for map in self.root().field("maps")?.items() {
            // A map that holds variables.
            let Ok(all) = map.field("variables") else {
                continue;
            };
            if let Value::Tree(entries) = all.value {
                if entries.iter().any(|(other, _)| *other == *name) {
                    return all.child(name);
                }
                there.extend(entries.iter().map(|(other, _)| other.to_string()));
            }
        }
        there.sort_unstable();
        Err(none("the variables", format!("variable `{name}`"), there))
    }

    fn root(&self) -> View<'_> {
        View {
            path: String::new(),
            value: &self.seen,
        }
    }

    fn one_of(
        &self,
        list: &str,
        wanted: impl Fn(&View<'_>) -> bool,
        what: String,
        name: impl Fn(&View<'_>) -> String,
    ) -> Result<View<'_>, NoSuchValue> {
        let all: Vec<View<'_>> = self.root().field(list)?.items().collect();
        match all.iter().find(|view| wanted(view)) {
            Some(found) => Ok(found.clone()),
            None => Err(none(list, what, all.iter().map(name).collect())),
        }
    }
}

impl<'s> View<'s> {
    /// The value.
    pub fn value(&self) -> &'s Value {
        self.value
    }

    /// Its path in the snapshot.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is at a path from here, as in `scx.dsq_vtime`, or `a.b[3]`.
    ///
    /// # Errors
    /// [`NoSuchValue`] lists what is there.
    pub fn field(&self, path: &str) -> Result<View<'s>, NoSuchValue> {
        match self.value.get(path) {
            Ok(value) => Ok(View {
                path: joined(&self.path, path),
                value,
            }),
            Err(error) => Err(NoSuchValue {
                at: joined(&self.path, &error.at),
                ..error
            }),
        }
    }

    /// What these steps of a kernel path lead to. A snapshot has the values behind pointers in place.
    fn follow(self, steps: &[PathStep]) -> Result<View<'s>, NoSuchValue> {
        let path = PathStep::fields(steps).replace("->", ".");
        self.field(&path)
    }

    /// Of a map: a program's variables, or the value of its only entry.
    ///
    /// # Errors
    /// [`NoSuchValue`] for a map that has none, or several: those are `contents[key=…].value`, or `contents[3].value`.
    pub fn contents(&self) -> Result<View<'s>, NoSuchValue> {
        if let Ok(variables) = self.field("variables") {
            return Ok(variables);
        }
        let contents = self.field("contents")?;
        match contents.items().count() {
            1 => contents.field("[0].value"),
            count => Err(none(
                &contents.path,
                "single entry".to_owned(),
                vec![format!("a list of {count}")],
            )),
        }
    }

    /// The elements of a list; of another value none.
    pub fn items(&self) -> impl Iterator<Item = View<'s>> + use<'s> {
        let path = self.path.clone();
        let values = match self.value {
            Value::List(values) => values.as_slice(),
            _ => &[],
        };
        values.iter().enumerate().map(move |(index, value)| View {
            path: format!("{path}[{index}]"),
            value,
        })
    }

    /// A number that is not negative, at a path; of a time its ns.
    ///
    /// # Errors
    /// [`NoSuchValue`] for what is not there, or none.
    pub fn u64(&self, path: &str) -> Result<u64, NoSuchValue> {
        self.typed(path, "number", Value::as_u64)
    }

    /// A number, at a path; of a time its ns.
    ///
    /// # Errors
    /// [`NoSuchValue`] for what is not there, or none.
    pub fn i64(&self, path: &str) -> Result<i64, NoSuchValue> {
        self.typed(path, "number", Value::as_i64)
    }

    /// A text, at a path.
    ///
    /// # Errors
    /// [`NoSuchValue`] for what is not there, or none.
    pub fn str(&self, path: &str) -> Result<&'s str, NoSuchValue> {
        self.typed(path, "text", Value::as_str)
    }

    fn typed<T>(
        &self,
        path: &str,
        kind: &str,
        get: impl Fn(&'s Value) -> Option<T>,
    ) -> Result<T, NoSuchValue> {
        let found = self.field(path)?;
        get(found.value).ok_or_else(|| none(&found.path, kind.to_owned(), vec![found.value.to_string()]))
    }

    /// For a list of what there is.
    fn text(&self, path: &str) -> String {
        self.field(path).map_or_else(
            |_| "?".to_owned(),
            |view| view.value.to_string().trim().to_owned(),
        )
    }

    /// What has this very name.
    fn child(&self, name: &str) -> Result<View<'s>, NoSuchValue> {
        self.field(&format!(
            "\"{}\"",
            name.replace('\\', "\\\\").replace('"', "\\\"")
        ))
    }
}

fn joined(path: &str, more: &str) -> String {
    let dot = if path.is_empty() || more.is_empty() || more.starts_with('[') {
        ""
    } else {
        "."
    };
    format!("{path}{dot}{more}")
}

fn none(at: &str, wanted: String, mut there: Vec<String>) -> NoSuchValue {
    if there.len() > MAX_LISTED {
        there.truncate(MAX_LISTED);
        there.push("…".to_owned());
    }
    NoSuchValue {
        at: at.to_owned(),
        wanted,
        there,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: Vec<(&'static str, Value)>) -> Value {
        Value::tree(entries)
    }

    fn snapshot() -> Snapshot {
        let task = |pid, comm: &str, vtime| {
            let scx = tree(vec![("dsq_vtime", Value::Time(vtime))]);
            tree(vec![
                ("pid", Value::Int(pid)),
                ("comm", comm.into()),
                ("scx", scx),
            ])
        };
        let entry = |value| tree(vec![("key", Value::Int(0)), ("value", value)]);
        let map = |name: &str, contents: Vec<Value>| {
            tree(vec![("name", name.into()), ("contents", Value::List(contents))])
        };
        let array = Value::List(vec![Value::Int(4), Value::Int(5)]);
        let seen = tree(vec![
            (
                "cpus",
                Value::List(vec![
                    tree(vec![("cpu", Value::Int(0))]),
                    tree(vec![("cpu", Value::Int(1)), ("nr", Value::Int(3))]),
                ]),
            ),
            ("tasks", Value::List(vec![task(1, "init", 0), task(9, "a/0", 77)])),
            (
                "sched_ext",
                tree(vec![(
                    "scheds",
                    Value::List(vec![tree(vec![(
                        "user_dsqs",
                        Value::List(vec![tree(vec![("id", "0x2".into()), ("nr", Value::Int(6))])]),
                    )])]),
                )]),
            ),
            (
                "maps",
                Value::List(vec![
                    map("two", vec![entry(Value::Int(1)), entry(Value::Int(2))]),
                    tree(vec![
                        ("name", "baton.bss".into()),
                        ("variables", tree(vec![("nr_enqueued", Value::Unsigned(12))])),
                    ]),
                    map("stats", vec![entry(tree(vec![("a", tree(vec![("b", array)]))]))]),
                ]),
            ),
        ]);
        Snapshot {
            tag: Tag::new("end").unwrap(),
            at: GuestTime::default(),
            seen,
        }
    }

    #[test]
    fn things_are_found_by_what_people_call_them() {
        let now = snapshot();
        assert_eq!(now.cpu(1).unwrap().u64("nr"), Ok(3));
        assert_eq!(now.task(9).unwrap().u64("scx.dsq_vtime"), Ok(77));
        assert_eq!(now.task("a/0").unwrap().i64("pid"), Ok(9));
        assert_eq!(now.dsq(2).unwrap().u64("nr"), Ok(6));
        assert_eq!(now.var("nr_enqueued").unwrap().u64(""), Ok(12));
        let stats = now.map("stats").unwrap().contents().unwrap();
        assert_eq!(stats.u64("a.b[1]"), Ok(5));
        assert_eq!(
            stats.field("a.b[1]").unwrap().path(),
            "maps[2].contents[0].value.a.b[1]"
        );
        assert_eq!(now.map("two").unwrap().u64("contents[1].value"), Ok(2));
    }

    #[test]
    fn kernel_paths_lead_to_values() {
        let now = snapshot();
        for (path, expect) in [
            ("runqueues[1].nr", 3),
            ("task[9].scx.dsq_vtime", 77),
            ("dsq[0x2].nr", 6),
            ("nr_enqueued", 12),
            ("map[baton.bss].nr_enqueued", 12),
            ("map[stats].a.b[1]", 5),
            ("map[stats][0].a.b[0]", 4),
            ("scx_root->user_dsqs[0].nr", 6),
            ("sched_ext.scheds[0].user_dsqs[0].nr", 6),
            ("tasks[1].scx.dsq_vtime", 77),
            ("tasks[comm=init].pid", 1),
        ] {
            let found = now.get(path).map(|view| view.value().as_u64());
            assert_eq!(found, Ok(Some(expect)), "{path}");
        }
        let missing = now.get("runqueues[7].nr").unwrap_err().to_string();
        assert_eq!(missing, "no CPU 7 in cpus; available: 0, 1");
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let now = snapshot();
        let check = |error: NoSuchValue, expect: &str| assert_eq!(error.to_string(), expect);
        check(now.cpu(7).unwrap_err(), "no CPU 7 in cpus; available: 0, 1");
        check(
            now.task("b").unwrap_err(),
            "no task `b` in tasks; available: init[1], a/0[9]",
        );
        check(now.dsq(1).unwrap_err(), "no DSQ 0x1 in sched_ext; available: 0x2");
        check(
            now.map("x").unwrap_err(),
            "no map `x` in maps; available: two, baton.bss, stats",
        );
        check(
            now.var("x").unwrap_err(),
            "no variable `x` in the variables; available: nr_enqueued",
        );
        check(
            now.task(1).unwrap().u64("comm").unwrap_err(),
            "no number in tasks[0].comm; available: init",
        );
        check(
            now.task(1).unwrap().u64("scx.gone").unwrap_err(),
            "no gone in tasks[0].scx; available: dsq_vtime",
        );
        check(
            now.map("two").unwrap().contents().unwrap_err(),
            "no single entry in maps[0].contents; available: a list of 2",
        );
    }
}
