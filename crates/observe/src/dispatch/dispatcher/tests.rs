use kimage::Arch;
use proptest::prelude::*;
use spec::GuestTime;
use wire::KernelOpFrame as _;
use wire::kernel_op::{Direction, Mode};
use wire::phase::ScenarioEnd;
use wire::snapshot::{SnapshotKind, SnapshotReply};
use wire::{Answer, Request};

use super::*;
use crate::dispatch::SlideError;
use crate::periodic::Periodic;

const LINK: u64 = 0xffff_ffff_8100_0000;
const NOW: Nanos = Nanos(1000);

fn dispatcher() -> Dispatcher {
    Dispatcher::new(Setup {
        watchdog: Some(Nanos(100)),
        kernel: Some(LinkedKernel {
            text: LINK,
            arch: Arch::X86_64,
        }),
        build_id: Some("aa01".parse().unwrap()),
    })
}

fn bytes(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::encode(kind, payload, &mut bytes).unwrap();
    bytes
}

/// The same frame, with another CRC for its payload.
fn damaged(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = bytes(kind, payload);
    bytes[8] ^= 1;
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn take(dispatcher: &mut Dispatcher, kind: FrameKind, payload: &[u8]) -> Disposition {
    dispatcher.take(&bytes(kind, payload), NOW)
}

fn action(dispatcher: &mut Dispatcher, kind: FrameKind, payload: &[u8]) -> Action {
    let taken = take(dispatcher, kind, payload);
    assert_eq!(taken.refused, None, "{kind:?}");
    taken.action
}

/// The reason for which a frame is refused; it is answered at once, does nothing, and is counted.
fn refused(dispatcher: &mut Dispatcher, bytes: &[u8]) -> String {
    let before = dispatcher.counts().refused;
    let taken = dispatcher.take(bytes, NOW);
    assert_eq!(taken.action, Action::None);
    assert_eq!(dispatcher.counts().refused, before + 1);
    match taken.answer() {
        Some(Answer::Refused { reason }) => {
            assert!(!reason.is_empty());
            reason
        }
        other => panic!("{other:?}"),
    }
}

fn kept(dispatcher: &Dispatcher) -> Vec<(FrameKind, bool)> {
    let evidence = dispatcher.bucket().iter();
    evidence
        .map(|evidence| (evidence.kind, evidence.intact))
        .collect()
}

/// A payload of the length that the kind demands.
fn plausible(kind: FrameKind) -> Vec<u8> {
    vec![1; kind.payload_len().unwrap_or(3)]
}

fn those(is: impl Fn(FrameKind) -> bool) -> Vec<FrameKind> {
    FrameKind::ALL.iter().copied().filter(|kind| is(*kind)).collect()
}

/// D1: the scheduler's exit ends the run and is evidence; a damaged one is neither.
#[test]
fn a_damaged_scheduler_exit_neither_ends_the_run_nor_is_kept() {
    let mut door = dispatcher();
    let reason = refused(&mut door, &damaged(FrameKind::SchedulerExit, b"1"));
    assert!(reason.contains("CRC"), "{reason}");
    assert_eq!(kept(&door), []);
    assert_eq!(action(&mut door, FrameKind::SchedulerExit, b"1"), Action::EndRun);
    assert_eq!(kept(&door), [(FrameKind::SchedulerExit, true)]);
}

/// D2: it comes once, and is never evidence.
#[test]
fn system_ready_comes_once() {
    let mut door = dispatcher();
    assert_eq!(
        action(&mut door, FrameKind::SystemReady, b""),
        Action::SystemReady
    );
    assert_eq!(action(&mut door, FrameKind::SystemReady, b""), Action::None);
    assert_eq!(kept(&door), []);
    assert_eq!(door.counts().of(FrameKind::SystemReady), 2);
}

/// D2: one that is damaged, or says more than it has to, is not the one.
#[test]
fn a_damaged_system_ready_does_not_consume_the_handle() {
    let mut door = dispatcher();
    refused(&mut door, &damaged(FrameKind::SystemReady, b""));
    refused(&mut door, &bytes(FrameKind::SystemReady, b"x"));
    assert_eq!(door.stage(), Stage::Boot);
    assert_eq!(
        action(&mut door, FrameKind::SystemReady, b""),
        Action::SystemReady
    );
    assert_eq!(door.stage(), Stage::Attach);
}

fn addresses(physical: Option<u64>, text: Option<u64>) -> Vec<u8> {
    let page_offset_base = 0xffff_ffff_8262_6b78;
    KernelAddresses {
        physical,
        page_offset_base,
        text,
    }
    .encode()
}

/// D3: 24 whole bytes are believed, and nothing of it is evidence. Physical zero is an address.
#[test]
fn kernel_addresses_are_learned_and_not_kept() {
    let mut door = dispatcher();
    let told = addresses(Some(0), None);
    refused(&mut door, &damaged(FrameKind::KernelAddresses, &told));
    refused(&mut door, &bytes(FrameKind::KernelAddresses, &told[..23]));
    refused(
        &mut door,
        &bytes(FrameKind::KernelAddresses, &[&told[..], &[0]].concat()),
    );
    assert_eq!(door.addresses().physical.get(), None);
    let learned = Learned {
        physical: Some(0),
        slide: None,
    };
    assert_eq!(
        action(&mut door, FrameKind::KernelAddresses, &told),
        Action::KernelAddresses(learned)
    );
    assert_eq!(door.addresses().physical.get(), Some(0));
    assert_eq!(
        door.addresses().page_offset_base.get(),
        Some(0xffff_ffff_8262_6b78)
    );
    assert_eq!(kept(&door), []);
}

/// D4, D5: a slide is news once; one that is not believed is refused, and the physical address beside it is not.
#[test]
fn a_slide_that_is_not_believed_is_refused_aloud() {
    let mut door = dispatcher();
    let taken = take(
        &mut door,
        FrameKind::KernelAddresses,
        &addresses(Some(1), Some(LINK - 1)),
    );
    assert!(matches!(
        taken.refused,
        Some(Refusal::Slide(SlideError::MovedDown { .. }))
    ));
    let physical = Learned {
        physical: Some(1),
        slide: None,
    };
    assert_eq!(taken.action, Action::KernelAddresses(physical));
    assert_eq!(door.addresses().slide.get(), None);

    let told = addresses(None, Some(LINK + 0x20_0000));
    let slide = Learned {
        physical: None,
        slide: Some(0x20_0000),
    };
    assert_eq!(
        action(&mut door, FrameKind::KernelAddresses, &told),
        Action::KernelAddresses(slide)
    );
    assert_eq!(action(&mut door, FrameKind::KernelAddresses, &told), Action::None);

    let reason = refused(
        &mut door,
        &bytes(FrameKind::KernelAddresses, &addresses(None, Some(LINK))),
    );
    assert!(
        reason.contains("0x200000") && reason.contains("stays"),
        "{reason}"
    );
    assert_eq!(door.addresses().slide.get(), Some(0x20_0000));
}

/// D6: a whole request is to be carried out, and answered by who does; it is never evidence.
#[test]
fn a_snapshot_request_is_handed_on_or_refused_at_once() {
    let mut door = dispatcher();
    let asked = SnapshotRequest {
        request_id: 7,
        kind: SnapshotKind::Watch,
        tag: "jiffies".into(),
    };
    let payload = asked.encode().unwrap();
    let taken = take(&mut door, FrameKind::SnapshotRequest, &payload);
    assert_eq!(taken.answer(), None);
    assert_eq!(taken, Action::Snapshot(asked).into());

    refused(&mut door, &damaged(FrameKind::SnapshotRequest, &payload));
    refused(&mut door, &bytes(FrameKind::SnapshotRequest, &payload[1..]));
    let mut no_id = payload;
    no_id[..4].fill(0);
    let reason = refused(&mut door, &bytes(FrameKind::SnapshotRequest, &no_id));
    assert!(reason.contains("count from 1"), "{reason}");
    assert_eq!(kept(&door), []);
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

/// D7: a whole batch is to be carried out, its tag cut between characters; it is never evidence.
#[test]
fn a_kernel_op_is_handed_on_with_a_short_tag() {
    let mut door = dispatcher();
    let check = |door: &mut Dispatcher, tag: String, expect: String| {
        let sent = kernel_op(tag).encode().unwrap();
        let taken = door.take(&sent, NOW);
        assert_eq!(taken.answer(), None);
        assert_eq!(taken, Action::KernelOp(kernel_op(expect)).into());
    };
    check(&mut door, "t".repeat(256), "t".repeat(256));
    check(&mut door, "t".repeat(257), "t".repeat(256));
    check(&mut door, format!("{}é", "t".repeat(255)), "t".repeat(255));
    check(&mut door, "🦀".repeat(70), "🦀".repeat(64));
    assert_eq!(kept(&door), []);
}

/// D7: what does not decode is refused at once; nobody waits 30 s for it.
#[test]
fn a_kernel_op_that_does_not_decode_is_refused_at_once() {
    let mut door = dispatcher();
    let sent = kernel_op("t".into()).encode().unwrap();
    let payload = &sent[frame::HEADER_LEN..];
    refused(&mut door, &damaged(FrameKind::KernelOpRequest, payload));
    refused(&mut door, &bytes(FrameKind::KernelOpRequest, &payload[1..]));
    refused(
        &mut door,
        &bytes(FrameKind::KernelOpRequest, &[payload, &[0]].concat()),
    );
    // A count of entries that no payload has room for.
    let greedy = [&payload[..payload.len() - 1], &[0xff, 0xff, 0xff, 0xff, 0x7f]].concat();
    refused(&mut door, &bytes(FrameKind::KernelOpRequest, &greedy));
    assert_eq!(kept(&door), []);
}

/// D8, D9: a scenario's phases move its deadline, and are evidence each time.
#[test]
fn phases_move_the_deadline_and_are_kept() {
    let mut door = dispatcher();
    let mut step = |kind: FrameKind, payload: &[u8], now: u64, deadline: u64| {
        let taken = door.take(&bytes(kind, payload), Nanos(now));
        assert_eq!(taken.refused, None);
        assert_eq!(
            door.phases().deadline(),
            Some(Nanos(deadline)),
            "{kind:?} at {now}"
        );
        taken.action
    };
    let anchor = Nanos(10);
    let started = Action::ScenarioStarted { anchor };
    assert_eq!(step(FrameKind::ScenarioStart, b"", 10, 110), started);
    assert_eq!(
        step(FrameKind::ScenarioPause, b"", 20, 110),
        Action::ScenarioPaused
    );
    assert_eq!(
        step(FrameKind::ScenarioResume, b"", 50, 140),
        Action::ScenarioResumed
    );
    assert_eq!(step(FrameKind::ScenarioStart, b"", 60, 160), started);
    let end = ScenarioEnd {
        elapsed_ms: 1,
        total_iterations: 2,
    };
    assert_eq!(
        step(FrameKind::ScenarioEnd, &end.encode(), 70, 170),
        Action::ScenarioEnded
    );
    assert_eq!(door.phases().paused_for(), Nanos(30));
    assert_eq!(door.stage(), Stage::Body);
    let times: Vec<u64> = door.bucket().iter().map(|evidence| evidence.at.0).collect();
    assert_eq!(times, [10, 20, 50, 60, 70]);
}

/// D8, D9, D10: damaged frames, and ones of another length, change nothing; they are kept all the same (F5).
#[test]
fn bad_phases_change_nothing_but_are_kept() {
    let phases = [
        FrameKind::ScenarioStart,
        FrameKind::ScenarioPause,
        FrameKind::ScenarioResume,
        FrameKind::ScenarioEnd,
        FrameKind::Stimulus,
    ];
    let mut door = dispatcher();
    let before = *door.phases();
    for kind in phases {
        refused(&mut door, &damaged(kind, &plausible(kind)));
        refused(&mut door, &bytes(kind, &[&plausible(kind)[..], &[0]].concat()));
    }
    assert_eq!((*door.phases(), door.stage()), (before, Stage::Boot));
    let expect: Vec<_> = phases
        .into_iter()
        .flat_map(|kind| [(kind, false), (kind, true)])
        .collect();
    assert_eq!(kept(&door), expect);
    assert_eq!(door.counts().damaged, 5);
}

fn stimulus(step_index: u16) -> Vec<u8> {
    Stimulus {
        elapsed_ms: 1,
        step_index,
        op_count: 2,
        op_kinds: 3,
        cgroup_count: 4,
        worker_count: 5,
        total_iterations: 6,
    }
    .encode()
}

/// D10, F4: a stimulus of 24 bytes sets the step; any other length leaves it, and is kept all the same.
#[test]
fn only_a_stimulus_of_24_bytes_sets_the_step() {
    let mut door = dispatcher();
    assert_eq!(door.phases().step(), 0);
    assert_eq!(
        action(&mut door, FrameKind::Stimulus, &stimulus(3)),
        Action::Step(3)
    );
    for len in [0, 23, 25] {
        let mut payload = stimulus(9);
        payload.resize(len, 0);
        let reason = refused(&mut door, &bytes(FrameKind::Stimulus, &payload));
        assert!(reason.contains("24 bytes"), "{reason}");
    }
    refused(&mut door, &damaged(FrameKind::Stimulus, &stimulus(9)));
    assert_eq!(door.phases().step(), 3);
    assert_eq!(kept(&door).len(), 5);
}

/// D11: all other evidence is kept verbatim, damaged or not; who judges it decides.
#[test]
fn evidence_is_kept_verbatim_even_if_damaged() {
    for kind in those(FrameKind::is_evidence) {
        let mut door = dispatcher();
        let payload = plausible(kind);
        take(&mut door, kind, &payload);
        refused(&mut door, &damaged(kind, &payload));
        let kept = door.drain();
        let damaged_too = kind != FrameKind::SchedulerExit;
        assert_eq!(kept.len(), 1 + usize::from(damaged_too), "{kind:?}");
        for (evidence, intact) in kept.iter().zip([true, false]) {
            let expect = Evidence {
                kind,
                at: NOW,
                payload: payload.clone(),
                intact,
            };
            assert_eq!(*evidence, expect);
        }
    }
}

/// D11: what the host and the agent send is not taken from a program, and is no evidence.
#[test]
fn a_program_cannot_speak_for_the_host_or_the_agent() {
    let mut door = dispatcher();
    for kind in those(|kind| kind.sender() != Sender::Program) {
        let who = if kind.from_guest() {
            "agent only"
        } else {
            "host only"
        };
        let reason = refused(&mut door, &bytes(kind, &plausible(kind)));
        assert!(reason.contains(who), "{reason}");
        refused(&mut door, &damaged(kind, &plausible(kind)));
    }
    let reply = SnapshotReply {
        request_id: 1,
        outcome: Ok(()),
    };
    refused(&mut door, &reply.frame().unwrap());
    let request = Request::Reply(Ok(spec::OpOutcome::Done));
    refused(&mut door, &request.encode().unwrap());
    assert_eq!(kept(&door), []);
}

/// D11: unknown kinds are counted and refused, whole or not.
#[test]
fn unknown_kinds_are_counted_and_refused() {
    let mut door = dispatcher();
    for mut frame in [bytes(FrameKind::Exit, b"0"), damaged(FrameKind::Exit, b"0")] {
        frame[..4].copy_from_slice(b"NEWS");
        let crc = crc32fast::hash(&frame[..12]);
        frame[12..16].copy_from_slice(&crc.to_le_bytes());
        let reason = refused(&mut door, &frame);
        assert!(reason.contains("unknown"), "{reason}");
    }
    let counts = door.counts();
    assert_eq!((counts.unknown, counts.damaged, counts.refused), (2, 0, 2));
    assert!(counts.by_kind.is_empty());
    assert_eq!(kept(&door), []);
}

/// D11: with the header's CRC a damaged kind or length is noticed, and nothing is believed of it.
#[test]
fn a_damaged_header_is_refused() {
    let mut door = dispatcher();
    let whole = bytes(FrameKind::Stdout, b"words");
    for at in 0..frame::HEADER_LEN {
        let mut frame = whole.clone();
        frame[at] ^= 1;
        refused(&mut door, &frame);
    }
    for len in 0..whole.len() {
        refused(&mut door, &whole[..len]);
    }
    assert_eq!(kept(&door), []);
    assert_eq!(door.counts().damaged, (frame::HEADER_LEN + whole.len()) as u64);
}

/// D12: each of these is told once a frame, needs a whole and empty one, and is no evidence.
#[test]
fn internal_frames_are_told_and_not_kept() {
    let told = [
        (FrameKind::MapWriteReady, Action::MapWriteReady),
        (FrameKind::ReadinessWait, Action::ReadinessWait),
        (FrameKind::SchedulerSwapped, Action::SchedulerSwapped),
        (FrameKind::AttachAttempt, Action::AttachAttempt),
    ];
    for (kind, expect) in told {
        let mut door = dispatcher();
        refused(&mut door, &damaged(kind, b""));
        refused(&mut door, &bytes(kind, b"x"));
        assert_eq!(door.stage(), Stage::Boot);
        assert_eq!(action(&mut door, kind, b""), expect);
        assert_eq!(kept(&door), []);
    }
}

/// D12: progress is 8 bytes of milliseconds.
#[test]
fn progress_is_told() {
    let mut door = dispatcher();
    let progress = Progress { ms: 300 };
    refused(&mut door, &damaged(FrameKind::Progress, &progress.encode()));
    refused(&mut door, &bytes(FrameKind::Progress, &[0; 7]));
    assert_eq!(
        action(&mut door, FrameKind::Progress, &progress.encode()),
        Action::Progress(progress)
    );
    assert_eq!(kept(&door), []);
}

/// D12: another kernel than the host's files are of fails the run, with both ids.
#[test]
fn another_kernel_fails_the_run() {
    let mut door = dispatcher();
    assert_eq!(
        action(&mut door, FrameKind::KernelBuildId, &[0xaa, 0x01]),
        Action::None
    );
    refused(&mut door, &damaged(FrameKind::KernelBuildId, &[0xbb, 0x02]));
    refused(&mut door, &bytes(FrameKind::KernelBuildId, b""));
    refused(&mut door, &bytes(FrameKind::KernelBuildId, &[1; 33]));
    match action(&mut door, FrameKind::KernelBuildId, &[0xbb, 0x02]) {
        Action::FailRun(wrong) => {
            assert!(
                wrong.to_string().contains("bb02") && wrong.to_string().contains("aa01"),
                "{wrong}"
            );
        }
        other => panic!("{other:?}"),
    }
}

/// D12: a lifecycle goes forward only, by whole frames only; it is evidence.
#[test]
fn the_lifecycle_goes_forward_only() {
    let mut door = dispatcher();
    refused(&mut door, &damaged(FrameKind::Lifecycle, &[4]));
    refused(&mut door, &bytes(FrameKind::Lifecycle, &[6]));
    assert_eq!(door.stage(), Stage::Boot);
    assert_eq!(
        action(&mut door, FrameKind::Lifecycle, &[3]),
        Action::Stage(Stage::Dispatch)
    );
    assert_eq!(action(&mut door, FrameKind::Lifecycle, &[2]), Action::None);
    action(&mut door, FrameKind::SystemReady, b"");
    assert_eq!(door.stage(), Stage::Dispatch);
    action(&mut door, FrameKind::ScenarioStart, b"");
    assert_eq!(door.stage(), Stage::Body);
    assert_eq!(
        action(&mut door, FrameKind::TeardownBarrier, b""),
        Action::Acknowledge
    );
    assert_eq!(door.stage(), Stage::Teardown);
    assert_eq!(kept(&door).len(), 5);
}

/// F6: no internal frame gets into what is kept, damaged or not, whatever it says.
#[test]
fn nothing_internal_is_ever_kept() {
    let mut door = dispatcher();
    for kind in those(FrameKind::is_internal) {
        for payload in [plausible(kind), Vec::new(), vec![0xff; 100]] {
            door.take(&bytes(kind, &payload), NOW);
            door.take(&damaged(kind, &payload), NOW);
        }
    }
    assert_eq!(kept(&door), []);
}

/// D11: a full bucket refuses and counts, and what a frame says of the run is known all the same.
#[test]
fn a_full_bucket_does_not_hide_what_happens() {
    let mut door = Dispatcher::with_bucket(Setup::default(), Bucket::new(1, 100));
    action(&mut door, FrameKind::Stdout, b"words");
    let taken = take(&mut door, FrameKind::SchedulerExit, b"1");
    assert_eq!(taken.action, Action::EndRun);
    assert!(matches!(taken.refused, Some(Refusal::NoRoom(_))));
    assert!(matches!(taken.answer(), Some(Answer::Refused { reason }) if reason.contains("no room")));
    assert_eq!((door.bucket().refused(), door.counts().refused), (1, 1));
}

/// D11: what is neither a request nor refused is acknowledged, so that its sender runs on.
#[test]
fn what_is_noted_is_acknowledged() {
    let mut door = dispatcher();
    for kind in [
        FrameKind::Stdout,
        FrameKind::ScenarioStart,
        FrameKind::SystemReady,
    ] {
        let payload = vec![1; kind.payload_len().unwrap_or(1)];
        assert_eq!(take(&mut door, kind, &payload).answer(), Some(Answer::Ack));
    }
}

/// F2: what the guest tells of its scenario is what periodic snapshots go by.
#[test]
fn periodic_snapshots_go_by_what_the_guest_tells() {
    let mut door = dispatcher();
    let mut periodic = Periodic::new(1, Nanos::from_secs(10)).unwrap();
    for (kind, now) in [
        (FrameKind::ScenarioStart, 100),
        (FrameKind::ScenarioPause, 102),
        (FrameKind::ScenarioResume, 103),
        (FrameKind::ScenarioStart, 104),
    ] {
        let now = Nanos::from_secs(now);
        let taken = door.take(&bytes(kind, b""), now);
        taken.action.tell(&mut periodic, GuestTime(now));
    }
    assert_eq!(
        periodic.elapsed(GuestTime(Nanos::from_secs(106))),
        Nanos::from_secs(5)
    );
}

proptest! {
    /// D1 to D12: no bytes panic, every frame is answered or handed on, and every refusal is counted.
    #[test]
    fn every_frame_is_answered(frames in prop::collection::vec(
        (prop::sample::select(FrameKind::ALL), prop::collection::vec(any::<u8>(), 0..80), any::<bool>(), any::<bool>(), any::<u64>()),
        0..40,
    )) {
        let mut door = Dispatcher::with_bucket(Setup { watchdog: Some(Nanos(5)), ..Setup::default() }, Bucket::new(8, 200));
        let mut refused = 0;
        for (kind, mut payload, fits, whole, now) in frames {
            if fits && let Some(len) = kind.payload_len() {
                payload.resize(len, 1);
            }
            let frame = if whole { bytes(kind, &payload) } else { damaged(kind, &payload) };
            let taken = door.take(&frame, Nanos(now));
            refused += u64::from(taken.refused.is_some());
            match taken.answer() {
                None => prop_assert!(matches!(taken.action, Action::Snapshot(_) | Action::KernelOp(_) | Action::Acknowledge)),
                Some(Answer::Refused { reason }) => prop_assert!(!reason.is_empty() && reason.len() <= 256),
                Some(answer) => prop_assert_eq!(answer, Answer::Ack),
            }
            prop_assert!(whole || taken.refused.is_some());
            prop_assert_eq!(door.counts().refused, refused);
            prop_assert!(door.bucket().iter().count() <= 8);
            prop_assert!(door.bucket().iter().all(|evidence| evidence.kind.is_evidence()));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), now: u64) {
        let taken = dispatcher().take(&bytes, Nanos(now));
        prop_assert!(taken.refused.is_some());
    }
}
