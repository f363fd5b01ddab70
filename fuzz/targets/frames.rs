//! Frames from the other end of a call. Random bytes fail the checksums, so the input is tried bare and also as the
//! payload of a well-formed frame of each kind.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schedrig_fuzz::plant;
use wire::frame::Frame;
use wire::kernel_op::{KernelOpReply, KernelOpRequest};
use wire::scenario::{ScenarioEnd, Stimulus};
use wire::snapshot::{SnapshotReply, SnapshotRequest};
use wire::{Answer, FrameKind, KernelOpFrame as _, Request, frame};

fuzz_target!(init: plant(seeds()), |bytes: &[u8]| {
    decode(bytes);
    let mut framed = Vec::new();
    for &kind in FrameKind::ALL {
        framed.clear();
        if frame::encode(kind, bytes, &mut framed).is_ok() {
            let frame = frame::decode(&framed).expect("an encoded frame can be decoded");
            assert_eq!((frame.kind, frame.payload), (kind, bytes));
            decode(&framed);
            decode_programs(frame);
        }
    }
});

/// Asserts the same of what a program sends and is answered.
fn decode_programs(frame: Frame) {
    let payload = frame.payload;
    if let Ok(request) = KernelOpRequest::decode(frame) {
        let again = request.encode().expect("a request that came fits a frame");
        let again = frame::decode(&again).map(KernelOpRequest::decode);
        assert_eq!(again, Ok(Ok(request)));
    }
    let _ = KernelOpReply::decode(frame);
    if let Ok(request) = SnapshotRequest::decode(payload) {
        // A replaced character can make a tag longer than its field.
        if let Ok(again) = request.encode() {
            assert_eq!(SnapshotRequest::decode(&again), Ok(request));
        }
    }
    let _ = SnapshotReply::decode(payload);
    if let Ok(stimulus) = Stimulus::decode(payload) {
        assert_eq!(stimulus.encode(), payload);
    }
    if let Ok(end) = ScenarioEnd::decode(payload) {
        assert_eq!(end.encode(), payload);
    }
}

/// Asserts that a decoded message is equal after encoding and decoding it again.
fn decode(bytes: &[u8]) {
    if let Ok(request) = Request::decode(bytes) {
        let again = request.encode().and_then(|bytes| Request::decode(&bytes));
        assert_eq!(again.as_ref(), Ok(&request));
    }
    if let Ok(answer) = Answer::decode(bytes) {
        let again = answer.encode().and_then(|bytes| Answer::decode(&bytes));
        assert_eq!(again.as_ref(), Ok(&answer));
    }
}

fn seeds() -> Vec<Vec<u8>> {
    let answers = [
        Answer::Ack,
        Answer::Refused {
            reason: "the frame's kind is unknown".into(),
        },
    ];
    let frames = answers.iter().filter_map(|answer| answer.encode().ok());
    // Bare payloads: small numbers are variants, lengths and fields alike.
    let payloads =
        (0..24_u8).map(|variant| [&[variant, 1, 3], b"abc".as_slice(), &[1, 0, 2, 1, 1, 0, 0, 0]].concat());
    frames.chain(payloads).collect()
}
