//! Failures, caught in the act.
//!
//! ```text
//!  a scheduler's exit_kind ── watch, ≥ SCX_EXIT_ERROR ────────┐
//!  its words are complete ─── hook on the work that ends it ──┤
//!  the kernel says that something is wrong ── hook on printk ─┼──► Dump, at that instant
//!  a task that waits too long ─── the tick's hook ────────────┤
//!  something that the monitor finds ──────────────────────────┘
//! ```

use check::Violation;
use guestmem::GuestVirt;
use introspect::GuestKernel;
use introspect::sched::Scx;
use machine::Machine;
use observe::call_history::Sites;
use observe::{EXIT_ERROR, KernelVar, complaint, dump, longest_wait};
use record::{Dump, Tag, well_known};
use spec::{GuestTime, Nanos};

use crate::session::describe;

/// The kernel's work that ends a scheduler, when its reason is written down; by the kernels' names, the newest first.
const ENDING: [&str; 2] = ["scx_disable_workfn", "scx_ops_disable_workfn"];
/// `vprintk_emit(facility, level, dev_info, fmt, args)`: all that the kernel says goes through here.
const PRINTK: &str = "vprintk_emit";
/// Which of its arguments is the format.
const FORMAT: usize = 3;
/// A runnable task that has waited so long is stuck: the limit of the default check on starvation.
const STUCK: Nanos = check::STARVATION_LIMIT;
/// Dumps that a run keeps: the first failures explain the others.
pub(super) const MOST_DUMPS: usize = 6;
/// Lines of the kernel's log that a dump has.
const LOG_LINES: usize = 20;

/// What one of the guard's instruments tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// A scheduler ends with an error.
    ExitKind,
    /// The kernel ends a scheduler: why is written down by now.
    Ending,
    /// The kernel says something.
    Printk,
}

/// What an alarm needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbePoint {
    /// A hook at this function.
    Hook(GuestVirt),
    /// A watch on this number, which has that value now.
    Watch(KernelVar, u64),
}

/// Watches over a run.
#[derive(Debug, Default)]
pub(crate) struct FailureDetector {
    caught: Vec<Caught>,
    /// Failures that had no room.
    refused: u64,
    /// What was dumped once.
    done: Done,
    /// Where calls can be traced that lead to what was caught first.
    pub(super) sites: Option<Sites>,
    /// Is a scheduler attached that should be?
    attached: bool,
}

/// What was dumped of the scheduler that is attached; of the kernel, by what it said.
#[derive(Debug, Default)]
struct Done {
    exit: bool,
    stuck: bool,
    early: Option<usize>,
    said: Vec<String>,
}

/// An instant at which the guest stands still.
#[derive(Clone, Copy)]
pub(crate) struct Stop<'s> {
    pub(crate) machine: &'s dyn Machine,
    pub(crate) kernel: &'s GuestKernel<'s>,
    pub(crate) now: GuestTime,
    /// The CPU that has stopped it.
    pub(crate) cpu: Option<u32>,
}

impl Stop<'_> {
    /// How long the console is, as the record has it.
    fn console(&self) -> usize {
        let console = self.machine.console();
        console.map_or(0, |console| describe::text(&console).len())
    }
}

#[derive(Debug)]
struct Caught {
    dump: Dump,
    /// How long the kernel's console was then.
    console: usize,
    /// The kernel's words come next on the console.
    says: bool,
}

impl FailureDetector {
    /// What is guarded all the time.
    pub(crate) fn probe_points(kernel: &GuestKernel<'_>) -> Vec<(Trigger, ProbePoint)> {
        let printk = kernel.symbol(PRINTK).ok();
        printk
            .into_iter()
            .map(|at| (Trigger::Printk, ProbePoint::Hook(at)))
            .collect()
    }

