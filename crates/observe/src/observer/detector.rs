//! Detects failures at the instant at which they happen.
//!
//! ```text
//!  a scheduler's exit_kind ≥ SCX_EXIT_ERROR ── watch ───────────┐
//!  its reason is written down ── hook on the work that ends it ─┤
//!  the kernel reports a problem ── hook on printk ──────────────┼──► Dump of that instant
//!  a task waits too long ── the clock's tick ───────────────────┤
//!  the monitor finds something ─────────────────────────────────┘
//! ```

use check::Violation;
use guestmem::GuestVirt;
use introspect::GuestKernel;
use introspect::sched::Scx;
use record::{Dump, DumpTrigger, Tag, well_known};
use spec::{GuestTime, Nanos};

use crate::call_history::Sites;
use crate::{EXIT_ERROR, KernelVar, MachinePort, complaint, dump, longest_wait};

/// The kernel's work that ends a scheduler: by then its reason is written down. The newest kernel's name comes first.
const ENDING: [&str; 2] = ["scx_disable_workfn", "scx_ops_disable_workfn"];
/// `vprintk_emit(facility, level, dev_info, fmt, args)`: every line of the kernel's log passes here.
const PRINTK: &str = "vprintk_emit";
/// The index of its argument `fmt`.
const FORMAT: usize = 3;
/// A runnable task that has waited so long is stuck; the limit of the default check on starvation.
const STUCK: Nanos = check::STARVATION_LIMIT;
/// Dumps that a run keeps: the first failures explain the others.
pub(super) const MAX_DUMPS: usize = 6;
/// Lines of the kernel's log that a dump has.
const LOG_LINES: usize = 20;

/// What a probe of the detector reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// A scheduler ends with an error.
    ExitKind,
    /// The kernel ends a scheduler, and has written down why.
    Ending,
    /// The kernel writes to its log.
    Printk,
}

/// Where a probe is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProbePoint {
    /// A hook at this function.
    Hook(GuestVirt),
    /// A watch on this number; with its present value.
    Watch(KernelVar, u64),
}

/// Detects the failures of a run.
#[derive(Debug, Default)]
pub(super) struct FailureDetector {
    caught: Vec<Caught>,
    /// Failures that had no room.
    refused: u64,
    /// What was dumped already, and is not dumped again.
    done: Done,
    /// Where calls can be traced that lead to the first failure.
    pub(super) sites: Option<Sites>,
    /// Is a scheduler attached that should be?
    attached: bool,
}

/// What was dumped of the scheduler that is attached, and which messages of the kernel were.
#[derive(Debug, Default)]
struct Done {
    exit: bool,
    stuck: bool,
    early: Option<usize>,
    messages: Vec<String>,
}

/// An instant at which the guest stands still.
#[derive(Clone, Copy)]
pub(super) struct Stop<'s> {
    pub(super) port: &'s dyn MachinePort,
    pub(super) kernel: &'s GuestKernel<'s>,
    pub(super) now: GuestTime,
    /// The CPU that has stopped it.
    pub(super) cpu: Option<u32>,
}

#[derive(Debug)]
struct Caught {
    dump: Dump,
    /// The length of the kernel's console then.
    console: usize,
    /// The message that triggered it comes next on the console.
    by_message: bool,
}

impl FailureDetector {
    /// The probes of a whole run.
    pub(super) fn probe_points(kernel: &GuestKernel<'_>) -> Vec<(Trigger, ProbePoint)> {
        let printk = kernel.symbol(PRINTK).ok();
        printk
            .into_iter()
            .map(|at| (Trigger::Printk, ProbePoint::Hook(at)))
            .collect()
    }

    /// The probes while a scheduler's program starts: what it does until it is attached can end it already.
    pub(super) fn starting_probe_points(kernel: &GuestKernel<'_>) -> Vec<(Trigger, ProbePoint)> {
        let ending = ENDING.into_iter().find_map(|name| kernel.symbol(name).ok());
        let ending = ending.map(|at| (Trigger::Ending, ProbePoint::Hook(at)));
        ending.into_iter().collect()
    }

