//! Lengths with jitter: each is drawn evenly from the given one, less and more the jitter's share of it.

use spec::{Jitter, Nanos};

use crate::Random;

/// The lengths of one worker.
pub(crate) struct Lengths {
    jitter: Jitter,
    random: Random,
}

impl Lengths {
    pub(crate) fn new(jitter: Jitter, random: Random) -> Lengths {
        Lengths { jitter, random }
    }

    /// The next length around `given`. What cannot vary, for lack of jitter or of length, draws nothing.
    pub(crate) fn around(&mut self, given: Nanos) -> Nanos {
        let off = off(given, self.jitter);
        if off == 0 {
            return given;
        }
        let least = given.0 - off;
        let most = given.0.saturating_add(off);
        // No overflow: the draw ends at `most`.
        Nanos(least + self.random.up_to(most - least))
    }
}

/// The jitter's share of `given`, rounded down. At most `given`, as no jitter is above 100 %.
fn off(given: Nanos, jitter: Jitter) -> u64 {
    (u128::from(given.0) * u128::from(jitter.percent()) / 100) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GIVEN: Nanos = Nanos::from_millis(4);

    fn drawn(percent: u8, seed: u64, count: usize) -> Vec<Nanos> {
        let mut lengths = Lengths::new(Jitter::try_from(percent).unwrap(), Random::new(seed));
        (0..count).map(|_| lengths.around(GIVEN)).collect()
    }

    #[test]
    fn a_seed_is_a_sequence_of_lengths_and_another_seed_another() {
        assert_eq!(drawn(20, 7, 16), drawn(20, 7, 16));
        assert_ne!(drawn(20, 7, 16), drawn(20, 8, 16));
    }

    #[test]
    fn lengths_of_a_seed_are_the_same_in_every_version() {
        let check = |percent, expect: [u64; 3]| {
            let expect = expect.map(Nanos);
            assert_eq!(drawn(percent, 0, 3), expect, "{percent} %");
        };
        check(20, [4_613_298, 3_890_445, 3_242_294]);
        check(100, [7_066_487, 3_452_224, 211_470]);
    }

    #[test]
    fn lengths_fill_their_span_around_the_given_one() {
        let lengths = drawn(20, 3, 10_000);
        let (least, most) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
        assert!((3_200_000..3_202_000).contains(&least.0), "{}", least.0);
        assert!((4_798_000..=4_800_000).contains(&most.0), "{}", most.0);
        let mean = lengths.iter().map(|length| length.0).sum::<u64>() / 10_000;
        // The mean's standard deviation is 1.6 ms / √12 / 100 = 4.6 µs.
        assert!(mean.abs_diff(GIVEN.0) < 25_000, "{mean}");
    }

    #[test]
    fn what_cannot_vary_draws_nothing() {
        let check = |percent, given| {
            let mut lengths = Lengths::new(Jitter::try_from(percent).unwrap(), Random::new(7));
            assert_eq!(lengths.around(given), given);
            assert_eq!(lengths.random, Random::new(7), "{percent} % of {given}");
        };
        check(0, GIVEN);
        check(0, Nanos(u64::MAX));
        check(100, Nanos::ZERO);
        check(1, Nanos(99));
    }

    proptest! {
        #[test]
        fn lengths_stay_within_the_jitter(
            seed in any::<u64>(),
            given in prop_oneof![any::<u64>(), 0..1_000_u64, u64::MAX - 1_000..=u64::MAX],
            percent in 0..=100_u8,
        ) {
            let mut lengths = Lengths::new(Jitter::try_from(percent).unwrap(), Random::new(seed));
            for _ in 0..8 {
                let length = lengths.around(Nanos(given)).0;
                let off = u128::from(length.abs_diff(given));
                prop_assert!(off * 100 <= u128::from(given) * u128::from(percent), "{length}");
            }
        }
    }
}