    /// What is guarded while a scheduler is attached: all those that are loaded.
    pub(crate) fn scheduler_probe_points(kernel: &GuestKernel<'_>) -> Vec<(Trigger, ProbePoint)> {
        let scheds = Scx::of(kernel).scheds().unwrap_or_default();
        let kinds = scheds.iter().filter_map(|sched| {
            let kind = sched.object().field("exit_kind.counter").ok()?;
            let name = sched.name().unwrap_or_default();
            let place = KernelVar::of(&kind, &format!("{name}->exit_kind")).ok()?;
            let now = place.read(kernel).ok()?;
            Some((Trigger::ExitKind, ProbePoint::Watch(place, now)))
        });
        let mut probe_points: Vec<_> = kinds.collect();
        let ending = ENDING.into_iter().find_map(|name| kernel.symbol(name).ok());
        probe_points.extend(ending.map(|at| (Trigger::Ending, ProbePoint::Hook(at))));
        probe_points
    }

    /// What an exit kind must be for a hit.
    pub(crate) fn when() -> machine::When {
        machine::When::AtLeast(EXIT_ERROR)
    }

    /// A scheduler is attached: what it does wrong is news again.
    pub(crate) fn attached(&mut self) {
        let said = std::mem::take(&mut self.done.said);
        self.done = Done {
            said,
            ..Done::default()
        };
        self.attached = true;
    }

    /// The scheduler is no more, or is meant to go.
    pub(crate) fn detached(&mut self) {
        self.attached = false;
    }

    /// A hit of one of the guard's instruments.
    pub(crate) fn hit(&mut self, trigger: Trigger, stop: Stop<'_>, arguments: &[u64]) {
        match trigger {
            // A store that fails to change it is one too; the first tells all.
            Trigger::ExitKind if !self.done.exit => {
                self.done.exit = true;
                let trigger = "the scheduler ends with an error".to_owned();
                self.catch("exit", trigger, stop, false);
            }
            Trigger::Ending if self.done.exit => self.last_words(stop.kernel),
            Trigger::ExitKind | Trigger::Ending => {}
            Trigger::Printk => self.heard(stop, arguments),
        }
    }

    fn heard(&mut self, stop: Stop<'_>, arguments: &[u64]) {
        let Some(format) = arguments.get(FORMAT) else {
            return;
        };
        let Some(words) = complaint::of_format(stop.kernel, GuestVirt(*format)) else {
            return;
        };
        // Many follow from the first.
        if self.done.said.contains(&words) {
            return;
        }
        self.done.said.push(words.clone());
        let trigger = format!("the kernel says: {words}");
        self.catch("kernel", trigger, stop, true);
    }

    /// The scheduler's own words, which were not written when it began to end.
    fn last_words(&mut self, kernel: &GuestKernel<'_>) {
        let exit = |caught: &&mut Caught| caught.dump.snapshot.tag.as_str().starts_with("exit");
        if let Some(caught) = self.caught.iter_mut().rev().find(exit) {
            let headline = &mut caught.dump.headline;
            headline.retain(|line| !line.contains(" ends with "));
            let words = observe::last_words(kernel);
            headline.splice(0..0, words.headline);
            if let Some(sites) = &mut self.sites {
                sites.add(kernel, &words.backtrace);
            }
            caught.dump.backtrace = words.backtrace;
        }
    }

    /// Looks whether a task is stuck; once of each kind is enough.
    pub(crate) fn tick(&mut self, stop: Stop<'_>) {
        if !self.attached || (self.done.stuck && self.done.early.is_some()) {
            return;
        }
        let Ok(Some(waiting)) = longest_wait(stop.kernel) else {
            return;
        };
        if waiting.since >= STUCK && !self.done.stuck {
            self.done.stuck = true;
            let trigger = format!("a task is stuck: {waiting}");
            self.catch("stuck", trigger, stop, false);
        }
        let half = watchdog_timeout(stop.kernel).map(|timeout| Nanos(timeout.0 / 2));
        if half.is_some_and(|half| waiting.since >= half) && self.done.early.is_none() {
            let trigger =
                format!("half of the time is over after which the kernel ends the scheduler: {waiting}");
            self.done.early = Some(self.caught.len());
            self.catch(well_known::EARLY_DEGRADED, trigger, stop, false);
        }
    }

