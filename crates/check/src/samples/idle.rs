//! Work conservation: no CPU idles while a task waits that may run on it.
//!
//! ```text
//!  a task's wait (pid, CPU, since, ran) ── goes on while all four stay ── else it is another
//!     └ for each CPU that idles and on which it may run (CPU, switches): since when it idles beside this wait
//!          ├ as long as the limit: reported, once a wait; the violation grows as long as the wait goes on
//!          └ it switched meanwhile, and is idle again: it passed the task over; reported when samples in a row have
//!            found it so for some times the limit
//! ```

use std::collections::BTreeMap;

use record::{CpuSample, Sample, Waiter};
use spec::{CpuSet, GuestTime, Nanos};

use super::Violation;
use super::violation::{Handle, Violations};

/// The waits beside which CPUs idle, by pid.
#[derive(Debug, Clone, Default)]
pub(super) struct Idle {
    scheduler: u64,
    waits: BTreeMap<i64, Wait>,
}

#[derive(Debug, Clone)]
struct Wait {
    mark: (u32, Option<u64>, Nanos),
    /// Those that the last sample found idle.
    idle: BTreeMap<u32, Idling>,
    reported: Option<(Handle, Nanos)>,
}

/// A CPU that idles beside a wait.
#[derive(Debug, Clone, Copy)]
struct Idling {
    switches: u64,
    /// Since when it has not switched.
    from: GuestTime,
    /// Since when every sample has found it idle, and how many.
    found_from: GuestTime,
    samples: u32,
    /// The last of them.
    at: GuestTime,
}

/// So many samples in a row show that a CPU becomes idle again and again.
const PASSED_OVER_SAMPLES: u32 = 5;
/// So many times the limit must be between them: a CPU that runs others now and then is reported later than one that
/// never does.
const PASSED_OVER_LIMITS: u64 = 4;

impl Idle {
    pub(super) fn take(&mut self, sample: &Sample, limit: Nanos, violations: &mut Violations) {
        if self.scheduler != sample.scheduler {
            // While schedulers change, tasks wait for the change.
            self.scheduler = sample.scheduler;
            self.waits.clear();
        }
        if !sample.cpus.iter().any(CpuSample::could_run) {
            // The waiting tasks were not read: their waits may go on, but beside no idle CPU.
            self.waits.values_mut().for_each(|wait| wait.idle.clear());
            return;
        }
        let mut before = std::mem::take(&mut self.waits);
        for waiter in &sample.waiting {
            let before = before.remove(&waiter.pid);
            let mut wait = Wait::after(before, waiter, sample);
            wait.report(waiter, sample.at, limit, violations);
            self.waits.insert(waiter.pid, wait);
        }
    }
}

impl Wait {
    /// The wait that this sample shows: the one before where it goes on.
    fn after(before: Option<Wait>, waiter: &Waiter, sample: &Sample) -> Wait {
        let mark = waiter.mark();
        let before = before.filter(|before| before.mark == mark);
        let (was_idle, reported) = before.map_or_else(Default::default, |wait| (wait.idle, wait.reported));
        let idle = sample.cpus.iter().filter(|cpu| cpu.could_run());
        let idle = idle.filter(|cpu| waiter.allowed.contains(cpu.cpu)).map(|cpu| {
            let was = was_idle.get(&cpu.cpu);
            let unbroken = was.filter(|was| was.switches == cpu.switches);
            // A sample that the series has left out may have found it busy.
            let found = was.filter(|was| cpu.idle_since.is_some_and(|since| since <= was.at));
            let idling = Idling {
                switches: cpu.switches,
                from: unbroken.map_or(sample.at, |was| was.from),
                found_from: found.map_or(sample.at, |was| was.found_from),
                samples: found.map_or(1, |was| was.samples.saturating_add(1)),
                at: sample.at,
            };
            (cpu.cpu, idling)
        });
        Wait {
            mark,
            idle: idle.collect(),
            reported,
        }
    }

    fn report(&mut self, waiter: &Waiter, now: GuestTime, limit: Nanos, violations: &mut Violations) {
        let Some((lasted, violation)) = self
            .idle_all_the_time(waiter, now, limit)
            .or_else(|| self.passed_over(waiter, now, limit))
        else {
            return;
        };
        if self.reported.is_none_or(|(_, reported)| lasted > reported) {
            let handle = self.reported.map(|(handle, _)| handle);
            self.reported = Some((violations.report(handle, violation), lasted));
        }
    }

    fn idle_all_the_time(&self, waiter: &Waiter, now: GuestTime, limit: Nanos) -> Option<(Nanos, Violation)> {
        let from = self.idle.values().map(|idling| idling.from).min()?;
        let lasted = now.since(from);
        // An instant shows nothing that lasts, whatever the limit.
        if lasted < limit || lasted == Nanos::ZERO {
            return None;
        }
        let violation = Violation::IdleWhileWaiting {
            pid: waiter.pid,
            comm: waiter.comm.clone(),
            waits_on: waiter.cpu,
            allowed: waiter.allowed.clone(),
            idle: self.those(|idling| now.since(idling.from) >= limit),
            from,
            lasted,
        };
        Some((lasted, violation))
    }

    fn passed_over(&self, waiter: &Waiter, now: GuestTime, limit: Nanos) -> Option<(Nanos, Violation)> {
        let is_long = |idling: &Idling| {
            idling.samples >= PASSED_OVER_SAMPLES
                && now.since(idling.found_from).0 >= limit.0.saturating_mul(PASSED_OVER_LIMITS)
        };
        let first = self.idle.values().filter(|idling| is_long(idling));
        let first = first.min_by_key(|idling| idling.found_from)?;
        let lasted = now.since(first.found_from);
        let violation = Violation::PassedOver {
            pid: waiter.pid,
            comm: waiter.comm.clone(),
            waits_on: waiter.cpu,
            allowed: waiter.allowed.clone(),
            idle: self.those(is_long),
            samples: first.samples,
            from: first.found_from,
            lasted,
        };
        (lasted > Nanos::ZERO).then_some((lasted, violation))
    }

    fn those(&self, are: impl Fn(&Idling) -> bool) -> CpuSet {
        let found = self.idle.iter().filter(|(_, idling)| are(idling));
        found.map(|(cpu, _)| *cpu).collect()
    }
}
