//! The state that is compared before and after a call: its tasks, and the scheduler's variables.

use guestmem::GuestVirt;
use introspect::task::Task;
use introspect::{Argument, GuestKernel, ReadError};
use record::Value;

use crate::KernelVar;

/// Where the tasks are.
#[derive(Debug)]
pub(super) struct State {
    tasks: Vec<Subject>,
}

/// A task that is an argument.
#[derive(Debug)]
struct Subject {
    argument: String,
    at: GuestVirt,
    name: String,
}

/// The type of a task.
const TASK: &str = "task_struct";

impl State {
    /// Of a call with these arguments.
    pub(super) fn of(arguments: &[Argument]) -> State {
        let tasks = arguments.iter().filter(|argument| argument.is_task());
        State {
            tasks: tasks
                .map(|argument| Subject {
                    argument: argument.name.clone(),
                    at: GuestVirt(argument.bits),
                    name: argument.value.to_string().trim().to_owned(),
                })
                .collect(),
        }
    }

    /// The tasks: process id and `comm[pid]`.
    pub(super) fn tasks(&self, kernel: &GuestKernel<'_>) -> Vec<(i64, String)> {
        let tasks = self.tasks.iter();
        let pid = |at: GuestVirt| kernel.object(at, TASK).and_then(|task| task.i64("pid"));
        tasks
            .filter_map(|subject| Some((pid(subject.at).ok()?, subject.name.clone())))
            .collect()
    }

    /// All of it as it is now.
    pub(super) fn read(&self, variables: &[KernelVar], kernel: &GuestKernel<'_>) -> Value {
        let tasks = self.tasks.iter().map(|Subject { argument, at, .. }| {
            let task = kernel.object(*at, TASK).map(Task::new);
            let value = task.map_or_else(|error| Value::missing(&error), |task| of_task(&task));
            (argument.clone().into(), value)
        });
        let variables = variables
            .iter()
            .map(|place| (place.name.clone().into(), Value::from(place.read(kernel))));
        Value::Tree(tasks.chain(variables).collect())
    }
}

/// What a scheduler decides about a task.
fn of_task(task: &Task<'_>) -> Value {
    let state = task.raw_state();
    let mut all = vec![
        ("state".into(), Value::hex(state)),
        ("cpu".into(), Value::from(task.cpu())),
        ("on_cpu".into(), Value::from(task.on_cpu())),
        ("on_rq".into(), Value::from(task.on_rq())),
    ];
    let scx = task.scx().and_then(|scx| scx.dsq_vtime().map(|_| scx));
    match scx {
        Ok(scx) if task.sched_class().is_ok_and(|class| class == "ext") => {
            let dsq = scx.dsq().and_then(|dsq| match dsq {
                Some(dsq) => dsq.name(),
                None => Ok("none".to_owned()),
            });
            all.push((
                "scx".into(),
                Value::tree([
                    ("dsq", Value::from(dsq)),
                    ("dsq_vtime", Value::from(scx.dsq_vtime())),
                    ("slice", Value::time(scx.slice())),
                    ("weight", Value::from(scx.weight())),
                    ("ops_state", Value::from(scx.ops_state())),
                    ("ddsp_dsq", Value::from(scx.ddsp_dsq())),
                    ("selected_cpu", Value::from(scx.selected_cpu())),
                    ("flags", Value::from(scx.flags())),
                ]),
            ));
        }
        _ => {
            let number = |path: &str| -> Result<i64, ReadError> { task.object().i64(path) };
            all.push((
                "se".into(),
                Value::tree(
                    ["vruntime", "deadline", "slice", "vlag", "on_rq"]
                        .map(|name| (name, Value::from(number(&format!("se.{name}"))))),
                ),
            ));
        }
    }
    Value::Tree(all)
}