    /// The probes while a scheduler is attached, for every scheduler that is loaded.
    pub(super) fn scheduler_probe_points(kernel: &GuestKernel<'_>) -> Vec<(Trigger, ProbePoint)> {
        let scheds = Scx::of(kernel).scheds().unwrap_or_default();
        let kinds = scheds.iter().filter_map(|sched| {
            let kind = sched.object().field("exit_kind.counter").ok()?;
            let name = sched.name().unwrap_or_default();
            let place = KernelVar::of(&kind, &format!("{name}->exit_kind")).ok()?;
            let now = place.read(kernel).ok()?;
            Some((Trigger::ExitKind, ProbePoint::Watch(place, now)))
        });
        kinds
            .chain(FailureDetector::starting_probe_points(kernel))
            .collect()
    }

    /// The exit kinds that are errors.
    pub(super) fn when() -> machine::When {
        machine::When::AtLeast(EXIT_ERROR)
    }

    /// A scheduler's program starts.
    pub(super) fn starting(&mut self) {
        self.done.exit = false;
    }

    /// A scheduler is attached: its failures are dumped anew.
    pub(super) fn attached(&mut self) {
        let messages = std::mem::take(&mut self.done.messages);
        self.done = Done {
            messages,
            ..Done::default()
        };
        self.attached = true;
    }

    /// The scheduler is gone, or is about to be stopped.
    pub(super) fn detached(&mut self) {
        self.attached = false;
    }

    /// One of the detector's probes was hit.
    pub(super) fn hit(&mut self, trigger: Trigger, stop: Stop<'_>, arguments: &[u64]) {
        match trigger {
            // Each compare-exchange is a store, also one that changes nothing; the first hit is enough.
            Trigger::ExitKind if !self.done.exit => {
                self.done.exit = true;
                let trigger = DumpTrigger::SchedulerError {};
                self.catch("exit", trigger, stop, false);
            }
            Trigger::Ending if self.done.exit => self.last_words(stop.kernel),
            // It was not attached yet, so its exit kind was not watched.
            Trigger::Ending if ends_with_error(stop.kernel) => {
                self.done.exit = true;
                let caught = self.catch("exit", DumpTrigger::SchedulerError {}, stop, false);
                // Its reason is written down already.
                let backtrace = caught.map(|caught| caught.dump.backtrace.clone());
                if let (Some(sites), Some(backtrace)) = (&mut self.sites, backtrace) {
                    sites.add(stop.kernel, &backtrace);
                }
            }
            Trigger::ExitKind | Trigger::Ending => {}
            Trigger::Printk => self.message(stop, arguments),
        }
    }

    fn message(&mut self, stop: Stop<'_>, arguments: &[u64]) {
        let Some(format) = arguments.get(FORMAT) else {
            return;
        };
        let Some(message) = complaint::of_format(stop.kernel, GuestVirt(*format)) else {
            return;
        };
        // A message that repeats is the same failure.
        if self.done.messages.contains(&message) {
            return;
        }
        self.done.messages.push(message.clone());
        let trigger = DumpTrigger::KernelReport { message };
        self.catch("kernel", trigger, stop, true);
    }

    /// Adds the scheduler's reason and message, which were not written yet when its exit kind was stored.
    fn last_words(&mut self, kernel: &GuestKernel<'_>) {
        let exit = |caught: &&mut Caught| caught.dump.snapshot.tag.as_str().starts_with("exit");
        if let Some(caught) = self.caught.iter_mut().rev().find(exit) {
            let headline = &mut caught.dump.headline;
            headline.retain(|line| !line.contains(" ends with "));
            let words = crate::last_words(kernel);
            headline.splice(0..0, words.headline);
            if let Some(sites) = &mut self.sites {
                sites.add(kernel, &words.backtrace);
            }
            caught.dump.backtrace = words.backtrace;
        }
    }

