//! The messages: one enum each way, as postcard inside a frame.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spec::{CgroupSpec, ExitStatus, GroupName, GuestTime, Nanos, Work, WorkerId, WorkerReport};

use crate::frame::{self, FrameError, FrameKind};

/// Raised whenever a message changes its meaning or its bytes. Both sides are built together; a mismatch means
/// that an old saved guest meets a new host.
pub const PROTOCOL_VERSION: u32 = 2;

/// What the guest sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The agent is up.
    Hello(Hello),
    /// Something happened while it carried out a command.
    Notice(Notice),
    /// The last command's outcome.
    Reply(Result<Reply, AgentError>),
}

/// The agent's first words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The protocol the agent speaks.
    pub protocol: u32,
    /// `uname -r`.
    pub release: String,
    /// CPUs online.
    pub cpus: u32,
    /// When the agent was ready.
    pub at: GuestTime,
}

/// News, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// The scheduler's process wrote this.
    SchedulerLog {
        /// When the agent read it.
        at: GuestTime,
        /// Where it wrote it.
        stream: Stream,
        /// The bytes; not necessarily whole lines or UTF-8.
        bytes: Vec<u8>,
    },
    /// The scheduler's process ended.
    SchedulerExited {
        /// When the agent saw it.
        at: GuestTime,
        /// How it ended.
        status: ExitStatus,
        /// The agent had asked it to.
        asked: bool,
    },
    /// The next piece of the file that `Command::ReadFile` asked for.
    FileChunk {
        /// The piece.
        bytes: Vec<u8>,
    },
}

/// Where a program wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What the host answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Noted, carry on.
    Ack,
    /// Do this.
    Command(Command),
    /// The request was not understood.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What the agent can do. Each is answered by one [`Reply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Sets the seed of the agent's random choices (worker start order and stagger, the generators of the workers with
    /// jitter) and of the kernel's random generator.
    Seed {
        /// The seed.
        seed: u64,
    },
    /// Writes a piece of a file; parents are made, offset 0 truncates.
    WriteFile {
        /// Absolute path.
        path: String,
        /// Permission bits.
        mode: u32,
        /// Where the piece begins.
        offset: u64,
        /// The piece, at most [`crate::call::MAX_CHUNK`] bytes.
        bytes: Vec<u8>,
    },
    /// Reads a file whole, as [`Notice::FileChunk`]s.
    ReadFile {
        /// Absolute path.
        path: String,
    },
    /// Makes a cgroup below the root.
    MakeCgroup(CgroupSpec),
    /// Forks workers that wait at a gate until the next `RunFor`.
    Spawn {
        /// The group they live in.
        group: GroupName,
        /// What they do.
        work: Work,
        /// How many.
        count: u32,
        /// Their nice value.
        nice: i8,
    },
    /// Starts a scheduler's program and waits until the kernel says that it is attached.
    StartScheduler {
        /// Path in the guest and arguments.
        argv: Vec<String>,
        /// How long it may take to attach.
        attach_within: Nanos,
    },
    /// Asks the scheduler's program to end (SIGINT), then ends it.
    StopScheduler {
        /// How long it may take.
        within: Nanos,
    },
    /// Opens the gate, lets the guest run, measures. Ends early if the scheduler's program ends.
    RunFor {
        /// How long.
        span: Nanos,
    },
    /// Runs a program to its end.
    Exec {
        /// Path in the guest and arguments.
        argv: Vec<String>,
        /// How long it may take.
        within: Nanos,
    },
    /// Switches the guest off; no reply.
    PowerOff,
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done; nothing to tell.
    Done,
    /// `ReadFile`: all chunks were sent.
    FileRead {
        /// Bytes in all.
        len: u64,
    },
    /// `Spawn`: who they are.
    Spawned {
        /// Names and process ids, in spawn order.
        workers: Vec<(WorkerId, u32)>,
    },
    /// `StartScheduler`: attached.
    SchedulerAttached {
        /// Its process id.
        pid: u32,
        /// What `/sys/kernel/sched_ext/root/ops` says.
        ops: String,
        /// When it was seen.
        at: GuestTime,
    },
    /// `StopScheduler`: how it ended.
    SchedulerStopped {
        /// How it ended.
        status: ExitStatus,
    },
    /// `RunFor`: the window and what the workers did in it.
    Ran {
        /// When the gate opened or the window began.
        from: GuestTime,
        /// When it ended.
        to: GuestTime,
        /// Every worker spawned so far.
        workers: Vec<WorkerReport>,
        /// The kernel's word on sched_ext at the end; `None` where the kernel has none.
        sched_ext: Option<SchedulerState>,
    },
    /// `Exec`: how the program ended.
    Exited {
        /// How it ended.
        status: ExitStatus,
        /// The first [`crate::call::MAX_CHUNK`] / 2 bytes of standard output.
        stdout: Vec<u8>,
        /// The same of standard error.
        stderr: Vec<u8>,
    },
}

