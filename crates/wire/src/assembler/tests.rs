use proptest::prelude::*;

use super::*;

/// A frame as far as tests compare them: the kind word, the payload, and is it whole?
type Seen = (u32, Vec<u8>, bool);

fn frame(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(kind, payload, &mut bytes).unwrap();
    bytes
}

fn seen(frame: Received<'_>) -> Seen {
    let whole = !matches!(frame.check(), Err(FrameError::PayloadCrc { .. }));
    (frame.word, frame.payload.to_vec(), whole)
}

/// All frames of a stream that ends, and what was dropped.
fn assemble<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> (Vec<Seen>, Dropped) {
    let mut assembler = Assembler::default();
    let mut found = Vec::new();
    for piece in pieces {
        assembler.feed(piece, |frame| found.push(seen(frame)));
    }
    assembler.finish(|frame| found.push(seen(frame)));
    assert_eq!(assembler.residual(), 0);
    (found, assembler.dropped())
}

fn whole(kind: FrameKind, payload: &[u8]) -> Seen {
    (kind.word(), payload.to_vec(), true)
}

/// D13: frames come out as they went in.
#[test]
fn frames_come_out_in_their_order() {
    let stream = [
        frame(FrameKind::Stdout, b"one"),
        frame(FrameKind::ScenarioStart, b""),
    ]
    .concat();
    let expect = vec![
        whole(FrameKind::Stdout, b"one"),
        whole(FrameKind::ScenarioStart, b""),
    ];
    assert_eq!(assemble([&stream[..]]), (expect, Dropped::default()));
}

/// D13: a frame whose end never comes does not hide those behind it.
#[test]
fn a_frame_without_an_end_does_not_hide_the_next() {
    let cut = &frame(FrameKind::Stdout, &[7; 1000])[..20];
    let next = frame(FrameKind::Exit, b"0");
    let mut assembler = Assembler::default();
    let mut found = Vec::new();
    assembler.feed(&[cut, &next].concat(), |frame| found.push(seen(frame)));
    assert_eq!(found, [], "it may still be a payload");
    assembler.finish(|frame| found.push(seen(frame)));
    assert_eq!(found, [whole(FrameKind::Exit, b"0")]);
    assert_eq!(assembler.dropped().bytes, 20);
}

/// D13, D11: a damaged payload is given with its kind, and the frame behind it is in step.
#[test]
fn a_damaged_frame_is_given_as_damaged() {
    let mut damaged = frame(FrameKind::Stdout, b"one");
    damaged[HEADER_LEN] ^= 1;
    let mut second = frame(FrameKind::Stderr, b"two");
    second[HEADER_LEN] ^= 1;
    let stream = [damaged, second, frame(FrameKind::Exit, b"0")].concat();
    let (found, dropped) = assemble([&stream[..]]);
    let expect = [
        (FrameKind::Stdout.word(), b"nne".to_vec(), false),
        (FrameKind::Stderr.word(), b"uwo".to_vec(), false),
        whole(FrameKind::Exit, b"0"),
    ];
    assert_eq!(found, expect);
    let damaged = 2;
    assert_eq!(
        dropped,
        Dropped {
            damaged,
            ..Dropped::default()
        }
    );
}

/// A frame with any kind word, its CRCs right.
fn with_word(word: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(FrameKind::Exit, payload);
    bytes[..4].copy_from_slice(word);
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// D13: in step a frame of an unknown kind is given, to be counted; out of step it is not taken for one.
#[test]
fn resync_requires_a_known_kind() {
    let unknown = with_word(b"NEWS", b"x");
    let (found, _) = assemble([&unknown[..]]);
    assert_eq!(found, [(u32::from_le_bytes(*b"NEWS"), b"x".to_vec(), true)]);
    let stream = [b"garbage!".as_slice(), &unknown, &frame(FrameKind::Exit, b"0")].concat();
    let (found, dropped) = assemble([&stream[..]]);
    assert_eq!(found, [whole(FrameKind::Exit, b"0")]);
    assert_eq!(dropped.bytes, 8 + 17);
}

/// D13: resync requires the header's CRC, the length and the payload's CRC.
#[test]
fn resync_requires_every_check() {
    let good = frame(FrameKind::Exit, b"0");
    let mut header = good.clone();
    header[12] ^= 1;
    let mut payload = good.clone();
    payload[16] ^= 1;
    let mut long = good.clone();
    long[4..8].copy_from_slice(&(MAX_PAYLOAD as u32 + 1).to_le_bytes());
    let crc = crc32fast::hash(&long[..12]);
    long[12..16].copy_from_slice(&crc.to_le_bytes());
    for bad in [header, payload, long] {
        let stream = [b"?".as_slice(), &bad, &good].concat();
        let (found, dropped) = assemble([&stream[..]]);
        assert_eq!(found, [whole(FrameKind::Exit, b"0")]);
        assert_eq!(dropped.bytes, 1 + 17);
    }
}

/// D13: a frame of 16 MiB is taken, in whatever pieces it comes.
#[test]
fn the_longest_frame_is_taken() {
    let payload = vec![0x5a; MAX_PAYLOAD];
    let bytes = frame(FrameKind::Dmesg, &payload);
    for piece in [bytes.len(), 1 << 16] {
        let (found, dropped) = assemble(bytes.chunks(piece));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1.len(), MAX_PAYLOAD);
        assert_eq!(dropped, Dropped::default());
    }
}

