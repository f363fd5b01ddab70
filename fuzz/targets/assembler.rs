//! A stream of frames and garbage, in pieces. The input is a recipe, since random bytes fail the checksums: each part
//! is a frame, a frame with a byte changed, a truncated one, or literal bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schedrig_fuzz::{Part, parts, plant};
use wire::FrameKind;
use wire::assembler::{Assembler, Dropped, MAX_RESIDUAL};

fuzz_target!(init: plant(seeds()), |bytes: &[u8]| {
    let Some((piece, recipe)) = bytes.split_first() else { return };
    let parts = parts(recipe);
    let stream: Vec<u8> = parts.iter().flat_map(Part::bytes).collect();
    let whole = assemble([&stream[..]]);
    assert_eq!(assemble(stream.chunks(usize::from(*piece) + 1)), whole, "pieces change the result");
    let mut found = whole.0.iter().filter(|(_, _, whole)| *whole);
    for part in &parts {
        if let Part::Whole { kind, payload } = part {
            let expect = (kind.word(), payload.clone(), true);
            assert!(found.any(|frame| *frame == expect), "a whole frame was lost");
        }
    }
});

/// The frames of a stream (kind word, payload, whether it is whole), and the dropped bytes.
fn assemble<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<(u32, Vec<u8>, bool)>, Dropped) {
    let mut assembler = Assembler::default();
    let mut found = Vec::new();
    for piece in pieces {
        assembler.feed(piece, |frame| {
            found.push((frame.word, frame.payload.to_vec(), frame.check().is_ok()))
        });
        assert!(assembler.residual() <= MAX_RESIDUAL);
    }
    assembler.finish(|frame| found.push((frame.word, frame.payload.to_vec(), frame.check().is_ok())));
    assert_eq!(assembler.residual(), 0);
    (found, assembler.dropped())
}

fn seeds() -> Vec<Vec<u8>> {
    let kinds = FrameKind::ALL.len() as u8;
    let of_each_kind = (0..kinds).map(|kind| [6, 0, kind, 3, b'a', b'b', b'c', 0, kind, 0]);
    let of_each_part = (0..4).map(|part| [1, 0, 9, 1, b'x', part, 9, 2, b'y', 0]);
    of_each_kind.chain(of_each_part).map(Vec::from).collect()
}