/// `/sys/kernel/sched_ext` at an instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerState {
    /// `state`: `enabled`, `disabled`, …
    pub state: String,
    /// `root/ops`, where a scheduler is attached.
    pub ops: Option<String>,
}

/// A command failed in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AgentError {
    /// A system call failed.
    #[error("{doing}: {message} (errno {errno})")]
    System {
        /// What was being done, with its values.
        doing: String,
        /// The error number; 0 where there is none.
        errno: i32,
        /// Its text.
        message: String,
    },
    /// A program ended before it had done what was waited for.
    #[error("{program} ended at {at} before it attached: {status}")]
    EndedEarly {
        /// Its path.
        program: String,
        /// When.
        at: GuestTime,
        /// How.
        status: ExitStatus,
    },
    /// A program did not do in time what was waited for, and was ended.
    #[error("{program} did not {what} within {within}")]
    TimedOut {
        /// Its path.
        program: String,
        /// What was waited for.
        what: String,
        /// How long.
        within: Nanos,
    },
    /// The command does not fit the agent's state.
    #[error("{0}")]
    State(String),
    /// The agent could not decode the command.
    #[error("the agent did not understand the host: {0}")]
    NotUnderstood(String),
}

/// Bytes that are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The frame is wrong.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The frame is whole, but this side never receives its kind here.
    #[error("a {kind:?} frame does not go this way")]
    WrongWay {
        /// The kind.
        kind: FrameKind,
    },
    /// The frame is whole and its payload is not the message.
    #[error("the payload of the {kind:?} frame is not its message: {reason}")]
    Payload {
        /// The kind.
        kind: FrameKind,
        /// What postcard said.
        reason: String,
    },
}

impl Request {
    /// The request as a frame.
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        match self {
            Request::Hello(hello) => framed(FrameKind::Hello, hello),
            Request::Notice(notice) => framed(FrameKind::Notice, notice),
            Request::Reply(reply) => framed(FrameKind::Reply, reply),
        }
    }

    /// The request in a frame.
    pub fn decode(bytes: &[u8]) -> Result<Request, MessageError> {
        let frame = frame::decode(bytes)?;
        match frame.kind {
            FrameKind::Hello => payload(frame).map(Request::Hello),
            FrameKind::Notice => payload(frame).map(Request::Notice),
            FrameKind::Reply => payload(frame).map(Request::Reply),
            kind => Err(MessageError::WrongWay { kind }),
        }
    }
}

impl Answer {
    /// The answer as a frame.
    pub fn encode(&self) -> Result<Vec<u8>, MessageError> {
        match self {
            Answer::Ack => framed(FrameKind::Ack, &()),
            Answer::Command(command) => framed(FrameKind::Command, command),
            Answer::Refused { reason } => framed(FrameKind::Refused, reason),
        }
    }

    /// The answer in a frame.
    pub fn decode(bytes: &[u8]) -> Result<Answer, MessageError> {
        let frame = frame::decode(bytes)?;
        match frame.kind {
            FrameKind::Ack => payload::<()>(frame).map(|()| Answer::Ack),
            FrameKind::Command => payload(frame).map(Answer::Command),
            FrameKind::Refused => payload(frame).map(|reason| Answer::Refused { reason }),
            kind => Err(MessageError::WrongWay { kind }),
        }
    }
}

pub(crate) fn framed<T: Serialize>(kind: FrameKind, message: &T) -> Result<Vec<u8>, MessageError> {
    let wrong = |error: postcard::Error| MessageError::Payload {
        kind,
        reason: error.to_string(),
    };
    let payload = postcard::to_stdvec(message).map_err(wrong)?;
    let mut bytes = Vec::with_capacity(frame::HEADER_LEN + payload.len());
    frame::encode(kind, &payload, &mut bytes)?;
    Ok(bytes)
}

