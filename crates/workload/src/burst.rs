//! Sleep and burst: sleeps, then computes for a length of its own on-CPU time, in turn.
//!
//! While it sleeps it does not want to run; it does from the intended instant of waking on, so that a late
//! timer and a late pick both count as a gap.
//!
//! The length of a burst is on-CPU time, which only a system call tells. It is asked for when the burst could
//! be over at the earliest: on-CPU time never grows faster than the clock. A burst that is not preempted makes
//! two or three such calls, one that is preempted as many more as it was preempted.

use spec::{GuestTime, Nanos};

use crate::compute::Compute;
use crate::{Diary, Work, clock};

/// The work; a work unit is one burst.
pub struct SleepBurst {
    sleep: Nanos,
    burst: Nanos,
    compute: Compute,
}

impl SleepBurst {
    /// Sleeps for `sleep`, computes for `burst`; at least one unit of computing whatever the length.
    pub fn new(sleep: Nanos, burst: Nanos) -> SleepBurst {
        SleepBurst {
            sleep,
            burst,
            compute: Compute::new(),
        }
    }

    fn sleep(&self, diary: &mut Diary<'_>) {
        let wake = later(clock::now(), self.sleep);
        diary.want_from(wake);
        clock::sleep_until(wake);
    }

    fn burst(&mut self, diary: &mut Diary<'_>) {
        let end = Nanos(clock::on_cpu().0.saturating_add(self.burst.0));
        loop {
            let left = end.saturating_sub(clock::on_cpu());
            let over_at_the_earliest = later(diary.stamp(), left);
            loop {
                self.compute.unit();
                if diary.stamp() >= over_at_the_earliest {
                    break;
                }
            }
            if clock::on_cpu() >= end {
                return;
            }
        }
    }
}

impl Work for SleepBurst {
    fn step(&mut self, diary: &mut Diary<'_>) {
        self.sleep(diary);
        self.burst(diary);
        diary.count();
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
        let mut diary = Diary::new(&slot);
        let mut work = SleepBurst::new(Nanos::from_millis(5), Nanos::from_millis(2));
        let (wall, on_cpu) = (clock::now(), clock::on_cpu());
        (0..5).for_each(|_| work.step(&mut diary));
        let on_cpu = clock::on_cpu().saturating_sub(on_cpu);
        let wall = clock::now().since(wall);
        assert_eq!(slot.read().work_units, 5);
        assert!(on_cpu >= Nanos::from_millis(10), "{on_cpu}");
        assert!(wall >= Nanos::from_millis(35), "{wall}");
        // Five sleeps of 5 ms are in the wall time and not in the other, however busy the host is.
        assert!(on_cpu.0 + 25_000_000 <= wall.0, "{on_cpu} of {wall}");
    }

    #[test]
    fn a_sleeper_does_not_want_to_run() {
        let slot = Slot::new();
        let wake = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut diary = Diary::new(&slot);
                SleepBurst::new(Nanos::from_millis(200), Nanos::ZERO).step(&mut diary);
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
