use proptest::prelude::*;
use record::EventKind;
use wire::kernel_op::{Direction, Mode};
use wire::scenario::Stimulus;
use wire::snapshot::{SnapshotKind, SnapshotReply};
use wire::{Answer, Request};

use super::*;

fn host() -> Option<BuildId> {
    Some("aa01".parse().unwrap())
}

fn bytes(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(kind, payload, &mut bytes).unwrap();
    bytes
}

/// The frame with another CRC for its header, after a change.
fn sealed(mut bytes: Vec<u8>, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    change(&mut bytes);
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The frame with another CRC for its payload.
fn damaged(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    sealed(bytes(kind, payload), |bytes| bytes[8] ^= 1)
}

fn take(dispatcher: &mut Dispatcher, kind: FrameKind, payload: &[u8]) -> Disposition {
    dispatcher.take(&bytes(kind, payload), host())
}

fn action_of(dispatcher: &mut Dispatcher, kind: FrameKind, payload: &[u8]) -> Action {
    let taken = take(dispatcher, kind, payload);
    assert_eq!(taken.refused, None, "{kind:?}");
    taken.action
}

/// The reason for which a frame is refused; it is answered at once, does nothing, and is counted.
fn refused(dispatcher: &mut Dispatcher, bytes: &[u8]) -> (String, Option<EventKind>) {
    let before = dispatcher.counts().refused;
    let taken = dispatcher.take(bytes, host());
    assert_eq!(taken.action, Action::None);
    assert_eq!(dispatcher.counts().refused, before + 1);
    match taken.answer() {
        Some(Answer::Refused { reason }) => {
            assert!(!reason.is_empty());
            (reason, taken.evidence)
        }
        other => panic!("{other:?}"),
    }
}

/// The reason for which a frame is refused that is not recorded.
fn refused_unrecorded(dispatcher: &mut Dispatcher, bytes: &[u8]) -> String {
    let (reason, evidence) = refused(dispatcher, bytes);
    assert_eq!(evidence, None, "{reason}");
    reason
}

/// A payload of the length that the kind demands.
fn plausible(kind: FrameKind) -> Vec<u8> {
    vec![b'x'; kind.payload_len().unwrap_or(3)]
}

fn those(is: impl Fn(FrameKind) -> bool) -> Vec<FrameKind> {
    FrameKind::ALL.iter().copied().filter(|kind| is(*kind)).collect()
}

/// D1: the scheduler's exit is recorded, and nothing else comes of what a program says; a damaged one is not recorded.
#[test]
fn a_schedulers_exit_is_recorded_unless_it_is_damaged() {
    let mut door = Dispatcher::default();
    let reason = refused_unrecorded(&mut door, &damaged(FrameKind::SchedulerExit, b"1"));
    assert!(reason.contains("CRC"), "{reason}");
    let taken = take(&mut door, FrameKind::SchedulerExit, b"1");
    assert_eq!(taken.action, Action::None);
    assert!(matches!(
        taken.evidence,
        Some(EventKind::Sent { intact: true, .. })
    ));
}

/// D6: a whole request is carried out, and answered by whoever carries it out; it is never recorded as evidence.
#[test]
fn a_snapshot_request_is_handed_on_or_refused_at_once() {
    let mut door = Dispatcher::default();
    let asked = SnapshotRequest {
        request_id: 7,
        kind: SnapshotKind::Watch,
        tag: "jiffies".into(),
    };
    let payload = asked.encode().unwrap();
    let taken = take(&mut door, FrameKind::SnapshotRequest, &payload);
    assert_eq!(taken.answer(), None);
    assert_eq!(taken.evidence, None);
    assert_eq!(taken.action, Action::Snapshot(asked));

    refused_unrecorded(&mut door, &damaged(FrameKind::SnapshotRequest, &payload));
    refused_unrecorded(&mut door, &bytes(FrameKind::SnapshotRequest, &payload[1..]));
    let mut no_id = payload;
    no_id[..4].fill(0);
    let reason = refused_unrecorded(&mut door, &bytes(FrameKind::SnapshotRequest, &no_id));
    assert!(reason.contains("count from 1"), "{reason}");
}

fn kernel_op(tag: String) -> KernelOpRequest {
    KernelOpRequest {
        request_id: 1,
        tag,
        direction: Direction::Read,
        mode: Mode::Cold,
        entries: Vec::new(),
    }
}

/// D7: a whole batch is carried out, its tag cut between characters.
#[test]
fn a_kernel_op_is_handed_on_with_a_short_tag() {
    let mut door = Dispatcher::default();
    let check = |door: &mut Dispatcher, tag: String, expect: String| {
        let sent = kernel_op(tag).encode().unwrap();
        let taken = door.take(&sent, host());
        assert_eq!((taken.answer(), &taken.evidence), (None, &None));
        assert_eq!(taken.action, Action::KernelOp(kernel_op(expect)));
    };
    check(&mut door, "t".repeat(256), "t".repeat(256));
    check(&mut door, "t".repeat(257), "t".repeat(256));
    check(&mut door, format!("{}é", "t".repeat(255)), "t".repeat(255));
    check(&mut door, "🦀".repeat(70), "🦀".repeat(64));
}

/// D7: a batch that does not decode is refused at once; no program waits for a deadline.
#[test]
fn a_kernel_op_that_does_not_decode_is_refused_at_once() {
    let mut door = Dispatcher::default();
    let sent = kernel_op("t".into()).encode().unwrap();
    let payload = &sent[frame::HEADER_LEN..];
    // The last one counts more entries than any payload has room for.
    let greedy = [&payload[..payload.len() - 1], &[0xff, 0xff, 0xff, 0xff, 0x7f]].concat();
    for bad in [&payload[1..], &[payload, &[0]].concat(), &greedy] {
        refused_unrecorded(&mut door, &bytes(FrameKind::KernelOpRequest, bad));
    }
    refused_unrecorded(&mut door, &damaged(FrameKind::KernelOpRequest, payload));
}

/// D8, D9: the phases of a scenario reach the observer, each time, and are recorded.
#[test]
fn phases_are_handed_on_and_recorded() {
    let mut door = Dispatcher::default();
    for (kind, phase) in [
        (FrameKind::ScenarioStart, Phase::Started),
        (FrameKind::ScenarioPause, Phase::Paused),
        (FrameKind::ScenarioResume, Phase::Resumed),
        (FrameKind::ScenarioStart, Phase::Started),
    ] {
        let taken = take(&mut door, kind, b"");
        assert_eq!((taken.action, taken.refused), (Action::Phase(phase), None));
        assert!(taken.evidence.is_some(), "{kind:?}");
    }
}

/// D8, D9, D10: damaged frames, and ones of another length, change nothing; they are recorded all the same (F5).
#[test]
fn bad_phases_change_nothing_but_are_recorded() {
    let mut door = Dispatcher::default();
    let phases = [
        FrameKind::ScenarioStart,
        FrameKind::ScenarioPause,
        FrameKind::ScenarioResume,
        FrameKind::ScenarioEnd,
        FrameKind::Stimulus,
    ];
    for kind in phases {
        let (_, evidence) = refused(&mut door, &damaged(kind, &plausible(kind)));
        assert!(
            matches!(evidence, Some(EventKind::Sent { intact: false, .. })),
            "{kind:?}"
        );
        let longer = [&plausible(kind)[..], b"x"].concat();
        let (reason, evidence) = refused(&mut door, &bytes(kind, &longer));
        assert!(
            matches!(evidence, Some(EventKind::Sent { intact: true, .. })),
            "{kind:?}"
        );
        let need = format!("has {} bytes", plausible(kind).len());
        assert!(reason.contains(&need), "{reason}");
    }
    assert_eq!(door.counts().damaged, phases.len() as u64);
}

/// D10, F4: a stimulus of 24 bytes is taken.
#[test]
fn a_stimulus_of_24_bytes_is_taken() {
    let stimulus = Stimulus {
        elapsed_ms: 1,
        step_index: 3,
        op_count: 2,
        op_kinds: 3,
        cgroup_count: 4,
        worker_count: 5,
        total_iterations: 6,
    };
    let taken = take(
        &mut Dispatcher::default(),
        FrameKind::Stimulus,
        &stimulus.encode(),
    );
    assert_eq!((taken.answer(), taken.action), (Some(Answer::Ack), Action::None));
}

/// D11: all other evidence is recorded as it came, damaged or not.
#[test]
fn evidence_is_recorded_even_if_damaged() {
    for kind in those(FrameKind::is_evidence) {
        let mut door = Dispatcher::default();
        let payload = plausible(kind);
        let text = String::from_utf8(payload.clone()).unwrap();
        let whole = take(&mut door, kind, &payload).evidence;
        let (_, broken) = refused(&mut door, &damaged(kind, &payload));
        for (evidence, expect) in [(whole, true), (broken, false)] {
            if kind == FrameKind::SchedulerExit && !expect {
                continue;
            }
            let Some(EventKind::Sent {
                frame,
                payload,
                intact,
            }) = evidence
            else {
                panic!("{kind:?}: {evidence:?}");
            };
            assert_eq!(
                (frame.into_bytes(), payload, intact),
                (kind.word().to_le_bytes().to_vec(), text.clone(), expect)
            );
        }
    }
}

/// D11: what the host and the agent send is not taken from a program, and is no evidence.
#[test]
fn a_program_cannot_speak_for_the_host_or_the_agent() {
    let mut door = Dispatcher::default();
    for kind in those(|kind| kind.sender() != Sender::Program) {
        let who = if kind.from_guest() {
            "agent only"
        } else {
            "host only"
        };
        let reason = refused_unrecorded(&mut door, &bytes(kind, &plausible(kind)));
        assert!(reason.contains(who), "{reason}");
        refused_unrecorded(&mut door, &damaged(kind, &plausible(kind)));
    }
    let reply = SnapshotReply {
        request_id: 1,
        outcome: Ok(()),
    };
    refused_unrecorded(&mut door, &reply.frame().unwrap());
    let request = Request::Reply {
        at: spec::GuestTime::default(),
        reply: Ok(spec::OpOutcome::Done),
    };
    refused_unrecorded(&mut door, &request.encode().unwrap());
}

/// D11: unknown kinds are counted and refused, whole or not.
#[test]
fn unknown_kinds_are_counted_and_refused() {
    let mut door = Dispatcher::default();
    for frame in [bytes(FrameKind::Exit, b"0"), damaged(FrameKind::Exit, b"0")] {
        let frame = sealed(frame, |bytes| bytes[..4].copy_from_slice(b"NEWS"));
        let reason = refused_unrecorded(&mut door, &frame);
        assert!(reason.contains("unknown"), "{reason}");
    }
    let counts = door.counts();
    assert_eq!((counts.unknown, counts.damaged, counts.refused), (2, 0, 2));
    assert!(counts.by_kind.is_empty());
}

/// D11: with the header's CRC a damaged kind or length is detected, and neither is believed.
#[test]
fn a_damaged_header_is_refused() {
    let mut door = Dispatcher::default();
    let whole = bytes(FrameKind::Stdout, b"words");
    for at in 0..frame::HEADER_LEN {
        let mut frame = whole.clone();
        frame[at] ^= 1;
        refused_unrecorded(&mut door, &frame);
    }
    for len in 0..whole.len() {
        refused_unrecorded(&mut door, &whole[..len]);
    }
    assert_eq!(door.counts().damaged, (frame::HEADER_LEN + whole.len()) as u64);
}

/// D12: a program that names another kernel than the one whose files the host has is told both ids.
#[test]
fn a_program_that_names_another_kernel_is_refused() {
    let mut door = Dispatcher::default();
    let same = action_of(&mut door, FrameKind::KernelBuildId, &[0xaa, 0x01]);
    assert_eq!(same, Action::None);
    refused_unrecorded(&mut door, &damaged(FrameKind::KernelBuildId, &[0xbb, 0x02]));
    refused_unrecorded(&mut door, &bytes(FrameKind::KernelBuildId, b""));
    refused_unrecorded(&mut door, &bytes(FrameKind::KernelBuildId, &[1; 33]));
    let unknown = door.take(&bytes(FrameKind::KernelBuildId, &[0xbb, 0x02]), None);
    assert_eq!(
        unknown.action,
        Action::None,
        "a host that does not know its kernel's id"
    );
    let text = refused_unrecorded(&mut door, &bytes(FrameKind::KernelBuildId, &[0xbb, 0x02]));
    assert!(text.contains("bb02") && text.contains("aa01"), "{text}");
}

/// D12: a swap of the scheduler reaches the observer; it needs a whole and empty frame.
#[test]
fn a_swap_of_the_scheduler_is_handed_on() {
    let mut door = Dispatcher::default();
    let kind = FrameKind::SchedulerSwapped;
    refused_unrecorded(&mut door, &damaged(kind, b""));
    refused_unrecorded(&mut door, &bytes(kind, b"x"));
    let taken = take(&mut door, kind, b"");
    assert_eq!(
        (taken.action, taken.evidence),
        (Action::Phase(Phase::SchedulerSwapped), None)
    );
}

/// F6: no internal frame is recorded as evidence, damaged or not, whatever it says.
#[test]
fn nothing_internal_is_ever_recorded() {
    let mut door = Dispatcher::default();
    for kind in those(FrameKind::is_internal) {
        for payload in [plausible(kind), Vec::new(), vec![0xff; 100]] {
            for frame in [bytes(kind, &payload), damaged(kind, &payload)] {
                assert_eq!(door.take(&frame, host()).evidence, None, "{kind:?}");
            }
        }
    }
}

/// D11: what is neither a request nor refused is acknowledged, so that its sender runs on.
#[test]
fn what_is_recorded_is_acknowledged() {
    let mut door = Dispatcher::default();
    for kind in [
        FrameKind::Stdout,
        FrameKind::ScenarioStart,
        FrameKind::SchedulerSwapped,
    ] {
        let payload = vec![1; kind.payload_len().unwrap_or(1)];
        assert_eq!(take(&mut door, kind, &payload).answer(), Some(Answer::Ack));
    }
}

proptest! {
    /// D1 to D12: no frame panics, each is answered or handed on, and each refusal is counted.
    #[test]
    fn every_frame_is_answered(frames in prop::collection::vec(
        (prop::sample::select(FrameKind::ALL), prop::collection::vec(any::<u8>(), 0..80), any::<bool>(), any::<bool>()),
        0..40,
    )) {
        let mut door = Dispatcher::default();
        let mut refused = 0;
        for (kind, mut payload, fits, whole) in frames {
            if fits && let Some(len) = kind.payload_len() {
                payload.resize(len, 1);
            }
            let frame = if whole { bytes(kind, &payload) } else { damaged(kind, &payload) };
            let taken = door.take(&frame, host());
            refused += u64::from(taken.refused.is_some());
            match taken.answer() {
                None => prop_assert!(matches!(taken.action, Action::Snapshot(_) | Action::KernelOp(_))),
                Some(Answer::Refused { reason }) => prop_assert!(!reason.is_empty() && reason.len() <= 256),
                Some(answer) => prop_assert_eq!(answer, Answer::Ack),
            }
            prop_assert!(whole || taken.refused.is_some());
            prop_assert_eq!(door.counts().refused, refused);
            prop_assert!(taken.evidence.is_none() || kind.is_evidence());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert!(Dispatcher::default().take(&bytes, host()).refused.is_some());
    }
}