    /// Something that the monitor has found.
    pub(crate) fn monitored(&mut self, violation: &Violation, stop: Stop<'_>) {
        let caught = self.catch("monitor", violation.to_string(), stop, false);
        if let Some(Caught { dump, .. }) = caught.filter(|caught| caught.dump.tasks.is_empty()) {
            dump.tasks.push(violation.pid());
            dump.cpus.extend(violation.cpus().iter());
        }
    }

    /// Something that was found otherwise.
    pub(crate) fn found(&mut self, what: &str, trigger: String, stop: Stop<'_>) {
        self.catch(what, trigger, stop, false);
    }

    /// `says`: the kernel's words come next on its console.
    fn catch(&mut self, what: &str, trigger: String, stop: Stop<'_>, says: bool) -> Option<&mut Caught> {
        if self.caught.len() >= MOST_DUMPS {
            self.refused += 1;
            return None;
        }
        let tag = self.tag(what)?;
        let dump = dump(stop.kernel, tag, stop.now, trigger, STUCK, stop.cpu);
        self.sites.get_or_insert_with(|| Sites::of(stop.kernel));
        let console = stop.console();
        self.caught.push(Caught { dump, console, says });
        self.caught.last_mut()
    }

    /// `what`, or `what-2` and so on where there is one already.
    fn tag(&self, what: &str) -> Option<Tag> {
        let taken = |tag: &str| {
            self.caught
                .iter()
                .any(|caught| caught.dump.snapshot.tag.as_str() == tag)
        };
        let numbered = (2..).map(|n| format!("{what}-{n}"));
        let free = std::iter::once(what.to_owned())
            .chain(numbered)
            .find(|tag| !taken(tag));
        free.and_then(|tag| Tag::new(tag).ok())
    }

    /// How many were caught.
    pub(crate) fn caught(&self) -> usize {
        self.caught.len()
    }

    /// What was caught, and how many failures had no room.
    pub(crate) fn take(&mut self, console: &str) -> (Vec<Dump>, u64) {
        let mut caught = std::mem::take(&mut self.caught);
        if let Some(early) = self.done.early.and_then(|early| caught.get_mut(early))
            && !self.done.exit
            && let Ok(tag) = Tag::new(match self.refused {
                0 => well_known::EARLY_ONLY_LATE_NEVER_FIRED,
                _ => well_known::EARLY_ONLY_LATE_SUPPRESSED,
            })
        {
            early.dump.snapshot.tag = tag;
        }
        let dumps = caught.into_iter().map(|caught| caught.with_log(console));
        (dumps.collect(), std::mem::take(&mut self.refused))
    }
}

impl Caught {
    /// With the end of the kernel's log as it was then; the words that set it off are its last line.
    fn with_log(mut self, console: &str) -> Dump {
        let (before, after) = console.split_at(wire::text::cut(console, self.console).len());
        let words = after.lines().find(|line| self.says && check::is_complaint(line));
        if let Some(words) = words {
            self.dump.trigger = format!("the kernel says: {}", complaint::without_time(words));
        }
        let lines: Vec<&str> = before.lines().chain(words).collect();
        let last = lines.len().saturating_sub(LOG_LINES);
        self.dump.log = lines[last..].iter().map(|line| (*line).to_owned()).collect();
        self.dump
    }
}

/// The shortest of the schedulers' own.
fn watchdog_timeout(kernel: &GuestKernel<'_>) -> Option<Nanos> {
    let scheds = Scx::of(kernel).scheds().ok()?;
    let timeouts = scheds.iter().filter_map(|sched| sched.watchdog_timeout().ok());
    timeouts.filter(|timeout| *timeout > 0).map(Nanos).min()
}
