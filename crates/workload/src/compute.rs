//! The unit of computing: so small that a worker looks at the clock often, so large that looking is noise.

use std::hint::black_box;

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
