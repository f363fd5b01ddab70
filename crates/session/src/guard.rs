//! Failures, caught in the act: when the scheduler under test dies, and when it forgets a task.
//!
//! ```text
//!  exit_kind of the root scheduler ──watch, ≥ SCX_EXIT_ERROR──┐
//!  its words are complete ──hook on the work that ends it─────┼──► Dump, at that instant
//!  a task that waits too long ──the tick's hook, now and then─┘
//! ```

use introspect::GuestKernel;
use introspect::sched::Scx;
use machine::Instrument;
use observe::{Place, dump, longest_wait};
use record::Dump;
use spec::{GuestTime, Nanos};

/// `SCX_EXIT_ERROR`: below it are the ends that somebody wanted.
const EXIT_ERROR: u64 = 1024;
/// The kernel's work that ends a scheduler, when its reason is written down; by the kernels' names, the newest first.
const ENDING: [&str; 2] = ["scx_disable_workfn", "scx_ops_disable_workfn"];
/// A runnable task that has waited so long is stuck: the limit of the default check on starvation.
const STUCK: Nanos = Nanos::from_secs(1);

/// Watches over a run.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    exit_kind: Option<Instrument>,
    ending: Option<Instrument>,
    stuck_seen: bool,
    dumps: Vec<Dump>,
}

impl Guard {
    /// What is to be watched of the scheduler that is attached; `None` where the kernel has no such thing.
    pub(crate) fn exit_kind(kernel: &GuestKernel<'_>) -> Option<Place> {
        let root = Scx::of(kernel).root().ok()??;
        let kind = root.object().field("exit_kind.counter").ok()?;
        Place::of(&kind, "scx_root->exit_kind").ok()
    }

    /// The function that is to be hooked.
    pub(crate) fn ending(kernel: &GuestKernel<'_>) -> Option<&'static str> {
        ENDING.into_iter().find(|name| kernel.symbol(name).is_ok())
    }

    /// What a value must be for a hit.
    pub(crate) fn when() -> machine::When {
        machine::When::AtLeast(EXIT_ERROR)
    }

    pub(crate) fn armed(&mut self, exit_kind: Option<Instrument>, ending: Option<Instrument>) {
        (self.exit_kind, self.ending) = (exit_kind, ending);
        self.stuck_seen = false;
    }

    /// The instruments of a scheduler that is no more.
    pub(crate) fn disarm(&mut self) -> impl Iterator<Item = Instrument> + use<> {
        [self.exit_kind.take(), self.ending.take()].into_iter().flatten()
    }

    /// A hit of an instrument; `true` if it was one of the guard's.
    pub(crate) fn hit(&mut self, which: Instrument, now: GuestTime, kernel: &GuestKernel<'_>) -> bool {
        if self.exit_kind == Some(which) {
            let trigger = "the scheduler ends with an error".to_owned();
            self.dumps.push(dump(kernel, now, trigger, STUCK));
            return true;
        }
        if self.ending == Some(which) {
            // Its own words, which were not written when it began to end.
            let words = observe::last_words(kernel);
            let errors = self
                .dumps
                .iter_mut()
                .filter(|dump| dump.trigger.contains("error"));
            if let Some(dump) = errors.last() {
                dump.headline.retain(|line| !line.contains(" ends with "));
                dump.headline.splice(0..0, words);
            }
            return true;
        }
        false
    }

    /// Looks whether a task is stuck; once is enough.
    pub(crate) fn tick(&mut self, now: GuestTime, kernel: &GuestKernel<'_>) {
        if self.stuck_seen || self.exit_kind.is_none() {
            return;
        }
        if let Ok(Some(waiting)) = longest_wait(kernel)
            && waiting.since >= STUCK
        {
            self.stuck_seen = true;
            let trigger = format!("a task is stuck: {waiting}");
            self.dumps.push(dump(kernel, now, trigger, STUCK));
        }
    }

    pub(crate) fn take(&mut self) -> Vec<Dump> {
        std::mem::take(&mut self.dumps)
    }
}
