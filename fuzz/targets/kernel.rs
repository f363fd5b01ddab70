//! A damaged kernel in memory: a small hand-made one with some wrong words, and all walks, views and queries on it.
//!
//! The input is a recipe, six bytes a step: the operation, the word (of those that a read of the sound kernel visits),
//! the operand (`introspect::testing::Corrupted`). More reads than a bounded walk takes are a finding.
#![no_main]

use std::sync::LazyLock;

use introspect::testing::{Corrupted, Noted, Whole, complaints, look_at_everything};
use libfuzzer_sys::fuzz_target;
use schedrig_fuzz::plant;

/// Far more reads than the sound kernel takes. A hash table may have a million buckets, each of which is a read.
const MAX_READS: u64 = 20_000_000;

static SOUND: LazyLock<(Whole, Vec<u64>)> = LazyLock::new(|| {
    let whole = Whole::new();
    let noted = Noted::new(whole.memory());
    look_at_everything(&whole.kernel(&noted));
    let (words, _) = noted.words();
    (whole, words)
});

fuzz_target!(init: plant(seeds()), |recipe: &[u8]| {
    let (whole, words) = &*SOUND;
    let damaged = Corrupted::new(whole.memory(), words, recipe, MAX_READS);
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
