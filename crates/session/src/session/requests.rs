//! What programs of the guest ask for, at calls of their own.
//!
//! None of them is trusted: a buffer must be the caller's own, a frame is checked whole, what is asked for is bounded, and
//! what is refused is counted. Nobody but the agent speaks for the agent.

use machine::{Call, When};
use observe::dispatch::{Action, Dispatcher, Disposition, Evidence, LinkedKernel, Setup};
use observe::{KernelVar, STORED_EVENTS, USER_WATCHES};
use record::{End, EventKind, Observation, Tag, Value};
use spec::GuestTime;
use wire::KernelOpFrame as _;
use wire::barrier;
use wire::kernel_op::{KernelOpReply, KernelOpRequest};
use wire::snapshot::{SnapshotKind, SnapshotReply, SnapshotRequest};

use super::{Session, SessionError};
use crate::chain::chain;
use crate::exchange;
use crate::observer::HitAction;

/// Bytes of a payload that the record has.
const MOST_PAYLOAD: usize = 4096;

/// What programs of the guest have done that is bounded.
#[derive(Debug, Default)]
pub(super) struct ProgramQuota {
    /// Watches that they have set.
    watches: usize,
    /// Happenings that the record has of them, and those for which it has no room.
    reported: usize,
    unreported: u64,
    /// Calls with a buffer that could not be read or written.
    unreadable: u64,
}

impl Session {
    /// Is it the agent that calls? Before it has said so nobody else is there.
    pub(super) fn is_agents(&self, call: &Call) -> bool {
        self.agent
            .is_none_or(|agent| agent == call.registers.address_space_id())
    }