    /// Dumps a task that is stuck, and one that has waited for half of the watchdog's timeout; each once.
    pub(super) fn tick(&mut self, stop: Stop<'_>) {
        if !self.attached || (self.done.stuck && self.done.early.is_some()) {
            return;
        }
        let Ok(Some(waiting)) = longest_wait(stop.kernel) else {
            return;
        };
        if waiting.since >= STUCK && !self.done.stuck {
            self.done.stuck = true;
            let trigger = DumpTrigger::Stuck {
                waiting: waiting.to_string(),
            };
            self.catch("stuck", trigger, stop, false);
        }
        let half = watchdog_timeout(stop.kernel).map(|timeout| Nanos(timeout.0 / 2));
        if half.is_some_and(|half| waiting.since >= half) && self.done.early.is_none() {
            let trigger = DumpTrigger::HalfTimeout {
                waiting: waiting.to_string(),
            };
            self.done.early = Some(self.caught.len());
            self.catch(well_known::EARLY_DEGRADED, trigger, stop, false);
        }
    }

    /// Dumps what the monitor has found.
    pub(super) fn monitored(&mut self, violation: &Violation, stop: Stop<'_>) {
        let trigger = DumpTrigger::Sampled {
            violation: violation.to_string(),
        };
        let caught = self.catch("monitor", trigger, stop, false);
        if let Some(Caught { dump, .. }) = caught.filter(|caught| caught.dump.tasks.is_empty()) {
            dump.tasks.push(violation.pid());
            dump.cpus.extend(violation.cpus().iter());
        }
    }

    /// Dumps a failure that was detected otherwise.
    pub(super) fn found(&mut self, what: &str, trigger: DumpTrigger, stop: Stop<'_>) {
        self.catch(what, trigger, stop, false);
    }

    /// `by_message`: the message that triggered it comes next on the console.
    fn catch(
        &mut self,
        what: &str,
        trigger: DumpTrigger,
        stop: Stop<'_>,
        by_message: bool,
    ) -> Option<&mut Caught> {
        if self.caught.len() >= MAX_DUMPS {
            self.refused += 1;
            return None;
        }
        let tag = self.tag(what)?;
        let dump = dump(stop.kernel, tag, stop.now, trigger, STUCK, stop.cpu);
        self.sites.get_or_insert_with(|| Sites::of(stop.kernel));
        let console = stop.port.console_len();
        self.caught.push(Caught {
            dump,
            console,
            by_message,
        });
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
    pub(super) fn caught(&self) -> usize {
        self.caught.len()
    }

    /// What was caught, and how many failures had no room.
    pub(super) fn take(&mut self, console: &str) -> (Vec<Dump>, u64) {
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
    /// With the end of the kernel's log as it was then; a message that triggered the dump is its last line.
    fn with_log(mut self, console: &str) -> Dump {
        let (before, after) = console.split_at(wire::text::cut(console, self.console).len());
        let message = after
            .lines()
            .find(|line| self.by_message && check::is_complaint(line));
        if let Some(message) = message {
            self.dump.trigger = DumpTrigger::KernelReport {
                message: complaint::without_time(message).to_owned(),
            };
        }
        let lines: Vec<&str> = before.lines().chain(message).collect();
        let last = lines.len().saturating_sub(LOG_LINES);
        self.dump.log = lines[last..].iter().map(|line| (*line).to_owned()).collect();
        self.dump
    }
}

/// Does one of the schedulers that are loaded end with an error?
fn ends_with_error(kernel: &GuestKernel<'_>) -> bool {
    let scheds = Scx::of(kernel).scheds().unwrap_or_default();
    let mut kinds = scheds
        .iter()
        .filter_map(|sched| sched.object().u64("exit_kind.counter").ok());
    kinds.any(|kind| kind >= EXIT_ERROR)
}

/// The shortest timeout of the schedulers that are loaded.
fn watchdog_timeout(kernel: &GuestKernel<'_>) -> Option<Nanos> {
    let scheds = Scx::of(kernel).scheds().ok()?;
    let timeouts = scheds.iter().filter_map(|sched| sched.watchdog_timeout().ok());
    timeouts.filter(|timeout| *timeout > 0).map(Nanos).min()
}
