//! Where two executions of the same run diverge first.
//!
//! A record has several channels. Each is searched for its own first difference, and of these the earliest in
//! guest time is reported, because what comes later is mostly its consequence.
//!
//! ```text
//! channel         guest time of a difference
//! group           -
//! event           the event's
//! window          its begin if that differs, else its end: reports are made then
//! console         the kernel's stamp on the line, or on the last stamped line before
//! scheduler log   -
//! end             -
//! judgement       -
//! ```
//!
//! Where times are equal or unknown, the order above decides; what has no time comes after what has one. The
//! kernel stamps its lines by its scheduler clock, not by `CLOCK_MONOTONIC`: both count from boot and are
//! close, so only differences within that small distance may be reported in the wrong order.
//!
//! Of a judgement the checks of evidence are compared, and reported only where no evidence differs. Structs of
//! evidence are taken apart without `..`: a field that is added to them does not compile here until it is compared.

mod shown;
#[cfg(test)]
mod tests;

use std::fmt;

use record::{CheckResult, Event, Evidence, Judgement, Record, Source, Window};
use serde::Serialize;
use spec::{CgroupSpec, GuestTime, Nanos, WorkerReport};

use crate::wording::count;
use shown::{Sides, differing, either, gap_text, instants, spans, texts, values};

/// A part of a record that is compared by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// A cgroup that was made.
    Group,
    /// An event.
    Event,
    /// A window in which workers ran.
    Window,
    /// A line of the kernel's console.
    Console,
    /// A line that the scheduler's program wrote.
    #[serde(rename = "scheduler log")]
    SchedulerLog,
    /// How the machine ended.
    End,
    /// A check's outcome.
    Judgement,
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Channel::Group => "group",
            Channel::Event => "event",
            Channel::Window => "window",
            Channel::Console => "console line",
            Channel::SchedulerLog => "scheduler log line",
            Channel::End => "end",
            Channel::Judgement => "judgement",
        })
    }
}

/// Where two records differ first, and what each has there. The field names are an interface: scripts read them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What kind of evidence.
    pub channel: Channel,
    /// Which group, event or window, from 0 as in the record; which line, from 1.
    pub number: Option<usize>,
    /// When, if that is known.
    pub at: Option<GuestTime>,
    /// What of it, as in `a/2 (pid 110) on_cpu`; empty where it is the whole.
    pub what: String,
    /// What the first record has there: text in backquotes, other values bare, `nothing` where it has ended.
    pub recorded: String,
    /// What the second record has there, likewise.
    pub replayed: String,
}

/// Where `recorded` and `replayed` differ first; `None` if what the guest did and what was judged are equal, and
/// so the hashes.
pub fn first_difference(recorded: &Record, replayed: &Record) -> Option<Difference> {
    let Evidence {
        groups,
        events,
        windows,
        scheduler_log,
        console,
        end,
    } = &recorded.evidence;
    let second = &replayed.evidence;
    [
        group_difference(groups, &second.groups),
        event_difference(events, &second.events),
        window_difference(windows, &second.windows),
        console_difference(console, &second.console),
        line_difference(Channel::SchedulerLog, scheduler_log, &second.scheduler_log),
        differing(end, &second.end, ToString::to_string)
            .map(|sides| Difference::new(Channel::End, None, None, "", sides)),
        judgement_difference(&recorded.judgement, &replayed.judgement),
    ]
    .into_iter()
    .flatten()
    // Of equal ones the first.
    .min_by_key(|difference| (difference.at.is_none(), difference.at))
}

impl Difference {
    fn new(
        channel: Channel,
        number: Option<usize>,
        at: Option<GuestTime>,
        what: impl Into<String>,
        (recorded, replayed): Sides,
    ) -> Difference {
        Difference {
            channel,
            number,
            at,
            what: what.into(),
            recorded,
            replayed,
        }
    }
}

/// One line, or three where the two sides would make it too long to compare them.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Characters of both sides that still fit beside each other.
        const BESIDE: usize = 80;

        let Difference {
            channel,
            number,
            at,
            what,
            recorded,
            replayed,
        } = self;
        write!(f, "{channel}")?;
        if let Some(number) = number {
            write!(f, " {number}")?;
        }
        if let Some(at) = at {
            write!(f, " at {at}")?;
        }
        if !what.is_empty() {
            write!(f, ": {what}")?;
        }
        if recorded.chars().count() + replayed.chars().count() <= BESIDE {
            write!(f, ": recorded {recorded}, replayed {replayed}")?;
        } else {
            write!(f, ":\n  recorded {recorded}\n  replayed {replayed}")?;
        }
        if *channel == Channel::Judgement {
            f.write_str(
                "\nthe evidence is the same, but it is judged differently: by another version of the checks, \
                 or by other expectations",
            )?;
        }
        Ok(())
    }
}