    /// Answers a program, and lets the guest run on.
    pub(super) fn program_asks(&mut self, call: &Call) -> Result<(), SessionError> {
        if !exchange::is_callers_own(self.machine.as_ref(), call, call.capacity) {
            let reason = format!(
                "a program called with a buffer of {} bytes at {} that is not its own to write to",
                call.capacity, call.buffer
            );
            self.quota.unreadable += 1;
            self.report(EventKind::Refused { reason });
            return self.resume();
        }
        let answered = match exchange::frame(self.machine.as_ref(), call) {
            Ok(frame) => {
                let answer = self.dispatch(call, &frame)?;
                exchange::put(self.machine.as_ref(), call, &answer)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = answered {
            let reason = format!("a program's call: {}", chain(&error));
            self.quota.unreadable += 1;
            self.report(EventKind::Refused { reason });
        }
        self.resume()
    }

    /// The answer to a frame, as a frame.
    fn dispatch(&mut self, call: &Call, frame: &[u8]) -> Result<Vec<u8>, SessionError> {
        self.tick_of(call);
        let now = self.now;
        let setup = self.setup();
        let dispatcher = self.dispatcher.get_or_insert_with(|| Dispatcher::new(setup));
        let taken = dispatcher.take(frame, now.0);
        for evidence in dispatcher.drain() {
            self.report(sent(evidence));
        }
        if let Some(refused) = &taken.refused {
            self.report(EventKind::Refused {
                reason: refused.to_string(),
            });
        }
        self.observer.phase(&taken.action, now);
        let Disposition { action, .. } = &taken;
        let answer = match action {
            Action::Snapshot(request) => self.program_looks(request, now).frame().ok(),
            Action::KernelOp(request) => self.program_op(request).encode().ok(),
            Action::Acknowledge => barrier::acknowledged().ok(),
            Action::EndRun => {
                let during = "a program of the guest has said that the scheduler is gone".to_owned();
                return Err(self.over(End::Stopped { during }));
            }
            Action::FailRun(wrong) => {
                let reason = wrong.to_string();
                return Err(self.over(End::MachineDied { reason }));
            }
            _ => taken.answer().and_then(|answer| answer.encode().ok()),
        };
        Ok(answer.unwrap_or_default())
    }

    /// What a program does is evidence as long as there is room: nothing keeps it from calling for ever.
    fn report(&mut self, what: EventKind) {
        if self.quota.reported < STORED_EVENTS {
            self.quota.reported += 1;
            self.happened(what);
        } else {
            self.quota.unreported += 1;
        }
    }

    /// The time of the guest, which has not told it itself.
    fn tick_of(&mut self, call: &Call) {
        let now = self
            .clock
            .as_ref()
            .and_then(|clock| clock.now(self.machine.memory(), &call.registers).ok());
        self.now = self.now.max(now.unwrap_or_default());
    }

    fn setup(&self) -> Setup {
        let info = self.observer.info();
        Setup {
            watchdog: None,
            kernel: info.and_then(|info| {
                let text = info.symbols.address_of("_text")?;
                Some(LinkedKernel {
                    text,
                    arch: info.arch(),
                })
            }),
            build_id: info.map(|info| info.build_id),
        }
    }

    fn program_looks(&mut self, request: &SnapshotRequest, now: GuestTime) -> SnapshotReply {
        let done = Tag::new(request.tag.as_str())
            .map_err(|error| error.to_string())
            .and_then(|tag| match request.kind {
                SnapshotKind::Capture => {
                    let taken = self.observer.snapshot(self.machine.memory(), now, tag);
                    taken.map(drop).map_err(|error| chain(&error))
                }
                SnapshotKind::Watch => self.program_watches(&request.tag, tag),
            });
        SnapshotReply {
            request_id: request.request_id,
            outcome: done,
        }
    }

    fn program_watches(&mut self, symbol: &str, tag: Tag) -> Result<(), String> {
        if self.quota.watches >= USER_WATCHES {
            return Err(format!(
                "programs have set {USER_WATCHES} watches already, which is the most"
            ));
        }
        let kernel = self.kernel().map_err(|error| chain(&error))?;
        let place = KernelVar::find(&kernel, symbol).map_err(|error| chain(&error))?;
        let set = self.watch_var(&place, When::Changed, HitAction::Snapshot(tag));
        set.map_err(|error| chain(&error))?;
        self.quota.watches += 1;
        Ok(())
    }

    /// A kernel that is not found yet may be later: the program is told to ask again (contract A28).
    pub(super) fn program_op(&mut self, request: &KernelOpRequest) -> KernelOpReply {
        let (memory, now) = (self.machine.memory(), self.now);
        let done = self.observer.kernel_op(memory, now, request);
        done.unwrap_or_else(|error| {
            let reason = format!("retry: {}", chain(&error));
            introspect::ops::refused(request.request_id, &reason)
        })
    }

    /// What came of all requests, if there were any.
    pub(super) fn note_requests(&mut self) {
        let unreadable = self.quota.unreadable;
        if self.dispatcher.is_none() && unreadable == 0 {
            return;
        }
        let counts = self.dispatcher.as_ref().map(Dispatcher::counts).cloned();
        let counts = counts.unwrap_or_default();
        let kinds = counts.by_kind.iter().map(|(kind, count)| {
            let letters = kind.word().to_le_bytes();
            (
                String::from_utf8_lossy(&letters).into_owned(),
                Value::from(*count),
            )
        });
        let seen = Value::tree([
            ("by_kind", Value::tree(kinds)),
            ("unknown", Value::from(counts.unknown)),
            ("damaged", Value::from(counts.damaged)),
            ("refused", Value::from(counts.refused)),
            ("unreadable", Value::from(unreadable)),
            ("not_in_the_record", Value::from(self.quota.unreported)),
        ]);
        let at = self.now;
        self.observer.note(Observation {
            at,
            asked: "frames of the guest's programs".to_owned(),
            seen,
        });
    }
}

/// What a program has sent, as the record has it.
fn sent(evidence: Evidence) -> EventKind {
    let Evidence {
        kind,
        payload,
        intact,
        ..
    } = evidence;
    let shown = &payload[..payload.len().min(MOST_PAYLOAD)];
    let mut text = match std::str::from_utf8(shown) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => shown.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    if shown.len() < payload.len() {
        text += &format!(" and {} bytes more", payload.len() - shown.len());
    }
    EventKind::Sent {
        frame: String::from_utf8_lossy(&kind.word().to_le_bytes()).into_owned(),
        payload: text,
        intact,
    }
}
