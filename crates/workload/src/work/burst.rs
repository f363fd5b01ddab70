//! Burst: sleeps, then computes for a length of its own on-CPU time, in turn.
//!
//! While it sleeps it does not want to run; it does from the intended instant of waking on, so that a late
//! timer and a late pick both count as a gap.
//!
//! With jitter each sleep and each burst has a length of its own, drawn in turn from the worker's generator:
//! workers that share a length do not stay in step then.

use spec::Nanos;

use super::Steps;
use crate::compute::Compute;
use crate::lengths::Lengths;
use crate::{Random, SelfTelemetry, clock};

/// The work; a work unit is one burst.
pub(super) struct SleepBurst {
    sleep: Nanos,
    burst: Nanos,
    /// `None`: as given.
    lengths: Option<Lengths>,
    compute: Compute,
}

impl SleepBurst {
    /// As `work` says, its lengths drawn from `random`; without it they are all as given.
    pub(super) fn new(work: &spec::work::SleepBurst, random: Option<Random>) -> SleepBurst {
        SleepBurst {
            sleep: work.sleep,
            burst: work.burst,
            lengths: random.map(|random| Lengths::new(work.jitter, random)),
            compute: Compute::new(),
        }
    }

    fn sleep(&mut self, telemetry: &mut SelfTelemetry<'_>) {
        let sleep = self.length(self.sleep);
        let wake = clock::later(clock::now(), sleep);
        telemetry.want_from(wake);
        clock::sleep_until(wake);
    }

    fn burst(&mut self, telemetry: &mut SelfTelemetry<'_>) {
        let burst = self.length(self.burst);
        self.compute.spend(burst, telemetry);
    }

    fn length(&mut self, given: Nanos) -> Nanos {
        match &mut self.lengths {
            Some(lengths) => lengths.around(given),
            None => given,
        }
    }
}

impl Steps for SleepBurst {
    fn step(&mut self, telemetry: &mut SelfTelemetry<'_>) {
        self.sleep(telemetry);
        self.burst(telemetry);
        telemetry.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Slot;

    fn work(sleep_ms: u64, burst_ms: u64, jitter: u8) -> spec::work::SleepBurst {
        spec::work::SleepBurst {
            sleep: Nanos::from_millis(sleep_ms),
            burst: Nanos::from_millis(burst_ms),
            jitter: jitter.try_into().unwrap(),
        }
    }

    #[test]
    fn a_burst_takes_its_length_on_the_cpu_and_the_sleep_takes_none() {
        let slot = Slot::new();
        let mut telemetry = SelfTelemetry::new(&slot);
        let mut work = SleepBurst::new(&work(5, 2, 0), None);
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
        let (work, random) = (work(5, 2, 100), Random::new(1));
        // In the order in which the work draws them. With this seed both sums are well above what is given.
        let mut lengths = Lengths::new(work.jitter, random.clone());
        let (mut asleep, mut computing) = (0, 0);
        for _ in 0..5 {
            asleep += lengths.around(work.sleep).0;
            computing += lengths.around(work.burst).0;
        }
        assert!(asleep > 30_000_000 && computing > 13_000_000);
        let slot = Slot::new();
        let mut telemetry = SelfTelemetry::new(&slot);
        let mut work = SleepBurst::new(&work, Some(random));
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
                SleepBurst::new(&work(200, 0, 0), None).step(&mut telemetry);
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
