//! Frames of a guest's programs, through the dispatcher: a recipe of whole and damaged frames in sequence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observe::dispatch::{Action, Bucket, Dispatcher, LinkedKernel, Setup};
use schedrig_fuzz::{parts, plant};
use spec::Nanos;
use wire::kernel_op::{Direction, KernelOpRequest, MAX_TAG, Mode};
use wire::{Answer, FrameKind, KernelOpFrame as _};

const MAX_FRAMES: usize = 16;
const MAX_BYTES: usize = 4096;

fuzz_target!(init: plant(seeds()), |bytes: &[u8]| {
    let setup = Setup {
        watchdog: Some(Nanos(1000)),
        kernel: Some(LinkedKernel { text: 0xffff_ffff_8100_0000, arch: kimage::Arch::X86_64 }),
        build_id: None,
    };
    let mut dispatcher = Dispatcher::with_bucket(setup, Bucket::new(MAX_FRAMES, MAX_BYTES));
    let mut refused = 0;
    let (mut anchor, mut slide, mut stage) = (None, None, dispatcher.stage());
    for (now, part) in parts(bytes).iter().enumerate() {
        let taken = dispatcher.take(&part.bytes(), Nanos(now as u64));
        refused += u64::from(taken.refused.is_some());
        assert_eq!(dispatcher.counts().refused, refused);
        match taken.answer() {
            Some(Answer::Refused { reason }) => assert!(!reason.is_empty()),
            Some(answer) => assert_eq!(answer, Answer::Ack),
            None => match &taken.action {
                Action::KernelOp(request) => assert!(request.tag.len() <= MAX_TAG),
                action => assert!(matches!(action, Action::Snapshot(_) | Action::Acknowledge)),
            },
        }
        assert!(dispatcher.bucket().iter().all(|evidence| evidence.kind.is_evidence()));
        assert!(dispatcher.bucket().iter().count() <= MAX_FRAMES);
        assert!(dispatcher.bucket().iter().map(|evidence| evidence.payload.len()).sum::<usize>() <= MAX_BYTES);
        // Values reported first are kept, and a run's stage only advances.
        anchor = anchor.or(dispatcher.phases().anchor());
        assert_eq!(dispatcher.phases().anchor(), anchor);
        slide = slide.or(dispatcher.addresses().slide.get());
        assert_eq!(dispatcher.addresses().slide.get(), slide);
        assert!(dispatcher.stage() >= stage);
        stage = dispatcher.stage();
    }
});

fn seeds() -> Vec<Vec<u8>> {
    let of_each_kind = FrameKind::ALL.iter().enumerate().map(|(index, kind)| {
        let len = kind.payload_len().unwrap_or(3).min(255);
        let mut recipe = vec![0, index as u8, len as u8];
        recipe.resize(3 + len, 1);
        recipe
    });
    let request = KernelOpRequest {
        request_id: 1,
        tag: "tag".into(),
        direction: Direction::Read,
        mode: Mode::Hot,
        entries: Vec::new(),
    };
    let index = FrameKind::ALL
        .iter()
        .position(|kind| *kind == FrameKind::KernelOpRequest);
    let op = request.encode().ok().zip(index).map(|(frame, index)| {
        let payload = &frame[wire::frame::HEADER_LEN..];
        [&[0, index as u8, payload.len() as u8], payload].concat()
    });
    of_each_kind.chain(op).collect()
}
