use std::sync::Arc;

use guestmem::{GuestPhys, GuestVirt};
use machine::ExitReason;
use record::End;
use spec::op::{BodyFailed, Content, HostProgram, PutFile, PutProgram, SchedulerState};
use spec::{ExitStatus, IdleTimes, OpOutcome, WorkerReport};
use testkit::{FakeMachine, Step};
use wire::{Answer, Command, Notice, PROTOCOL_VERSION, Request};

use super::*;

fn at(seconds: u64) -> GuestTime {
    GuestTime(Nanos::from_secs(seconds))
}

fn says(request: &Request) -> Step {
    Step::Call(request.encode().unwrap())
}

fn hello() -> Step {
    let hello = Hello {
        protocol: PROTOCOL_VERSION,
        release: "7.2".into(),
        cpus: 2,
        at: at(1),
    };
    says(&Request::Hello(hello))
}

fn replies(outcome: OpOutcome) -> Step {
    replies_at(0, outcome)
}

/// The same from an agent that knows what time it is, in seconds.
fn replies_at(seconds: u64, outcome: OpOutcome) -> Step {
    let (at, reply) = (at(seconds), Ok(outcome));
    says(&Request::Reply { at, reply })
}

fn op(text: &str) -> Op {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

/// The commands that were answered, in order.
fn commands(answers: &std::sync::Mutex<Vec<Vec<u8>>>) -> Vec<Command> {
    let command = |bytes: &Vec<u8>| match Answer::decode(bytes).unwrap() {
        Answer::Command(command) => Some(command),
        _ => None,
    };
    answers.lock().unwrap().iter().filter_map(command).collect()
}

fn ran(to: u64, workers: Vec<WorkerReport>) -> Step {
    let sched_ext = Some(SchedulerState {
        state: "disabled".into(),
        ops: None,
        enable_seq: Some(0),
    });
    let idle = Some(IdleTimes {
        from: at(1),
        to: at(to),
        cpus: Vec::new(),
    });
    replies(OpOutcome::Ran {
        from: at(1),
        to: at(to),
        workers,
        sched_ext,
        cgroup_mode: None,
        idle,
    })
}

fn start(script: Vec<Step>) -> (Session, Arc<std::sync::Mutex<Vec<Vec<u8>>>>) {
    let machine = FakeMachine::new(script, "boot\r\n");
    let answers = machine.answers();
    let started = Session::start(Box::new(machine), None, Limits::default());
    let (session, _) = started.unwrap_or_else(|failed| panic!("{}", failed.error));
    (session, answers)
}

#[test]
fn a_run_is_commands_and_windows_and_ends_where_it_stands() {
    let console = Step::Console(
        "booting
"
        .into(),
    );
    let (mut session, answers) = start(vec![
        console,
        hello(),
        replies(OpOutcome::Done),
        ran(3, Vec::new()),
    ]);
    session.seed(7).unwrap();
    assert!(matches!(session.apply(&op("run 2s")), Ok(OpOutcome::Ran { to, .. }) if to == at(3)));
    assert_eq!(session.now(), at(3));
    let evidence = session.finish();
    assert_eq!(evidence.end, End::Finished);
    assert_eq!(evidence.console, "boot\n");
    assert_eq!(evidence.windows.len(), 1);
    let expected = [
        Command::Seed { seed: 7 },
        Command::Do {
            op: op("run 2s"),
            within: Nanos::from_secs(2),
        },
    ];
    assert_eq!(commands(&answers), expected);
}

/// As on the command line: one name is one group, and twice with other settings is a mistake.
#[test]
fn a_cgroup_that_is_there_is_not_made_again() {
    let (mut session, answers) = start(vec![hello(), replies(OpOutcome::Done)]);
    session.apply(&op("cgroup a weight=200")).unwrap();
    session.apply(&op("cgroup a weight=200")).unwrap();
    let error = session.apply(&op("cgroup a weight=300")).unwrap_err().to_string();
    assert!(
        error.contains("cgroup a is there already, with all CPUs and weight 200"),
        "{error}"
    );
    assert_eq!(session.finish().groups.len(), 1);
    assert_eq!(commands(&answers).len(), 1, "one cgroup");
}

#[test]
fn notices_become_evidence_in_order() {
    let log = |bytes: &[u8]| {
        says(&Request::Notice(Notice::SchedulerLog {
            at: at(2),
            stream: wire::Stream::Stderr,
            bytes: bytes.to_vec(),
        }))
    };
    let exited = Notice::SchedulerExited {
        at: at(3),
        status: ExitStatus::Code(1),
        asked: false,
    };
    let attached = OpOutcome::Attached {
        pid: 9,
        ops: "baton".into(),
        enable_seq: Some(1),
        at: at(1),
    };
    let script = vec![
        hello(),
        log(b"up\n"),
        replies(attached),
        log(b"oops \xff"),
        says(&Request::Notice(exited)),
        ran(4, Vec::new()),
    ];
    let (mut session, _) = start(script);
    session.apply(&op("start-scheduler /s")).unwrap();
    assert!(session.scheduler_runs());
    session.apply(&op("run 5s")).unwrap();
    assert!(session.evidence().windows[0].under_scheduler);
    assert!(!session.scheduler_runs());
    let evidence = session.finish();
    assert_eq!(evidence.scheduler_log, "up\noops \u{fffd}");
    let last = evidence.events.last().unwrap();
    assert_eq!(last.at, at(3));
    assert!(matches!(
        last.what,
        EventKind::SchedulerExited { asked: false, .. }
    ));
}

#[test]
fn a_request_that_cannot_be_understood_is_refused_with_the_reason_and_counted() {
    let reply = Ok(OpOutcome::Done);
    let mut damaged = Request::Reply { at: at(1), reply }.encode().unwrap();
    damaged[4] ^= 1;
    let endless = Step::CallWithLengths {
        len: u64::MAX,
        capacity: u64::MAX,
    };
    let script = vec![hello(), Step::Call(damaged), endless, replies(OpOutcome::Done)];
    let (mut session, answers) = start(script);
    session.seed(1).unwrap();
    let evidence = session.finish();
    let refused: Vec<_> = evidence
        .events
        .iter()
        .filter(|event| matches!(event.what, EventKind::Refused { .. }))
        .collect();
    assert_eq!(refused.len(), 2, "{refused:?}");
    let second = Answer::decode(&answers.lock().unwrap()[1]).unwrap();
    assert!(matches!(second, Answer::Refused { reason } if reason.contains("header is damaged")));
}

#[test]
fn a_guest_that_dies_ends_the_run_and_every_later_op_says_so() {
    let died = ExitReason::Died {
        status: "signal 9".into(),
        stderr: String::new(),
    };
    let (mut session, _) = start(vec![hello(), Step::Exit(died)]);
    assert!(matches!(session.seed(1), Err(SessionError::Over { .. })));
    let again = session.apply(&op("run 1s")).unwrap_err().to_string();
    assert!(again.contains("signal 9"), "{again}");
    assert!(matches!(session.finish().end, End::MachineDied { .. }));
}

#[test]
fn a_panic_at_boot_is_told_from_a_guest_that_shuts_down() {
    let boot = |reason| {
        let machine = FakeMachine::new([Step::Exit(reason)], "panic\n");
        let failed = Session::start(Box::new(machine), None, Limits::default())
            .err()
            .unwrap();
        assert_eq!(failed.evidence.console, "panic\n");
        failed.evidence.end
    };
    assert_eq!(
        boot(ExitReason::GuestPanic {
            message: "no init".into()
        }),
        End::GuestPanic {
            message: "no init".into()
        }
    );
    assert!(matches!(boot(ExitReason::PoweredOff), End::GuestExited { .. }));
}

#[test]
fn a_guest_that_makes_no_call_is_found_silent_by_its_own_clock() {
    let clock = GuestClock::at(GuestVirt(0), GuestVirt(0x20_0000), 250);
    let jiffies = |seconds: u64| Step::Hook {
        at: GuestPhys(0x20_0000),
        word: (1 << 32) - 300 * 250 + seconds * 250,
    };
    let script = [
        jiffies(0),
        hello(),
        jiffies(20),
        jiffies(40),
        replies(OpOutcome::Done),
    ];
    let machine = FakeMachine::new(script, "");
    let started = Session::start(Box::new(machine), Some(clock), Limits::default());
    let (mut session, _) = started.unwrap_or_else(|failed| panic!("{}", failed.error));
    let error = session.seed(1).unwrap_err().to_string();
    assert!(
        error.contains("no call for 30s of guest time while the agent is seeded"),
        "{error}"
    );
    assert!(matches!(session.finish().end, End::GuestSilent { .. }));
}

#[test]
fn a_limit_begins_with_the_agents_last_answer_however_long_that_took() {
    let clock = GuestClock::at(GuestVirt(0), GuestVirt(0x20_0000), 250);
    let jiffies = |seconds: u64| Step::Hook {
        at: GuestPhys(0x20_0000),
        word: (1 << 32) - 300 * 250 + seconds * 250,
    };
    let exited = || OpOutcome::Exited {
        status: ExitStatus::Code(0),
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    let log = Notice::SchedulerLog {
        at: at(85),
        stream: wire::Stream::Stdout,
        bytes: b"still here".to_vec(),
    };
    let script = [
        jiffies(0),
        hello(),
        jiffies(28),
        replies_at(29, exited()),
        // Another 28 seconds, and 28 more after what the scheduler wrote.
        jiffies(57),
        replies_at(57, exited()),
        jiffies(85),
        says(&Request::Notice(log)),
        jiffies(113),
        replies_at(113, OpOutcome::Done),
    ];
    let machine = FakeMachine::new(script, "");
    let started = Session::start(Box::new(machine), Some(clock), Limits::default());
    let (mut session, _) = started.unwrap_or_else(|failed| panic!("{}", failed.error));
    session.apply(&op("exec 1s /bin/long")).unwrap();
    assert_eq!(session.now(), at(29));
    session.apply(&op("exec 1s /bin/long")).unwrap();
    session.seed(1).unwrap();
    assert_eq!(session.now(), at(113));
}

#[test]
fn the_host_time_limit_is_the_last_resort() {
    let (mut session, _) = start(vec![hello(), Step::Deadline]);
    assert!(session.seed(1).is_err());
    assert!(matches!(session.finish().end, End::HostDeadline { .. }));
}

#[test]
fn an_agent_of_another_protocol_is_refused() {
    let hello = Hello {
        protocol: 99,
        release: "7.2".into(),
        cpus: 2,
        at: at(1),
    };
    let machine = FakeMachine::new([says(&Request::Hello(hello))], "");
    let failed = Session::start(Box::new(machine), None, Limits::default())
        .err()
        .unwrap();
    assert!(
        failed.error.to_string().contains("protocol 99"),
        "{}",
        failed.error
    );
}

#[test]
fn a_file_is_put_in_pieces_that_fit_and_read_back_whole() {
    let piece = wire::call::MAX_CHUNK;
    let chunk = |byte: u8| says(&Request::Notice(Notice::FileChunk { bytes: vec![byte; 3] }));
    let script = vec![
        hello(),
        replies(OpOutcome::Done),
        replies(OpOutcome::Done),
        chunk(1),
        chunk(2),
        replies(OpOutcome::FileRead {
            len: 7,
            bytes: vec![3],
        }),
    ];
    let (mut session, answers) = start(script);
    session.apply(&put("/x", &vec![7; piece + 1])).unwrap();
    let read = session.apply(&op("read /y")).unwrap();
    let bytes = vec![1, 1, 1, 2, 2, 2, 3];
    assert_eq!(read, OpOutcome::FileRead { len: 7, bytes });
    let expected = Command::WriteChunk {
        path: "/x".into(),
        mode: 0o600,
        offset: piece as u64,
        bytes: vec![7],
    };
    assert_eq!(commands(&answers)[1], expected);
}

#[test]
fn a_file_that_lacks_a_piece_is_an_error_not_a_shorter_file() {
    let chunk = says(&Request::Notice(Notice::FileChunk { bytes: vec![1; 3] }));
    let (len, bytes) = (6, vec![2; 2]);
    let (mut session, _) = start(vec![hello(), chunk, replies(OpOutcome::FileRead { len, bytes })]);
    let error = session.apply(&op("read /y")).unwrap_err();
    assert!(error.to_string().contains("5 of 6 bytes"), "{error}");
}

fn put(path: &str, bytes: &[u8]) -> Op {
    let (path, mode) = (path.to_owned(), 0o600);
    let content = Content::of(bytes);
    PutFile { path, mode, content }.into()
}

/// One op of each kind that a session treats in its own way, and the guest's replies to all of them.
fn everything() -> (Vec<Op>, Vec<Step>) {
    let reason = "tired".to_owned();
    let ops = vec![
        put("/data", b"\xff"),
        put("/empty", b""),
        op("cgroup a weight=200"),
        op("spawn a spin 2 nice=5"),
        op("exec 1s /bin/true"),
        op("run 2s"),
        op("note key value"),
        BodyFailed {
            reason,
            refused: false,
        }
        .into(),
    ];
    let id = spec::WorkerId {
        group: "a".parse().unwrap(),
        index: 0,
    };
    let exited = OpOutcome::Exited {
        status: ExitStatus::Code(0),
        stdout: Vec::new(),
        stderr: Vec::new(),
    };
    let replies = vec![
        hello(),
        replies(OpOutcome::Done),
        replies(OpOutcome::Done),
        replies(OpOutcome::Done),
        replies(OpOutcome::Done),
        replies(OpOutcome::Spawned {
            workers: vec![(id, 100)],
        }),
        replies(exited),
        ran(3, Vec::new()),
    ];
    (ops, replies)
}

#[test]
fn each_op_leaves_its_evidence() {
    let (ops, replies) = everything();
    let (mut session, _) = start(replies);
    session.seed(7).unwrap();
    for op in &ops {
        session.apply(op).unwrap();
    }
    let evidence = session.finish();
    assert_eq!(evidence.groups[0].weight.get(), 200);
    assert_eq!(evidence.windows.len(), 1);
    let events: Vec<String> = evidence
        .events
        .iter()
        .map(|event| event.what.to_string())
        .collect();
    assert_eq!(
        events,
        [
            "booted 7.2 on 2 CPUs",
            "spawned a/0 (pid 100), nice 5: spin",
            "executed /bin/true: exit code 0",
            "note key = value",
            "the test's body failed: tired",
        ]
    );
}

#[test]
fn a_script_that_was_noted_asks_the_guest_the_same_again() {
    let (ops, replies) = everything();
    let (mut session, asked) = start(replies);
    session.seed(7).unwrap();
    session.begin_script();
    for op in &ops {
        session.apply(op).unwrap();
    }
    let script = session.take_script();
    assert_eq!(script, ops, "the seed came before");
    let evidence = session.finish();

    let (mut session, again) = start(everything().1);
    session.seed(7).unwrap();
    crate::ScriptPlayer::prepare(&script, true)
        .unwrap()
        .play(&mut session);
    assert_eq!(session.finish(), evidence);
    assert_eq!(*again.lock().unwrap(), *asked.lock().unwrap());
}

#[test]
fn a_script_keeps_no_contents_that_are_too_long_for_a_record() {
    let long = vec![0; 2 << 20];
    let pieces = long.len().div_ceil(wire::call::MAX_CHUNK);
    let mut script = vec![hello()];
    script.extend((0..pieces).map(|_| replies(OpOutcome::Done)));
    let (mut session, _) = start(script);
    session.begin_script();
    session.apply(&put("/long", &long)).unwrap();
    let bytes = long.len() as u64;
    assert!(matches!(
        &session.take_script()[..],
        [Op::PutFile(PutFile { content, .. })] if *content == Content::Omitted { bytes }
    ));
}

#[test]
fn a_program_is_noted_by_the_sums_of_what_was_put() {
    let program = Program::read(Path::new("/bin/ls")).unwrap();
    let sums = program.sums();
    let pieces = |file: &crate::GuestFile| file.bytes.len().div_ceil(wire::call::MAX_CHUNK).max(1);
    let pieces: usize = program.files.iter().map(pieces).sum();
    let check = |wanted: HostProgram, supply: bool| {
        let mut script = vec![hello()];
        script.extend((0..pieces).map(|_| replies(OpOutcome::Done)));
        let (mut session, _) = start(script);
        session.begin_script();
        if supply {
            session.supply(Arc::new(program.clone()));
        }
        session.apply(&PutProgram { program: wanted }.into()).unwrap();
        let program = sums.clone();
        assert_eq!(session.take_script(), [PutProgram { program }.into()]);
    };
    check(sums.clone(), true);
    check(sums.clone(), false);
    let (path, files) = ("/bin/ls".to_owned(), Vec::new());
    check(HostProgram { path, files }, false);
}

/// A28: while the kernel is not found, a kernel op is answered at once, to be asked again; nobody waits.
#[test]
fn a_kernel_op_before_the_kernel_is_found_is_to_be_asked_again() {
    use wire::kernel_op::{KernelOpRequest, Target};

    let (mut session, _) = start(vec![hello()]);
    let request = KernelOpRequest {
        request_id: 5,
        ..KernelOpRequest::read("early", vec![Target::symbol("jiffies_64").u64(0)])
    };
    let reply = session.program_op(&request);
    assert_eq!((reply.request_id, reply.success), (5, false));
    assert!(reply.reason.starts_with("retry: "), "{}", reply.reason);
    let (_, observed) = session.finish_observed();
    assert_eq!(observed.observations, []);
}
