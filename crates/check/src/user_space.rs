//! Schedulers that decide in user space: while their own program computes, tasks wait beside idle CPUs.
//!
//! How long it computes is a matter of the machine's speed, and an emulated one is slow: N busy CPUs share its instructions. So
//! what a run loses only because that program was running says nothing about the scheduler on hardware.

use record::{EventKind, Sample, Series};
use spec::{GuestTime, Nanos};

use crate::Run;

/// The program of the scheduler that was attached, as the samples show it.
#[derive(Clone, Copy)]
pub(crate) struct UserSpace<'r> {
    pid: i64,
    series: &'r Series,
}

/// A scheduler whose program runs in this part of the samples decides in user space. One that only prints statistics is found
/// running in hardly any.
const DECIDES: f64 = 0.5;

impl<'r> UserSpace<'r> {
    /// The program of the last scheduler that was attached; `None` where there was none, or nothing was sampled.
    pub(crate) fn of(run: Run<'r>) -> Option<UserSpace<'r>> {
        let attached = run
            .evidence
            .events
            .iter()
            .rev()
            .find_map(|event| match event.what {
                EventKind::SchedulerAttached { pid, .. } => Some(i64::from(pid)),
                _ => None,
            });
        let series = run.series.filter(|series| !series.samples.is_empty())?;
        Some(UserSpace {
            pid: attached?,
            series,
        })
    }

    /// Did every sample of that time find it running, or waiting to?
    pub(crate) fn was_deciding(&self, from: GuestTime, lasted: Nanos) -> bool {
        let to = GuestTime(Nanos(from.0.0.saturating_add(lasted.0)));
        let mut within = self
            .series
            .samples
            .iter()
            .filter(|sample| (from..=to).contains(&sample.at));
        within.all(|sample| self.decides_in(sample))
    }

    /// Was it at work for most of the time?
    pub(crate) fn decides(&self) -> bool {
        let samples = &self.series.samples;
        let found = samples.iter().filter(|sample| self.decides_in(sample)).count();
        found as f64 >= DECIDES * samples.len() as f64
    }

    /// Why what was lost meanwhile cannot be judged.
    pub(crate) fn words(&self) -> String {
        format!(
            "all the while the scheduler's own program (pid {}) was at work: it decides in user space, and the CPUs of an emulated \
             machine are slower than hardware; `--shift 0` makes them faster",
            self.pid
        )
    }

    fn decides_in(&self, sample: &Sample) -> bool {
        sample.cpus.iter().any(|cpu| cpu.curr == self.pid)
            || sample.waiting.iter().any(|waiter| waiter.pid == self.pid)
    }
}
