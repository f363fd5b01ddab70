//! Spin: computes without end. It wants to run always.

use super::Steps;
use crate::SelfTelemetry;
use crate::compute::Compute;

/// The work; a work unit is one unit of computing.
pub(super) struct Spin(Compute);

impl Spin {
    /// A new one.
    pub(super) fn new() -> Spin {
        Spin(Compute::new())
    }
}

impl Steps for Spin {
    fn step(&mut self, telemetry: &mut SelfTelemetry<'_>) {
        telemetry.stamp();
        self.0.unit();
        telemetry.count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Slot;

    #[test]
    fn units_grow_and_a_cpu_is_seen() {
        let slot = Slot::new();
        let mut telemetry = SelfTelemetry::new(&slot);
        let mut spin = Spin::new();
        (0..100).for_each(|_| spin.step(&mut telemetry));
        let reading = slot.read();
        assert_eq!(reading.work_units, 100);
        assert!(!reading.cpus.is_empty());
        assert!(reading.closed_gap.is_some() && reading.wants_since.is_some());
    }
}