fn group_difference(recorded: &[CgroupSpec], replayed: &[CgroupSpec]) -> Option<Difference> {
    let (number, pair) = first_divergence(recorded, replayed)?;
    let of = |what, sides| Difference::new(Channel::Group, Some(number), None, what, sides);
    let (was, is) = match pair {
        (Some(was), Some(is)) => (was, is),
        (was, is) => {
            return Some(of(
                String::new(),
                either(was, is, |group| format!("`{}`", group.name)),
            ));
        }
    };
    let CgroupSpec { name, cpus, weight } = was;
    let cpus_text = |cpus: &Option<spec::CpuSet>| cpus.as_ref().map_or("all".to_owned(), ToString::to_string);
    let (field, sides) = first([
        ("name", texts(name.as_str(), is.name.as_str())),
        ("cpus", differing(cpus, &is.cpus, cpus_text)),
        ("weight", values(&weight.get(), &is.weight.get())),
    ])?;
    Some(of(format!("{name} {field}"), sides))
}

fn event_difference(recorded: &[Event], replayed: &[Event]) -> Option<Difference> {
    let (number, (was, is)) = first_divergence(recorded, replayed)?;
    let at = earlier(was.map(|event| event.at), is.map(|event| event.at));
    let of = |what, sides| Some(Difference::new(Channel::Event, Some(number), at, what, sides));
    let (Some(was), Some(is)) = (was, is) else {
        let text = |event: &Event| shown::quoted(&event.what.to_string());
        return of(String::new(), either(was, is, text));
    };
    let Event { at: when, what } = was;
    match differing(what, &is.what, ToString::to_string) {
        Some(sides) => of(String::new(), sides),
        None => {
            let text = shown::quoted(&what.to_string());
            of(format!("time of {text}"), instants(*when, is.at)?)
        }
    }
}

fn window_difference(recorded: &[Window], replayed: &[Window]) -> Option<Difference> {
    let (number, pair) = first_divergence(recorded, replayed)?;
    let of = |at, what, sides| Some(Difference::new(Channel::Window, Some(number), at, what, sides));
    let (was, is) = match pair {
        (Some(was), Some(is)) => (was, is),
        (was, is) => {
            // A window is known from its end on; until then the two sides agree.
            let at = earlier(was.map(|window| window.to), is.map(|window| window.to));
            return of(at, String::new(), either(was, is, window_text));
        }
    };
    let Window {
        from,
        to,
        workers,
        sched_ext,
        under_scheduler,
        cgroup_mode,
        idle,
    } = was;
    if let Some(sides) = instants(*from, is.from) {
        return of(Some(*from.min(&is.from)), "from".to_owned(), sides);
    }
    let at = Some(*to.min(&is.to));
    if let Some(sides) = instants(*to, is.to) {
        return of(at, "to".to_owned(), sides);
    }
    if let Some((what, sides)) = worker_difference(workers, &is.workers) {
        return of(at, what, sides);
    }
    let (field, sides) = first([
        (
            "sched_ext",
            differing(sched_ext, &is.sched_ext, |state| {
                state.as_ref().map_or("absent".to_owned(), shown::sched_ext_text)
            }),
        ),
        ("under_scheduler", values(under_scheduler, &is.under_scheduler)),
        (
            "cgroup_mode",
            differing(cgroup_mode, &is.cgroup_mode, |mode| {
                mode.clone().unwrap_or_else(|| "none".to_owned())
            }),
        ),
        (
            "idle",
            differing(idle, &is.idle, |idle| {
                idle.as_ref().map_or("unknown".to_owned(), shown::idle_text)
            }),
        ),
    ])?;
    of(at, field.to_owned(), sides)
}

/// The first field of the first worker in which two reports of a window differ.
fn worker_difference(recorded: &[WorkerReport], replayed: &[WorkerReport]) -> Option<(String, Sides)> {
    let (number, pair) = first_divergence(recorded, replayed)?;
    let named = |worker: &WorkerReport| format!("{} (pid {})", worker.id, worker.pid);
    let (was, is) = match pair {
        (Some(was), Some(is)) if was.id == is.id => (was, is),
        (was, is) => return Some((format!("worker {number}"), either(was, is, named))),
    };
    let WorkerReport {
        id: _,
        pid,
        comm,
        work_units,
        on_cpu,
        run_delay,
        timeslices,
        migrations,
        longest_gap,
        cpus,
        last_cpu,
        class,
        tasks,
        exit,
    } = was;
    let (field, sides) = first([
        ("pid", values(pid, &is.pid)),
        ("comm", texts(comm, &is.comm)),
        ("work_units", values(work_units, &is.work_units)),
        ("on_cpu", spans(*on_cpu, is.on_cpu)),
        ("run_delay", spans(*run_delay, is.run_delay)),
        ("timeslices", values(timeslices, &is.timeslices)),
        ("migrations", values(migrations, &is.migrations)),
        (
            "longest_gap",
            differing(longest_gap, &is.longest_gap, |gap| {
                gap.as_ref().map_or("none".to_owned(), gap_text)
            }),
        ),
        ("cpus", texts(&cpus.to_string(), &is.cpus.to_string())),
        ("last_cpu", values(last_cpu, &is.last_cpu)),
        (
            "class",
            differing(class, &is.class, |class| {
                class.map_or("unknown".to_owned(), |class| class.to_string())
            }),
        ),
        ("tasks", values(tasks, &is.tasks)),
        (
            "exit",
            differing(exit, &is.exit, |exit| {
                exit.as_ref().map_or("none".to_owned(), ToString::to_string)
            }),
        ),
    ])?;
    let who = if *pid == is.pid {
        named(was)
    } else {
        was.id.to_string()
    };
    Some((format!("{who} {field}"), sides))
}

