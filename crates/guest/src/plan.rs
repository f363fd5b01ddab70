//! The start plan: which worker leaves the gate when.
//!
//! All workers that begin in a window start within its first millisecond, each at an instant of its own. The instants
//! come from a seeded generator, so another seed is another start order and another execution.

use spec::Nanos;
use workload::Random;

/// The workers of a window start within this span.
pub(crate) const STAGGER: Nanos = Nanos::from_millis(1);

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
    let last = span.min(STAGGER).0.saturating_sub(1);
    let mut starts: Vec<Start> = (0..count)
        .map(|worker| Start {
            offset: Nanos(random.up_to(last)),
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