/// D13: more pending than twice the longest frame is dropped and counted, and the stream goes on behind it.
#[test]
fn too_much_pending_is_dropped_and_counted() {
    let mut assembler = Assembler::default();
    // Nobody asks for frames meanwhile.
    let half = vec![b'x'; MAX_PAYLOAD];
    assembler.push(&half);
    assembler.push(&half);
    assert_eq!(
        (assembler.residual(), assembler.dropped().clears),
        (MAX_RESIDUAL, 0)
    );
    assembler.push(&frame(FrameKind::Exit, b"0"));
    let dropped = Dropped {
        bytes: MAX_RESIDUAL as u64,
        damaged: 0,
        clears: 1,
    };
    assert_eq!((assembler.residual(), assembler.dropped()), (17, dropped));
    assert_eq!(
        assembler.next_frame().map(seen),
        Some(whole(FrameKind::Exit, b"0"))
    );

    assembler.push(&vec![b'x'; MAX_RESIDUAL + 5]);
    assert_eq!(assembler.residual(), MAX_RESIDUAL);
    assert_eq!(assembler.dropped().bytes, dropped.bytes + 5);
}

/// D13: headers without payloads, one behind the other, do not have all that follows hashed for each of them.
#[test]
fn forged_headers_cost_a_bounded_amount_of_work() {
    let forged = &frame(FrameKind::Stdout, &vec![1; 4 << 20])[..HEADER_LEN];
    let stream = forged.repeat((8 << 20) / HEADER_LEN);
    let (_, dropped) = assemble([&stream[..]]);
    assert!(dropped.clears > 0, "{dropped:?}");
    let (found, _) = assemble([&stream[..], &frame(FrameKind::Exit, b"0")]);
    assert_eq!(found.last(), Some(&whole(FrameKind::Exit, b"0")));
}

/// A part of a stream.
#[derive(Debug, Clone)]
enum Part {
    Whole(FrameKind, Vec<u8>),
    Garbage(Vec<u8>),
    /// A frame that ends too early, and a byte with which it does not go on: chance could complete it else.
    Cut(FrameKind, Vec<u8>, prop::sample::Index),
    /// A frame with one bit changed.
    Flipped(FrameKind, Vec<u8>, prop::sample::Index, u8),
}

impl Part {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Part::Whole(kind, payload) => frame(*kind, payload),
            Part::Garbage(bytes) => bytes.clone(),
            Part::Cut(kind, payload, at) => {
                let mut bytes = frame(*kind, payload);
                let at = at.index(bytes.len());
                bytes[at] = !bytes[at];
                bytes.truncate(at + 1);
                bytes
            }
            Part::Flipped(kind, payload, at, bit) => {
                let mut bytes = frame(*kind, payload);
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
                bytes
            }
        }
    }
}

fn parts() -> impl Strategy<Value = Vec<Part>> {
    let kind = || prop::sample::select(FrameKind::ALL);
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    // Letters of kinds make beginnings of frames likely.
    let letters = prop::collection::vec(prop::sample::select(b"STIMEX0\0".to_vec()), 0..40);
    let part = prop_oneof![
        3 => (kind(), bytes()).prop_map(|(kind, payload)| Part::Whole(kind, payload)),
        1 => bytes().prop_map(Part::Garbage),
        1 => letters.prop_map(Part::Garbage),
        1 => (kind(), bytes(), any::<prop::sample::Index>()).prop_map(|(kind, payload, at)| Part::Cut(kind, payload, at)),
        1 => (kind(), bytes(), any::<prop::sample::Index>(), 0u8..8)
            .prop_map(|(kind, payload, at, bit)| Part::Flipped(kind, payload, at, bit)),
    ];
    prop::collection::vec(part, 0..12)
}

proptest! {
    /// D13: however a stream is cut into pieces, the same frames come out, and the same is dropped.
    #[test]
    fn any_split_gives_the_same_frames(parts in parts(), cuts in prop::collection::vec(1usize..40, 1..20)) {
        let stream: Vec<u8> = parts.iter().flat_map(Part::bytes).collect();
        let mut pieces = Vec::new();
        let mut rest = &stream[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        prop_assert_eq!(assemble(pieces), assemble([&stream[..]]));
    }

    /// D13: garbage, frames without an end and damaged frames never lose a later whole frame, and make none.
    #[test]
    fn garbage_never_loses_a_whole_frame(parts in parts()) {
        let stream: Vec<u8> = parts.iter().flat_map(Part::bytes).collect();
        let (found, _) = assemble([&stream[..]]);
        let found: Vec<Seen> = found.into_iter().filter(|(_, _, whole)| *whole).collect();
        let expect: Vec<Seen> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Whole(kind, payload) => Some(whole(*kind, payload)),
                _ => None,
            })
            .collect();
        prop_assert_eq!(found, expect);
    }

    /// D13: no bytes panic, and never are more pending than the bound.
    #[test]
    fn no_bytes_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..8)) {
        let mut assembler = Assembler::default();
        for piece in &pieces {
            assembler.feed(piece, |_| ());
            prop_assert!(assembler.residual() <= MAX_RESIDUAL);
        }
        assembler.finish(|_| ());
        prop_assert_eq!(assembler.residual(), 0);
    }
}
