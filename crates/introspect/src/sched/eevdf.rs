//! The arithmetic of EEVDF: whose turn it may be.
//!
//! ```text
//!              Σ (v_i − v0) · w_i
//!  V  =  v0 + ────────────────────      v_i ≤ V  ⇔  entity i is eligible      lag_i = w_i · (V − v_i)
//!                    Σ w_i
//! ```
//! The queue keeps both sums for the entities in its tree; the one that runs is not in it and is added.

/// What a `struct cfs_rq` knows of the entities that compete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Competition {
    /// v0: `zero_vruntime`, before v6.19 `min_vruntime`.
    pub(super) zero: u64,
    /// `sum_w_vruntime`, before v7.0 `avg_vruntime`.
    pub(super) sum_w_vruntime: i64,
    /// `sum_weight`, before v7.0 `avg_load`.
    pub(super) sum_weight: u64,
    /// vruntime, and weight as it counts in the sums, of the entity that runs.
    pub(super) curr: Option<(u64, u64)>,
}

impl Competition {
    /// `avg_vruntime()`: V, rounded down. v0 when nobody competes.
    pub(super) fn avg_vruntime(&self) -> u64 {
        let (sum, weight) = self.sums();
        // No quotient of these is beyond 64 bits: it is the average of differences that are not.
        let average = if weight == 0 { 0 } else { sum.div_euclid(weight) };
        self.zero.wrapping_add(average as u64)
    }

    /// `vruntime_eligible()`: without the division, so without its rounding.
    pub(super) fn is_eligible(&self, vruntime: u64) -> bool {
        let (sum, weight) = self.sums();
        // The sum is within these bounds, so a product beyond them compares as they do.
        sum >= self.key(vruntime).saturating_mul(weight)
    }

    fn sums(&self) -> (i128, i128) {
        let (mut sum, mut weight) = (i128::from(self.sum_w_vruntime), i128::from(self.sum_weight));
        if let Some((vruntime, curr)) = self.curr {
            sum += self.key(vruntime) * i128::from(curr);
            weight += i128::from(curr);
        }
        (sum, weight)
    }

    /// `entity_key()`: vruntimes wrap, their differences have a sign.
    fn key(&self, vruntime: u64) -> i128 {
        vruntime.wrapping_sub(self.zero).cast_signed().into()
    }
}

/// `avg_vruntime_weight()`: the weight as it counts in the sums. `sum_shift` is `None` for kernels that have none; they
/// use `scale_load_down()`.
pub(super) fn counted_weight(weight: u64, sum_shift: Option<u32>) -> u64 {
    /// `SCHED_FIXEDPOINT_SHIFT`.
    const FIXEDPOINT: u32 = 10;
    let shift = sum_shift.unwrap_or(FIXEDPOINT);
    match weight {
        _ if shift == 0 => weight,
        // scale_load_down() leaves nothing as it is.
        0 if sum_shift.is_none() => 0,
        _ => weight.checked_shr(shift).unwrap_or(0).max(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: Competition = Competition {
        zero: 1000,
        sum_w_vruntime: 0,
        sum_weight: 0,
        curr: None,
    };

    /// Entities with these vruntimes and weights, in the tree of a queue with this v0.
    fn queue(zero: u64, entities: &[(u64, u64)]) -> Competition {
        let key = |vruntime: u64| vruntime.wrapping_sub(zero).cast_signed();
        Competition {
            zero,
            sum_w_vruntime: entities
                .iter()
                .map(|(vruntime, weight)| key(*vruntime) * weight.cast_signed())
                .sum(),
            sum_weight: entities.iter().map(|(_, weight)| weight).sum(),
            curr: None,
        }
    }

    #[test]
    fn an_empty_queue_is_at_its_zero() {
        assert_eq!(NOBODY.avg_vruntime(), 1000);
        assert!(NOBODY.is_eligible(u64::MAX));
    }

    #[test]
    fn a_task_that_runs_alone_is_the_average() {
        let alone = Competition {
            curr: Some((1234, 1024)),
            ..NOBODY
        };
        assert_eq!(alone.avg_vruntime(), 1234);
        assert!(alone.is_eligible(1234));
        assert!(!alone.is_eligible(1235));
    }

    #[test]
    fn the_average_is_weighted_and_rounded_down_below_zero_too() {
        assert_eq!(queue(1000, &[(1000, 1), (1003, 1)]).avg_vruntime(), 1001);
        assert_eq!(queue(1000, &[(1000, 1), (997, 1)]).avg_vruntime(), 998);
        assert_eq!(queue(1000, &[(1000, 3), (1004, 1)]).avg_vruntime(), 1001);
    }

    #[test]
    fn eligibility_is_exact_where_the_average_is_rounded() {
        // V is 1001.5.
        let queue = queue(1000, &[(1000, 1), (1003, 1)]);
        assert!(queue.is_eligible(1001));
        assert!(!queue.is_eligible(1002));
    }

    #[test]
    fn vruntimes_beyond_the_wrap_are_later() {
        let queue = queue(u64::MAX - 1, &[(u64::MAX - 1, 1), (2, 1)]);
        assert_eq!(queue.avg_vruntime(), 0);
        assert!(queue.is_eligible(u64::MAX));
        assert!(!queue.is_eligible(1));
    }

    #[test]
    fn the_task_that_runs_counts_beside_those_in_the_tree() {
        let with = Competition {
            curr: Some((1009, 2)),
            ..queue(1000, &[(1000, 1)])
        };
        assert_eq!(with.avg_vruntime(), 1006);
    }

    #[test]
    fn numbers_that_no_kernel_has_are_compared_and_do_not_panic() {
        for sum_w_vruntime in [i64::MIN, i64::MAX] {
            for other in [0, 1 << 63, u64::MAX] {
                let mad = Competition {
                    zero: 0,
                    sum_w_vruntime,
                    sum_weight: u64::MAX,
                    curr: Some((other, u64::MAX)),
                };
                assert!(mad.is_eligible(1 << 63), "the earliest there is: {mad:?}");
                assert!(
                    !mad.is_eligible(i64::MAX.cast_unsigned()),
                    "the latest there is: {mad:?}"
                );
                mad.avg_vruntime();
            }
        }
    }

    #[test]
    fn weights_count_as_the_kernel_of_the_time_counts_them() {
        assert_eq!(counted_weight(1 << 20, None), 1 << 10);
        assert_eq!(counted_weight(3, None), 2);
        assert_eq!(counted_weight(0, None), 0);
        assert_eq!(counted_weight(1 << 20, Some(0)), 1 << 20);
        assert_eq!(counted_weight(1 << 20, Some(4)), 1 << 16);
        assert_eq!(counted_weight(8, Some(4)), 2);
        assert_eq!(counted_weight(u64::MAX, Some(64)), 2);
    }
}