fn console_difference(recorded: &str, replayed: &str) -> Option<Difference> {
    let mut difference = line_difference(Channel::Console, recorded, replayed)?;
    let number = difference.number?;
    // The lines before are equal on both sides, so a side that has ended has nothing to add to the other.
    let time = |text| {
        lines(text)
            .get(..number)?
            .iter()
            .rev()
            .find_map(|line| stamp(line))
    };
    difference.at = earlier(time(recorded), time(replayed));
    Some(difference)
}

/// The first line in which two texts differ.
fn line_difference(channel: Channel, recorded: &str, replayed: &str) -> Option<Difference> {
    let (recorded, replayed) = (lines(recorded), lines(replayed));
    let (index, pair) = first_divergence(&recorded, &replayed)?;
    let bare = |line: &&str| line.trim_end_matches(['\r', '\n']).to_owned();
    let sides = match pair {
        // Line ends are worth showing only where nothing else differs.
        (Some(was), Some(is)) => texts(&bare(was), &bare(is)).or_else(|| texts(was, is))?,
        (was, is) => either(was, is, |line| shown::quoted(&bare(line))),
    };
    Some(Difference::new(channel, Some(index + 1), None, "", sides))
}

fn judgement_difference(recorded: &Judgement, replayed: &Judgement) -> Option<Difference> {
    let of = |what, sides| Some(Difference::new(Channel::Judgement, None, None, what, sides));
    let of_evidence = |judgement: &Judgement| -> Vec<CheckResult> {
        judgement.from_source(Source::Evidence).cloned().collect()
    };
    let (recorded, replayed) = (of_evidence(recorded), of_evidence(replayed));
    let (_, pair) = first_divergence(&recorded, &replayed)?;
    let outcome = |check: &CheckResult| format!("{} {}", check.check, check.verdict);
    let (was, is) = match pair {
        (Some(was), Some(is)) if was.check == is.check => (was, is),
        (was, is) => return of("check".to_owned(), either(was, is, outcome)),
    };
    let CheckResult {
        check,
        source: _,
        verdict,
        reason,
        details,
    } = was;
    if *verdict != is.verdict {
        let because = |check: &CheckResult| format!("{}, {}", check.verdict, shown::quoted(&check.reason));
        return of(check.clone(), (because(was), because(is)));
    }
    if let Some(sides) = texts(reason, &is.reason) {
        return of(format!("{check} reason"), sides);
    }
    let (number, pair) = first_divergence(details, &is.details)?;
    let sides = match pair {
        (Some(was), Some(is)) => texts(was, is)?,
        (was, is) => either(was, is, |line| shown::quoted(line)),
    };
    of(format!("{check} details line {}", number + 1), sides)
}

fn window_text(window: &Window) -> String {
    let Window {
        from, to, workers, ..
    } = window;
    format!("{from} to {to}, {}", count(workers.len() as u64, "worker"))
}

/// An item of each side; a side that has ended has none.
type Pair<'a, T> = (Option<&'a T>, Option<&'a T>);

/// The first item in which two lists differ, with its number.
fn first_divergence<'a, T: PartialEq>(recorded: &'a [T], replayed: &'a [T]) -> Option<(usize, Pair<'a, T>)> {
    let equal = recorded.iter().zip(replayed).take_while(|(was, is)| was == is);
    let number = equal.count();
    let pair = (recorded.get(number), replayed.get(number));
    (pair.0.is_some() || pair.1.is_some()).then_some((number, pair))
}

/// The first field that differs.
fn first<const N: usize>(fields: [(&'static str, Option<Sides>); N]) -> Option<(&'static str, Sides)> {
    fields
        .into_iter()
        .find_map(|(field, sides)| sides.map(|sides| (field, sides)))
}

/// The earlier of two times of which one may be unknown.
fn earlier(one: Option<GuestTime>, other: Option<GuestTime>) -> Option<GuestTime> {
    one.into_iter().chain(other).min()
}

/// The lines of a text with their ends, so that no two texts have the same lines.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// The time by which printk stamped a line: `[    5.534558] …`.
fn stamp(line: &str) -> Option<GuestTime> {
    let (stamp, _) = line.trim_start().strip_prefix('[')?.split_once(']')?;
    let (seconds, micros) = stamp.trim_start().split_once('.')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if micros.len() != 6 || !digits(micros) || !digits(seconds) {
        return None;
    }
    let seconds: u64 = seconds.parse().ok()?;
    let micros: u64 = micros.parse().ok()?;
    let ns = seconds.checked_mul(1_000_000_000)?.checked_add(micros * 1_000)?;
    Some(GuestTime(Nanos(ns)))
}
