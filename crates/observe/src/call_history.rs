//! The calls that led to a failure, recorded in a second execution of the same run.
//!
//! ```text
//!  first execution ── a failure ──► Sites: where the callbacks begin and end, the scheduler's variables
//!  second execution ─ entered, left ──► CallRecorder: the last calls for the tasks and CPUs that the failure is about
//!                                           └──► Vec<TracedCall>, and what follows from them
//! ```
//! The second execution is the same as the first one to the bit, and so are its addresses.

mod sites;
mod state;

use std::collections::{BTreeMap, VecDeque};

use guestmem::GuestVirt;
use introspect::GuestKernel;
use record::{CallHistory, TracedCall, Value};
use spec::GuestTime;

pub use sites::{Site, Sites};
use state::State;

/// Calls that are kept of each task and of each CPU.
const LAST: usize = 12;
/// Nested calls that are followed on a CPU.
const DEEPEST: usize = 16;

/// The tasks and CPUs that a failure is about, and when it was detected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Tasks, by their process ids.
    pub tasks: Vec<i64>,
    /// CPUs.
    pub cpus: Vec<u32>,
    /// Calls that begin later are not recorded.
    pub until: GuestTime,
}

/// Records calls.
#[derive(Debug)]
pub struct CallRecorder {
    about: About,
    sites: Sites,
    /// The last calls of each task and of each CPU.
    of_tasks: BTreeMap<i64, VecDeque<TracedCall>>,
    of_cpus: BTreeMap<u32, VecDeque<TracedCall>>,
    /// The tasks' names.
    names: BTreeMap<i64, String>,
    /// Calls that have begun and not ended, by CPU: they nest.
    open: BTreeMap<u32, Vec<Open>>,
    seen: u64,
    /// Has the failure happened?
    over: bool,
}

#[derive(Debug)]
struct Open {
    site: usize,
    number: u64,
    state: State,
}

impl CallRecorder {
    /// A recorder without calls.
    pub fn new(sites: Sites, about: About) -> CallRecorder {
        CallRecorder {
            about,
            sites,
            of_tasks: BTreeMap::new(),
            of_cpus: BTreeMap::new(),
            names: BTreeMap::new(),
            open: BTreeMap::new(),
            seen: 0,
            over: false,
        }
    }

    /// The site was reached by this CPU: a call begins there, with these registers.
    pub fn entered(
        &mut self,
        site: usize,
        at: GuestTime,
        cpu: u32,
        registers: [u64; 6],
        kernel: &GuestKernel<'_>,
    ) {
        let Some(here) = self.sites.all.get(site) else {
            return;
        };
        if self.over || at > self.about.until || !here.is_live(kernel) {
            return;
        }
        // What follows within its tick did not lead to the error.
        self.over = self.sites.is_over(kernel);
        if self.over {
            return;
        }
        self.seen += 1;
        let Ok(arguments) = here.function.arguments(kernel, registers) else {
            return;
        };
        let state = State::of(&arguments);
        let mut mine = Vec::new();
        for (pid, name) in state.tasks(kernel) {
            if self.about.tasks.contains(&pid) {
                self.names.insert(pid, name);
                mine.push(pid);
            }
        }
        let on_cpu = self.about.cpus.contains(&cpu);
        if mine.is_empty() && !on_cpu {
            return;
        }
        let call = TracedCall {
            at,
            number: self.seen,
            cpu,
            name: here.function.name.clone(),
            program: here.program.clone(),
            line: here.line.clone(),
            arguments: Value::Tree(
                arguments
                    .iter()
                    .map(|argument| (argument.name.clone().into(), argument.value.clone()))
                    .collect(),
            ),
            before: state.read(&self.sites.variables, kernel),
            after: Value::Missing("its end was not seen".to_owned()),
        };
        for pid in mine {
            keep(self.of_tasks.entry(pid).or_default(), call.clone());
        }
        if on_cpu {
            keep(self.of_cpus.entry(cpu).or_default(), call);
        }
        if here.back.is_some() {
            let open = self.open.entry(cpu).or_default();
            // A call that may sleep can return on another CPU, and is never closed here.
            if open.len() == DEEPEST {
                open.remove(0);
            }
            open.push(Open {
                site,
                number: self.seen,
                state,
            });
        }
    }

    /// The instruction was reached that follows the site's call.
    pub fn left(&mut self, site: usize, cpu: u32, kernel: &GuestKernel<'_>) {
        let Some(open) = self.open.get_mut(&cpu) else {
            return;
        };
        // A call that has not returned has ended with its task.
        let Some(nth) = open.iter().rposition(|open| open.site == site) else {
            return;
        };
        let Some(ended) = open.drain(nth..).next() else {
            return;
        };
        let after = ended.state.read(&self.sites.variables, kernel);
        let calls = self.of_tasks.values_mut().chain(self.of_cpus.values_mut());
        for call in calls.flatten().filter(|call| call.number == ended.number) {
            call.after = after.clone();
        }
    }