pub(crate) fn payload<T: DeserializeOwned>(frame: frame::Frame<'_>) -> Result<T, MessageError> {
    let wrong = |reason: String| MessageError::Payload {
        kind: frame.kind,
        reason,
    };
    let (message, rest) =
        postcard::take_from_bytes(frame.payload).map_err(|error| wrong(error.to_string()))?;
    if rest.is_empty() {
        Ok(message)
    } else {
        Err(wrong(format!("{} bytes are left over", rest.len())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spawn(work: &str) -> Answer {
        Answer::Command(Command::Spawn {
            group: "a".parse().unwrap(),
            work: work.parse().unwrap(),
            count: 2,
            nice: -1,
        })
    }

    fn round_trip(request: &Request) {
        assert_eq!(Request::decode(&request.encode().unwrap()).unwrap(), *request);
    }

    #[test]
    fn messages_survive_the_frame() {
        let at = GuestTime(Nanos(7));
        round_trip(&Request::Hello(Hello {
            protocol: 1,
            release: "7.2".into(),
            cpus: 4,
            at,
        }));
        round_trip(&Request::Notice(Notice::SchedulerLog {
            at,
            stream: Stream::Stderr,
            bytes: vec![0xff],
        }));
        round_trip(&Request::Reply(Err(AgentError::State("no".into()))));
        let answer = Answer::Command(Command::RunFor {
            span: Nanos::from_secs(5),
        });
        assert_eq!(Answer::decode(&answer.encode().unwrap()).unwrap(), answer);
        let answer = spawn("burst/300ns/7ns/20%");
        assert_eq!(Answer::decode(&answer.encode().unwrap()).unwrap(), answer);
    }

    /// The payload of each message that has shipped; a change here is a change of [`PROTOCOL_VERSION`].
    #[test]
    fn message_bytes_are_pinned() {
        let check = |answer: Answer, payload: &[u8]| {
            assert_eq!(
                &answer.encode().unwrap()[frame::HEADER_LEN..],
                payload,
                "{answer:?}"
            );
        };
        check(Answer::Ack, &[]);
        check(Answer::Refused { reason: "no".into() }, &[2, b'n', b'o']);
        check(Answer::Command(Command::Seed { seed: 7 }), &[0, 7]);
        check(
            spawn("burst/300ns/7ns/20%"),
            &[4, 1, b'a', 1, 0xac, 0x02, 7, 20, 2, 0xff],
        );
        check(
            spawn("burst/300ns/7ns"),
            &[4, 1, b'a', 1, 0xac, 0x02, 7, 0, 2, 0xff],
        );
        check(spawn("spin"), &[4, 1, b'a', 0, 2, 0xff]);
        check(
            Answer::Command(Command::RunFor { span: Nanos(300) }),
            &[7, 0xac, 0x02],
        );
        check(Answer::Command(Command::PowerOff), &[9]);
    }

    #[test]
    fn a_message_that_goes_the_other_way_is_refused() {
        let ack = Answer::Ack.encode().unwrap();
        assert_eq!(
            Request::decode(&ack),
            Err(MessageError::WrongWay { kind: FrameKind::Ack })
        );
    }

    #[test]
    fn a_jitter_that_is_none_does_not_decode() {
        let decoded = |jitter: u8| {
            let payload = [4, 1, b'a', 1, 0xac, 0x02, 7, jitter, 2, 0xff];
            let mut bytes = Vec::new();
            frame::encode(FrameKind::Command, &payload, &mut bytes).unwrap();
            Answer::decode(&bytes)
        };
        assert_eq!(decoded(100), Ok(spawn("burst/300ns/7ns/100%")));
        assert!(matches!(decoded(101), Err(MessageError::Payload { .. })));
    }

    #[test]
    fn left_over_payload_is_not_ignored() {
        let mut bytes = Vec::new();
        frame::encode(FrameKind::Ack, &[1], &mut bytes).unwrap();
        assert!(matches!(
            Answer::decode(&bytes),
            Err(MessageError::Payload { .. })
        ));
    }

    proptest! {
        #[test]
        fn no_payload_panics(kind in prop::sample::select(FrameKind::ALL), payload in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = Vec::new();
            frame::encode(kind, &payload, &mut bytes).unwrap();
            let _ = Request::decode(&bytes);
            let _ = Answer::decode(&bytes);
        }
    }
}
