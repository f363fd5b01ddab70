//! Yield: computes for a short time, then lets others run, in turn. It wants to run always: while it has yielded, it
//! waits like one that was preempted.

use rustix::thread::sched_yield;
use spec::Nanos;

use super::Steps;
use crate::SelfTelemetry;
use crate::compute::Compute;

/// The work; a work unit is one yield.
pub(super) struct Yield {
    length: Nanos,
    compute: Compute,
}

impl Yield {
    /// As `work` says.
    pub(super) fn new(work: &spec::work::Yield) -> Yield {
        Yield {
            length: work.length,
            compute: Compute::new(),
        }
    }
}

impl Steps for Yield {
    fn step(&mut self, telemetry: &mut SelfTelemetry<'_>) {
        self.compute.spend(self.length, telemetry);
        sched_yield();
        telemetry.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Slot, clock};

    #[test]
    fn it_computes_between_two_yields_and_wants_to_run_always() {
        let slot = Slot::new();
        let mut telemetry = SelfTelemetry::new(&slot);
        let mut work = Yield::new(&spec::work::Yield {
            length: Nanos::from_millis(2),
        });
        let before = clock::on_cpu();
        (0..5).for_each(|_| work.step(&mut telemetry));
        let on_cpu = clock::on_cpu().saturating_sub(before);
        assert!(on_cpu >= Nanos::from_millis(10), "{on_cpu}");
        let reading = slot.read();
        assert_eq!(reading.work_units, 5);
        assert!(reading.wants_since.is_some());
    }
}
