//! The generator behind all that is random in the guest.
//!
//! It is our own, and pinned by a test, so that a seed means the same execution in every version.

/// SplitMix64 (Steele, Lea, Flood: *Fast splittable pseudorandom number generators*, 2014).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random(u64);

impl Random {
    /// The generator of that seed.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `most`, both included. One draw.
    pub fn up_to(&mut self, most: u64) -> u64 {
        // Multiply and shift; its bias, relative to a number's due, is at most (most + 1) / 2^64: of no account
        // for the spans of a test.
        ((u128::from(self.next_u64()) * (u128::from(most) + 1)) >> 64) as u64
    }

    /// Another generator, seeded by one draw from this one.
    pub fn split(&mut self) -> Random {
        Random::new(self.next_u64())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        let check = |seed, expect: [u64; 5]| {
            let mut random = Random::new(seed);
            assert_eq!([(); 5].map(|()| random.next_u64()), expect, "seed {seed}");
        };
        // What Vigna's splitmix64.c gives.
        check(
            0,
            [
                0xe220_a839_7b1d_cdaf,
                0x6e78_9e6a_a1b9_65f4,
                0x06c4_5d18_8009_454f,
                0xf88b_b8a8_724c_81ec,
                0x1b39_896a_51a8_749b,
            ],
        );
        check(
            1_234_567,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423,
                4_593_380_528_125_082_431,
                16_408_922_859_458_223_821,
            ],
        );
    }

    #[test]
    fn a_split_costs_one_number_and_goes_its_own_way() {
        let mut random = Random::new(0);
        assert_eq!(random.split(), Random::new(0xe220_a839_7b1d_cdaf));
        assert_eq!(random.next_u64(), 0x6e78_9e6a_a1b9_65f4);
    }

    #[test]
    fn numbers_come_evenly() {
        let mut random = Random::new(5);
        let mut seen = [0_u32; 10];
        for _ in 0..100_000 {
            seen[random.up_to(9) as usize] += 1;
        }
        // 10 000 each; five standard deviations are 474.
        assert!(seen.iter().all(|count| count.abs_diff(10_000) < 474), "{seen:?}");
    }

    proptest! {
        #[test]
        fn no_number_is_above_the_bound(seed in any::<u64>(), most in any::<u64>()) {
            prop_assert!(Random::new(seed).up_to(most) <= most);
            prop_assert_eq!(Random::new(seed).up_to(0), 0);
            prop_assert_eq!(Random::new(seed).up_to(u64::MAX), Random::new(seed).next_u64());
        }
    }
}
