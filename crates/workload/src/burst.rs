//! Sleep and burst: sleeps, then computes for a length of its own on-CPU time, in turn.
//!
//! While it sleeps it does not want to run; it does from the intended instant of waking on, so that a late
//! timer and a late pick both count as a gap.
//!
//! The length of a burst is on-CPU time, which only a system call tells. It is asked for when the burst could
//! be over at the earliest: on-CPU time never grows faster than the clock. A burst that is not preempted makes
//! two or three such calls, one that is preempted as many more as it was preempted.
//!
//! With jitter each sleep and each burst has a length of its own, drawn in turn from the worker's generator:
//! workers that share a length do not stay in step then.

use spec::{GuestTime, Jitter, Nanos};

use crate::compute::Compute;
use crate::lengths::Lengths;
use crate::{Random, SelfTelemetry, Work, clock};

/// The work; a work unit is one burst.
pub struct SleepBurst {
    sleep: Nanos,
    burst: Nanos,
    /// `None`: as given.
    lengths: Option<Lengths>,
    compute: Compute,
}

impl SleepBurst {
    /// Sleeps for `sleep`, computes for `burst`; at least one unit of computing whatever the length.
    pub fn new(sleep: Nanos, burst: Nanos) -> SleepBurst {
        SleepBurst {
            sleep,
            burst,
            lengths: None,
            compute: Compute::new(),
        }
    }

    /// The same with jitter: each length is drawn from `random`.
    #[must_use]
    pub fn jittered(self, jitter: Jitter, random: Random) -> SleepBurst {
        SleepBurst {
            lengths: Some(Lengths::new(jitter, random)),
            ..self
        }
    }

    fn sleep(&mut self, telemetry: &mut SelfTelemetry<'_>) {
        let sleep = self.length(self.sleep);
        let wake = later(clock::now(), sleep);
        telemetry.want_from(wake);
        clock::sleep_until(wake);
    }

    fn burst(&mut self, telemetry: &mut SelfTelemetry<'_>) {
        let burst = self.length(self.burst);
        let end = Nanos(clock::on_cpu().0.saturating_add(burst.0));
        loop {
            let left = end.saturating_sub(clock::on_cpu());
            let over_at_the_earliest = later(telemetry.stamp(), left);
            loop {
                self.compute.unit();
                if telemetry.stamp() >= over_at_the_earliest {
                    break;
                }
            }
            if clock::on_cpu() >= end {
                return;
            }
        }
    }

    fn length(&mut self, given: Nanos) -> Nanos {
        match &mut self.lengths {
            Some(lengths) => lengths.around(given),
            None => given,
        }
    }
}

impl Work for SleepBurst {
    fn step(&mut self, telemetry: &mut SelfTelemetry<'_>) {
        self.sleep(telemetry);
        self.burst(telemetry);
        telemetry.count();
    }
}

fn later(time: GuestTime, by: Nanos) -> GuestTime {
    GuestTime(Nanos(time.0.0.saturating_add(by.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Slot;

    #[test]
    fn a_burst_takes_its_length_on_the_cpu_and_the_sleep_takes_none() {
        let slot = Slot::new();
        let mut telemetry = SelfTelemetry::new(&slot);
        let mut work = SleepBurst::new(Nanos::from_millis(5), Nanos::from_millis(2));
        let (wall, on_cpu) = (clock::now(), clock::on_cpu());
        (0..5).for_each(|_| work.step(&mut telemetry));
        let on_cpu = clock::on_cpu().saturating_sub(on_cpu);
        let wall = clock::now().since(wall);
        assert_eq!(slot.read().work_units, 5);
        assert!(on_cpu >= Nanos::from_millis(10), "{on_cpu}");
        assert!(wall >= Nanos::from_millis(35), "{wall}");
        // Five sleeps of 5 ms are in the wall time and not in the other, however busy the host is.
        assert!(on_cpu.0 + 25_000_000 <= wall.0, "{on_cpu} of {wall}");
    }

    #[test]
    fn jitter_draws_a_length_for_each_sleep_and_each_burst() {
        let (sleep, burst) = (Nanos::from_millis(5), Nanos::from_millis(2));
        let (jitter, random) = (Jitter::try_from(100).unwrap(), Random::new(1));
        // In the order in which the work draws them. With this seed both sums are well above what is given.
        let mut lengths = Lengths::new(jitter, random.clone());
        let (mut asleep, mut computing) = (0, 0);
        for _ in 0..5 {
            asleep += lengths.around(sleep).0;
            computing += lengths.around(burst).0;
        }
        assert!(asleep > 30_000_000 && computing > 13_000_000);
        let slot = Slot::new();
        let mut telemetry = SelfTelemetry::new(&slot);
        let mut work = SleepBurst::new(sleep, burst).jittered(jitter, random);
        let (wall, on_cpu) = (clock::now(), clock::on_cpu());
        (0..5).for_each(|_| work.step(&mut telemetry));
        let on_cpu = clock::on_cpu().saturating_sub(on_cpu);
        let wall = clock::now().since(wall);
        assert!(on_cpu.0 >= computing, "{on_cpu} is less than {computing} ns");
        assert!(
            on_cpu.0 + asleep <= wall.0,
            "{on_cpu} of {wall}, {asleep} ns asleep"
        );
    }

    #[test]
    fn a_sleeper_does_not_want_to_run() {
        let slot = Slot::new();
        let wake = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut telemetry = SelfTelemetry::new(&slot);
                SleepBurst::new(Nanos::from_millis(200), Nanos::ZERO).step(&mut telemetry);
            });
            loop {
                if let Some(since) = slot.read().wants_since {
                    break since;
                }
                std::thread::yield_now();
            }
        });
        let gap = slot.read().closed_gap.unwrap();
        assert!(gap.from >= wake, "the gap began at {} before {wake}", gap.from);
    }
}
