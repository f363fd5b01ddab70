//! What a kernel looked like at the instant of a failure.

use serde::{Deserialize, Serialize};

use crate::{Event, Snapshot};

/// A failure, as the kernel was while it happened. Not covered by the record hash: observing a run changes no execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dump {
    /// What triggered it.
    pub trigger: DumpTrigger,
    /// What explains it at once: the tasks that are stuck, the exit message of the scheduler.
    pub headline: Vec<String>,
    /// The tasks concerned, by their process ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<i64>,
    /// The CPUs concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u32>,
    /// The functions of the kernel that were about to end the scheduler, the innermost first, as `function+0x10`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backtrace: Vec<String>,
    /// The last of what the kernel had written to its console by then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
    /// What had happened last by then, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timeline: Vec<Event>,
    /// Everything: queues, tasks, programs' maps and variables.
    pub snapshot: Snapshot,
}

/// What triggers a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DumpTrigger {
    /// The kernel ends the scheduler with an error: its exit kind was stored.
    SchedulerError {},
    /// A task is stuck.
    Stuck {
        /// Which, since when, and where it waits.
        waiting: String,
    },
    /// Half of sched_ext's watchdog timeout has passed for a task.
    HalfTimeout {
        /// Which, since when, and where it waits.
        waiting: String,
    },
    /// The kernel reports a problem on its console.
    KernelReport {
        /// Its words.
        message: String,
    },
    /// The monitor's samples show what a check forbids.
    Sampled {
        /// What.
        violation: String,
    },
    /// A check fails, and nothing in the kernel reported why.
    CheckFailed {
        /// Its name.
        check: String,
    },
    /// A hook or a watch was hit that ends the run.
    Stopped {
        /// Which.
        asked: String,
    },
    /// A sentence, as records of older versions have it.
    #[serde(untagged)]
    Sentence(String),
}

/// Events that a dump has.
const TIMELINE: usize = 12;

impl Dump {
    /// Takes what had happened last by then out of all events.
    pub fn take_timeline(&mut self, events: &[Event]) {
        let before = events.partition_point(|event| event.at <= self.snapshot.at);
        self.timeline = events[before.saturating_sub(TIMELINE)..before].to_vec();
    }

    /// All of it as text: what set it off first, the kernel last.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{} at {}: {}\n",
            self.snapshot.tag, self.snapshot.at, self.trigger
        );
        let mut part = |title: &str, lines: &mut dyn Iterator<Item = String>| {
            let mut lines = lines.peekable();
            if lines.peek().is_some() {
                text += &format!("\n{title}\n");
                lines.for_each(|line| text += &format!("  {line}\n"));
            }
        };
        part("what explains it", &mut self.headline.iter().cloned());
        let event = |event: &Event| format!("{} {}", event.at, event.what);
        part("what had happened last", &mut self.timeline.iter().map(event));
        part("the kernel's log", &mut self.log.iter().cloned());
        text + &format!("\n{}\n", self.snapshot.seen)
    }
}

#[cfg(test)]
mod tests {
    use spec::{GuestTime, Nanos};

    use super::*;
    use crate::{EventKind, Tag, Value};

    fn at(seconds: u64) -> GuestTime {
        GuestTime(Nanos::from_secs(seconds))
    }

    #[test]
    fn a_timeline_is_what_came_last_until_the_failure() {
        let events: Vec<Event> = (1..=30)
            .map(|second| Event {
                at: at(second),
                what: EventKind::Note {
                    key: "k".into(),
                    value: second.to_string(),
                },
            })
            .collect();
        let mut dump = Dump {
            trigger: DumpTrigger::Sentence("a task is stuck".into()),
            headline: vec!["a/0 has waited".into()],
            tasks: Vec::new(),
            cpus: Vec::new(),
            backtrace: Vec::new(),
            log: vec!["[ 1.0] booted".into()],
            timeline: Vec::new(),
            snapshot: Snapshot {
                tag: Tag::new("stuck").unwrap(),
                at: at(20),
                seen: Value::tree([("nr_running", Value::from(3u64))]),
            },
        };
        dump.take_timeline(&events);
        let seconds: Vec<GuestTime> = dump.timeline.iter().map(|event| event.at).collect();
        assert_eq!(seconds, (9..=20).map(at).collect::<Vec<_>>());
        let text = dump.text();
        let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words}: {text}"));
        assert!(place("a task is stuck") < place("a/0 has waited"));
        assert!(place("a/0 has waited") < place("k = 20") && place("k = 20") < place("booted"));
        assert!(place("booted") < place("nr_running"));
    }
}
