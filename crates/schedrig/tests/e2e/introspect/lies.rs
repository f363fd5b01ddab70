//! A real guest whose memory lies: bits that flipped, pointers to nowhere and to other things, lists that became
//! circles. Every look ends, and says what is wrong.

use introspect::GuestKernel;
use introspect::testing::{Corrupted, Noted, complaints, look_at_everything, recipe};
use schedrig::prelude::*;

use crate::stage::{STANDARD, pass, spec};

const ROUNDS: u64 = 1000;
/// A recipe counts words in 16 bits.
const WORDS: usize = 1 << 16;
/// How many times the reads of a sound look a bounded one may need: wrong sizes and counts make tables larger.
const FACTOR: u64 = 100;

#[test]
fn every_look_at_a_kernel_whose_memory_lies_ends_and_says_what_is_wrong() {
    let spec = spec("lies", "1n2l2c1t", STANDARD, "scx_baton");
    pass(&spec, |rig| {
        rig.cgroup("a").spawn(Spin.workers(5))?;
        rig.cgroup("b").weight(300).spawn(Spin.workers(5))?;
        rig.run_for(millis(100))?;
        let kernel = rig.kernel()?;
        let (info, memory, place) = (kernel.info(), kernel.memory(), *kernel.placement());

        let noted = Noted::new(memory);
        let clean = look_at_everything(&GuestKernel::frozen(info, &noted, place));
        let sound = complaints(&clean).len();
        let (words, reads) = noted.words();
        let words: Vec<u64> = words
            .iter()
            .copied()
            .step_by(words.len().div_ceil(WORDS))
            .collect();
        let (mut told, mut changed, mut most) = (0u64, 0u64, 0);
        for round in 0..ROUNDS {
            let recipe = recipe(round, 1 + round % 64);
            let damaged = Corrupted::new(memory, &words, &recipe, reads * FACTOR);
            let value = look_at_everything(&GuestKernel::frozen(info, &damaged, place));
            most = most.max(damaged.reads());
            let found = complaints(&value);
            assert!(found.iter().all(|why| !why.is_empty()));
            if found.len() > sound {
                told += 1;
            } else if value != clean {
                changed += 1;
            }
        }
        println!(
            "{} words damaged in {ROUNDS} ways: {told} told what is wrong, {changed} other values; {reads} reads of the \
             sound one, {most} at the most",
            words.len()
        );
        assert!(told > ROUNDS / 4, "{told} of {ROUNDS} told what is wrong");
        rig.finish()
    });
}
