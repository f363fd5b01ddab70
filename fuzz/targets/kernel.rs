//! A kernel in memory that lies: a small one made by hand, some words of which are wrong, and all that can be asked of it.
//!
//! The input is a recipe, six bytes a step: what is done, to which of the words that a look at the sound kernel reads,
//! with what (`introspect::testing::Corrupted`). More reads than a bounded walk takes are a finding.
#![no_main]

use std::sync::LazyLock;

use introspect::testing::{Corrupted, Noted, Whole, complaints, look_at_everything};
use libfuzzer_sys::fuzz_target;
use schedrig_fuzz::plant;

/// Far more than a look at the sound kernel takes. A hash table may have a million buckets, each of which is a read.
const MOST_READS: u64 = 20_000_000;

static SOUND: LazyLock<(Whole, Vec<u64>)> = LazyLock::new(|| {
    let whole = Whole::new();
    let noted = Noted::new(whole.memory());
    look_at_everything(&whole.kernel(&noted));
    let (words, _) = noted.words();
    (whole, words)
});

fuzz_target!(init: plant(seeds()), |recipe: &[u8]| {
    let (whole, words) = &*SOUND;
    let damaged = Corrupted::new(whole.memory(), words, recipe, MOST_READS);
    let value = look_at_everything(&whole.kernel(&damaged));
    assert!(complaints(&value).iter().all(|why| !why.is_empty()));
});

/// One step of each kind, on words all over the kernel.
fn seeds() -> Vec<Vec<u8>> {
    let step = |kind: u8, word: u8| {
        vec![
            kind,
            word,
            word % 3,
            word.wrapping_mul(7),
            word % 2,
            word.wrapping_mul(13),
        ]
    };
    let mut seeds: Vec<Vec<u8>> = (0..10).map(|kind| step(kind, 17 * kind + 5)).collect();
    seeds.push((0..10).flat_map(|kind| step(kind, 23 * kind + 1)).collect());
    seeds.push(Vec::new());
    seeds
}
