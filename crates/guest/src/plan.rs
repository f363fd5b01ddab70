//! The start plan: which worker leaves the gate when.
//!
//! All workers of a window start within its first millisecond, each at an instant of its own. Instants come
//! from a seeded generator, so another seed is another start order and another execution.

use spec::Nanos;

/// The workers of a window start within this span.
pub(crate) const STAGGER: Nanos = Nanos::from_millis(1);

/// SplitMix64 (Steele, Lea, Flood 2014). Ours, so that a seed means the same starts in every version.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    fn below(&mut self, bound: u64) -> u64 {
        // Multiply and shift; its bias of bound / 2^64 is of no account.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }
}

/// One worker's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Start {
    /// After the window's begin.
    pub(crate) offset: Nanos,
    /// Which of the workers that wait.
    pub(crate) worker: usize,
}

/// The starts of workers `0..count`, in time order, all within `span` and [`STAGGER`].
pub(crate) fn starts(random: &mut Random, count: usize, span: Nanos) -> Vec<Start> {
    let bound = span.min(STAGGER).0.max(1);
    let mut starts: Vec<Start> = (0..count)
        .map(|worker| Start {
            offset: Nanos(random.below(bound)),
            worker,
        })
        .collect();
    starts.sort_unstable();
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        let mut random = Random::new(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn a_seed_is_a_plan_and_another_seed_another() {
        let plan = |seed| starts(&mut Random::new(seed), 16, Nanos::from_secs(1));
        assert_eq!(plan(7), plan(7));
        assert_ne!(plan(7), plan(8));
        let order = |seed| plan(seed).iter().map(|start| start.worker).collect::<Vec<_>>();
        assert_ne!(order(7), order(8));
    }

    #[test]
    fn every_worker_starts_once_in_time_order_within_the_stagger() {
        let check = |span: Nanos, bound: Nanos| {
            let plan = starts(&mut Random::new(3), 100, span);
            let mut workers: Vec<usize> = plan.iter().map(|start| start.worker).collect();
            workers.sort_unstable();
            assert_eq!(workers, (0..100).collect::<Vec<_>>());
            assert!(plan.windows(2).all(|pair| pair[0].offset <= pair[1].offset));
            assert!(plan.iter().all(|start| start.offset < bound), "{span}");
        };
        check(Nanos::from_secs(5), STAGGER);
        check(Nanos(10), Nanos(10));
        check(Nanos::ZERO, Nanos(1));
    }
}
