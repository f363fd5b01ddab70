//! Computing: in units so small that a worker looks at the clock often, so large that looking is noise; and for a
//! length of on-CPU time.

use std::hint::black_box;

use spec::Nanos;

use crate::{SelfTelemetry, clock};

/// Rounds in a unit: about 2,000 instructions in a release build, 4 µs at two nanoseconds an instruction.
const ROUNDS: u32 = 220;

/// A xorshift generator (Marsaglia 2003, 13-7-17): registers only, no memory, no branches but the loop's.
pub(crate) struct Compute(u64);

impl Compute {
    pub(crate) fn new() -> Compute {
        Compute(0x9e37_79b9_7f4a_7c15)
    }

    /// Computes one unit.
    pub(crate) fn unit(&mut self) {
        let mut state = black_box(self.0);
        for _ in 0..ROUNDS {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
        }
        self.0 = black_box(state);
    }

    /// Computes until the worker has spent `length` on a CPU; at least one unit.
    ///
    /// Only a system call tells on-CPU time. It is made when the length could be over at the earliest: on-CPU time never
    /// grows faster than the clock. A worker that is not preempted meanwhile makes three or four such calls, one that is
    /// preempted two more each time.
    pub(crate) fn spend(&mut self, length: Nanos, telemetry: &mut SelfTelemetry<'_>) {
        let end = Nanos(clock::on_cpu().0.saturating_add(length.0));
        loop {
            let left = end.saturating_sub(clock::on_cpu());
            let over_at_the_earliest = clock::later(telemetry.stamp(), left);
            loop {
                self.unit();
                if telemetry.stamp() >= over_at_the_earliest {
                    break;
                }
            }
            if clock::on_cpu() >= end {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_leaves_another_state() {
        let mut compute = Compute::new();
        let states: std::collections::HashSet<u64> = (0..1000)
            .map(|_| {
                compute.unit();
                compute.0
            })
            .collect();
        assert_eq!(states.len(), 1000);
        assert!(!states.contains(&0));
    }
}
