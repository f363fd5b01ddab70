//! What programs of a guest send, through the dispatcher: a recipe of frames, whole and damaged, one behind the other.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observe::dispatch::{Action, Bucket, Dispatcher, LinkedKernel, Setup};
use schedrig_fuzz::{parts, plant};
use spec::Nanos;
use wire::kernel_op::{Direction, KernelOpRequest, MAX_TAG, Mode};
use wire::{Answer, FrameKind};

const MOST: usize = 16;
const MOST_BYTES: usize = 4096;

fuzz_target!(init: plant(seeds()), |bytes: &[u8]| {
    let setup = Setup {
        watchdog: Some(Nanos(1000)),
        kernel: Some(LinkedKernel { text: 0xffff_ffff_8100_0000, arch: kimage::Arch::X86_64 }),
        build_id: None,
    };
    let mut door = Dispatcher::with_bucket(setup, Bucket::new(MOST, MOST_BYTES));
    let mut refused = 0;
    let (mut anchor, mut slide, mut stage) = (None, None, door.stage());
    for (now, part) in parts(bytes).iter().enumerate() {
        let taken = door.take(&part.bytes(), Nanos(now as u64));
        refused += u64::from(taken.refused.is_some());
        assert_eq!(door.counts().refused, refused);
        match taken.answer() {
            Some(Answer::Refused { reason }) => assert!(!reason.is_empty()),
            Some(answer) => assert_eq!(answer, Answer::Ack),
            None => match &taken.action {
                Action::KernelOp(request) => assert!(request.tag.len() <= MAX_TAG),
                action => assert!(matches!(action, Action::Snapshot(_) | Action::Acknowledge)),
            },
        }
        assert!(door.bucket().iter().all(|evidence| evidence.kind.is_evidence()));
        assert!(door.bucket().iter().count() <= MOST);
        assert!(door.bucket().iter().map(|evidence| evidence.payload.len()).sum::<usize>() <= MOST_BYTES);
        // What is told first stays, and a run goes forward only.
        anchor = anchor.or(door.phases().anchor());
        assert_eq!(door.phases().anchor(), anchor);
        slide = slide.or(door.addresses().slide.get());
        assert_eq!(door.addresses().slide.get(), slide);
        assert!(door.stage() >= stage);
        stage = door.stage();
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