    /// How many calls were recorded, those included that are not kept.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The last calls of each task and of each CPU that the failure is about.
    pub fn histories(&self) -> Vec<CallHistory> {
        let of_task = |pid: &i64| {
            let calls: Vec<TracedCall> = self.of_tasks.get(pid).into_iter().flatten().cloned().collect();
            let name = self.names.get(pid).cloned();
            let name = name.unwrap_or_else(|| format!("the task with pid {pid}"));
            CallHistory {
                conclusion: Some(conclusion(&name, calls.last(), self.about.until)),
                of: name,
                calls,
            }
        };
        let of_cpu = |cpu: &u32| CallHistory {
            of: format!("CPU {cpu}"),
            calls: self.of_cpus.get(cpu).into_iter().flatten().cloned().collect(),
            conclusion: None,
        };
        let tasks = self.about.tasks.iter().map(of_task);
        tasks.chain(self.about.cpus.iter().map(of_cpu)).collect()
    }
}

fn keep(calls: &mut VecDeque<TracedCall>, call: TracedCall) {
    if calls.len() == LAST {
        calls.pop_front();
    }
    calls.push_back(call);
}

/// What the last call shows of a task that waits.
fn conclusion(name: &str, last: Option<&TracedCall>, until: GuestTime) -> String {
    let Some(call) = last else {
        return format!("{name}: no call was made for it until {until}");
    };
    let program = call
        .program
        .as_ref()
        .map_or_else(String::new, |program| format!(" ({program})"));
    let meaning = match call.name.as_str() {
        "select_cpu" | "runnable" | "enqueue_task_scx" | "enqueue_task_fair" => "it was not run after that",
        "enqueue" => "it was never dispatched after that",
        "running" | "set_next_task_scx" | "set_next_task_fair" => "it was running then",
        _ => "no other call was made for it after that",
    };
    format!(
        "{name}: the last call for it until {until} was #{} {}{program} at {}: {meaning}",
        call.number, call.name, call.at
    )
}

impl Site {
    /// Where its calls begin.
    pub fn at(&self) -> GuestVirt {
        self.function.at
    }
}

#[cfg(test)]
mod tests {
    use spec::Nanos;

    use super::*;

    fn call(number: u64, name: &str) -> TracedCall {
        TracedCall {
            at: GuestTime(Nanos::from_secs(number)),
            number,
            cpu: 0,
            name: name.into(),
            program: Some(format!("mine_{name}")),
            line: None,
            arguments: Value::Tree(Vec::new()),
            before: Value::Tree(Vec::new()),
            after: Value::Tree(Vec::new()),
        }
    }

    fn recorder(tasks: &[i64], cpus: &[u32]) -> CallRecorder {
        let about = About {
            tasks: tasks.to_vec(),
            cpus: cpus.to_vec(),
            until: GuestTime(Nanos::from_secs(9)),
        };
        CallRecorder::new(Sites::default(), about)
    }

    #[test]
    fn the_last_calls_of_a_task_are_kept() {
        let mut calls = VecDeque::new();
        for number in 1..=20 {
            keep(&mut calls, call(number, "enqueue"));
        }
        let numbers: Vec<u64> = calls.iter().map(|call| call.number).collect();
        assert_eq!(numbers, (9..=20).collect::<Vec<_>>());
    }

    #[test]
    fn each_task_and_each_cpu_has_its_chain() {
        let mut recorder = recorder(&[7], &[0, 1]);
        recorder.names.insert(7, "a/0[7]".to_owned());
        keep(recorder.of_tasks.entry(7).or_default(), call(2, "enqueue"));
        for number in [1, 2, 3] {
            keep(recorder.of_cpus.entry(0).or_default(), call(number, "enqueue"));
        }
        let histories: Vec<(String, Vec<u64>)> = recorder
            .histories()
            .iter()
            .map(|chain| {
                let numbers = chain.calls.iter().map(|call| call.number).collect();
                (chain.of.clone(), numbers)
            })
            .collect();
        let expect = [
            ("a/0[7]".to_owned(), vec![2]),
            ("CPU 0".to_owned(), vec![1, 2, 3]),
            ("CPU 1".to_owned(), vec![]),
        ];
        assert_eq!(histories, expect);
    }

    #[test]
    fn the_call_after_which_a_task_was_never_dispatched_is_named() {
        let mut recorder = recorder(&[7, 8], &[]);
        recorder.names.insert(7, "a/0[7]".to_owned());
        keep(recorder.of_tasks.entry(7).or_default(), call(2, "stopping"));
        keep(recorder.of_tasks.entry(7).or_default(), call(3, "enqueue"));
        let conclusions: Vec<String> = recorder
            .histories()
            .into_iter()
            .filter_map(|chain| chain.conclusion)
            .collect();
        let (until, at) = (GuestTime(Nanos::from_secs(9)), GuestTime(Nanos::from_secs(3)));
        assert_eq!(
            conclusions,
            [
                format!(
                    "a/0[7]: the last call for it until {until} was #3 enqueue (mine_enqueue) at {at}: it was never \
                     dispatched after that"
                ),
                format!("the task with pid 8: no call was made for it until {until}"),
            ]
        );
    }
}
