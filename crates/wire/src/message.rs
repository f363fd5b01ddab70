//! The messages: one enum each way, as postcard inside a frame.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use spec::{ExitStatus, GuestTime, Nanos, Op, OpError, OpOutcome};

use crate::frame::{self, FrameError, FrameKind};

/// Raised whenever a message changes its meaning or its bytes. Both sides are built together; a mismatch means
/// that an old saved guest meets a new host.
pub const PROTOCOL_VERSION: u32 = 7;

/// What the guest sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The agent is up.
    Hello(Hello),
    /// Something happened while it carried out a command.
    Notice(Notice),
    /// The last command's outcome.
    Reply {
        /// When the agent had it.
        at: GuestTime,
        /// What came of the command.
        reply: Reply,
    },
}

/// The agent's first message.
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

/// Events, in the order in which they happened.
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
    /// The next piece of a file that is being read; the last one is in the reply.
    FileChunk {
        /// The piece.
        bytes: Vec<u8>,
    },
    /// The scheduler's process has loaded a BPF program, or several, and is not attached yet.
    SchedulerLoads {
        /// When the agent saw it.
        at: GuestTime,
        /// How many it has by now.
        programs: u32,
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
    /// Received, carry on.
    Ack,
    /// Do this.
    Command(Command),
    /// The request was not understood.
    Refused {
        /// Why.
        reason: String,
    },
}

/// What the host has the agent do. Each is answered by one [`Reply`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Sets the seed of the agent's random choices (worker start order and stagger, the generators of the workers with
    /// jitter) and of the kernel's random generator.
    Seed {
        /// The seed.
        seed: u64,
    },
    /// Writes a piece of a file; parents are made, offset 0 truncates. An op that puts files travels as these.
    WriteChunk {
        /// Absolute path.
        path: String,
        /// Permission bits.
        mode: u32,
        /// Where the piece begins.
        offset: u64,
        /// The piece, at most [`crate::call::MAX_CHUNK`] bytes.
        bytes: Vec<u8>,
    },
    /// Carries an op out.
    Do {
        /// The op; none that the host carries out.
        op: Op,
        /// The guest time after which the agent gives up on a program that the op waits for.
        within: Nanos,
    },
    /// Has workers of each kind work for a moment, and removes them, so that what comes in every run was executed once.
    WarmUp {
        /// How long they work.
        span: Nanos,
    },
}

impl Command {
    /// What is being done meanwhile, as a clause: `the agent reads /proc/stat`.
    pub fn describe(&self) -> String {
        match self {
            Command::Seed { .. } => "the agent is seeded".to_owned(),
            Command::WriteChunk { path, .. } => format!("the agent writes {path}"),
            Command::Do { op, .. } => op.describe(),
            Command::WarmUp { .. } => "the machine warms up".to_owned(),
        }
    }

    /// Is the guest time that it takes known before?
    pub fn takes_exactly(&self) -> bool {
        matches!(
            self,
            Command::Do {
                op: Op::RunFor(_),
                ..
            }
        )
    }
}

/// What came of a command.
pub type Reply = Result<OpOutcome, OpError>;

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
            Request::Reply { at, reply } => framed(FrameKind::Reply, &(at, reply)),
        }
    }

    /// The request in a frame.
    pub fn decode(bytes: &[u8]) -> Result<Request, MessageError> {
        let frame = frame::decode(bytes)?;
        match frame.kind {
            FrameKind::Hello => payload(frame).map(Request::Hello),
            FrameKind::Notice => payload(frame).map(Request::Notice),
            FrameKind::Reply => payload(frame).map(|(at, reply)| Request::Reply { at, reply }),
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

    /// An op as it is typed, in a command.
    fn sends(op: &str) -> Answer {
        Answer::Command(Command::Do {
            op: op.parse().unwrap(),
            within: Nanos(300),
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
        round_trip(&Request::Reply {
            at,
            reply: Err(OpError::State("no".into())),
        });
        round_trip(&Request::Reply {
            at,
            reply: Ok(OpOutcome::Stopped {
                status: ExitStatus::Signal(9),
            }),
        });
        for op in [
            "run 5s",
            "spawn a burst/300ns/7ns/20% 2 nice=-1",
            "stop-scheduler",
        ] {
            let answer = sends(op);
            assert_eq!(Answer::decode(&answer.encode().unwrap()).unwrap(), answer);
        }
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
        let chunk = Command::WriteChunk {
            path: "/a".into(),
            mode: 0o644,
            offset: 300,
            bytes: vec![0xff],
        };
        check(
            Answer::Command(chunk),
            &[1, 2, b'/', b'a', 0xa4, 0x03, 0xac, 0x02, 1, 0xff],
        );
        let span = Nanos(300);
        check(Answer::Command(Command::WarmUp { span }), &[3, 0xac, 0x02]);
    }

    /// The number and the fields of each op that is sent, as `Do` carries them: `[2, op…, within]`.
    #[test]
    fn op_bytes_are_pinned() {
        let check = |op: &str, bytes: &[u8]| {
            let payload = [&[2], bytes, &[0xac, 0x02]].concat();
            assert_eq!(sends(op).encode().unwrap()[frame::HEADER_LEN..], payload, "{op}");
        };
        check("read /a", &[2, 2, b'/', b'a']);
        check(
            "cgroup a cpus=0-1 weight=300",
            &[3, 1, b'a', 1, 3, b'0', b'-', b'1', 0xac, 0x02],
        );
        check(
            "spawn a burst/300ns/7ns/20% 2 nice=-1",
            &[4, 1, b'a', 1, 0xac, 0x02, 7, 20, 2, 0xff],
        );
        check("spawn a spin 2", &[4, 1, b'a', 0, 2, 0]);
        check("start-scheduler /s", &[5, 1, 2, b'/', b's']);
        check("stop-scheduler", &[6]);
        check("run 300ns", &[7, 0xac, 0x02]);
        check("exec 300ns /s", &[8, 1, 2, b'/', b's', 0xac, 0x02]);
        check("offline 3", &[12, 3, 0]);
        check("write /a 5", &[13, 2, b'/', b'a', 1, b'5']);
    }

    #[test]
    fn outcome_bytes_are_pinned() {
        let check = |outcome: OpOutcome, payload: &[u8]| {
            let request = Request::Reply {
                at: GuestTime(Nanos(7)),
                reply: Ok(outcome),
            };
            assert_eq!(
                request.encode().unwrap()[frame::HEADER_LEN..],
                [&[7], payload].concat()
            );
        };
        check(OpOutcome::Done, &[0, 0]);
        let bytes = vec![0xff];
        check(
            OpOutcome::FileRead { len: 300, bytes },
            &[0, 1, 0xac, 0x02, 1, 0xff],
        );
        let status = ExitStatus::Code(1);
        check(OpOutcome::Stopped { status }, &[0, 4, 0, 2]);
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
            let payload = [2, 4, 1, b'a', 1, 0xac, 0x02, 7, jitter, 2, 0xff, 0xac, 0x02];
            let mut bytes = Vec::new();
            frame::encode(FrameKind::Command, &payload, &mut bytes).unwrap();
            Answer::decode(&bytes)
        };
        assert_eq!(decoded(100), Ok(sends("spawn a burst/300ns/7ns/100% 2 nice=-1")));
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
