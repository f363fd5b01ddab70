//! Work conservation: no CPU idles while a task waits that may run on it.
//!
//! ```text
//!  a task's wait (pid, CPU, since, ran) ── goes on while all four stay ── else it is another
//!     └ for each CPU that idles and on which it may run (CPU, switches): since when it idles beside this wait
//!          └ as long as the limit: reported, once a wait; the finding grows as long as the wait goes on
//! ```

use std::collections::BTreeMap;

use spec::{GuestTime, Nanos};

use super::finding::{Findings, Handle};
use super::{CpuSample, Finding, Sample, Waiter};

/// The waits beside which CPUs idle, by pid.
#[derive(Debug, Clone, Default)]
pub(super) struct Conserve {
    scheduler: u64,
    waits: BTreeMap<i64, Wait>,
}

#[derive(Debug, Clone)]
struct Wait {
    mark: (u32, Option<u64>, Nanos),
    /// CPU → its switches, and since when it has idled beside this wait.
    idle: BTreeMap<u32, (u64, GuestTime)>,
    reported: Option<(Handle, Nanos)>,
}

impl Conserve {
    pub(super) fn take(&mut self, sample: &Sample, limit: Nanos, findings: &mut Findings) {
        if self.scheduler != sample.scheduler {
            // While schedulers change, tasks wait for the change.
            self.scheduler = sample.scheduler;
            self.waits.clear();
        }
        if !sample.cpus.iter().any(CpuSample::could_run) {
            // Who waits was not looked for: their waits may go on, but beside no idle CPU.
            self.waits.values_mut().for_each(|wait| wait.idle.clear());
            return;
        }
        let mut before = std::mem::take(&mut self.waits);
        for waiter in &sample.waiting {
            let before = before.remove(&waiter.pid);
            let mut wait = Wait::after(before, waiter, sample);
            wait.report(waiter, sample.at, limit, findings);
            self.waits.insert(waiter.pid, wait);
        }
    }
}

impl Wait {
    /// The wait that this sample shows: the one before where it goes on.
    fn after(before: Option<Wait>, waiter: &Waiter, sample: &Sample) -> Wait {
        let mark = (waiter.cpu, waiter.since, waiter.ran);
        let before = before.filter(|before| before.mark == mark);
        let (was_idle, reported) = before.map_or_else(Default::default, |wait| (wait.idle, wait.reported));
        let idle = sample.cpus.iter().filter(|cpu| cpu.could_run());
        let idle = idle.filter(|cpu| waiter.allowed.contains(cpu.cpu)).map(|cpu| {
            let from = match was_idle.get(&cpu.cpu) {
                Some((switches, from)) if *switches == cpu.switches => *from,
                _ => sample.at,
            };
            (cpu.cpu, (cpu.switches, from))
        });
        Wait {
            mark,
            idle: idle.collect(),
            reported,
        }
    }

    fn report(&mut self, waiter: &Waiter, now: GuestTime, limit: Nanos, findings: &mut Findings) {
        let Some(from) = self.idle.values().map(|(_, from)| *from).min() else {
            return;
        };
        let lasted = now.since(from);
        let told = self.reported.map_or(Nanos::ZERO, |(_, told)| told);
        // An instant shows nothing that lasts, whatever the limit.
        if lasted < limit || lasted <= told {
            return;
        }
        let long = self
            .idle
            .iter()
            .filter(|(_, (_, from))| now.since(*from) >= limit);
        let finding = Finding::IdleWhileWaiting {
            pid: waiter.pid,
            comm: waiter.comm.clone(),
            waits_on: waiter.cpu,
            allowed: waiter.allowed.clone(),
            idle: long.map(|(cpu, _)| *cpu).collect(),
            from,
            lasted,
        };
        let handle = self.reported.map(|(handle, _)| handle);
        self.reported = Some((findings.tell(handle, finding), lasted));
    }
}
