//! Calls of the guest's programs: reads their frames, carries out what `programs` decides, and answers.
//!
//! No program is trusted: a buffer must be the caller's own, and nobody but the agent speaks for the agent.

use machine::{Call, When};
use observe::HitAction;
use record::{EventKind, Tag};
use wire::kernel_op::{KernelOpReply, KernelOpRequest};
use wire::snapshot::{SnapshotKind, SnapshotReply, SnapshotRequest};
use wire::{Answer, KernelOpFrame as _, MessageError};

use super::{Session, SessionError};
use crate::chain::chain;
use crate::exchange::{self, ExchangeError};
use crate::programs::{Action, Disposition};

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
            self.refuse_call(reason);
            return self.resume();
        }
        let frame = exchange::frame(self.machine.as_ref(), call);
        let answered = frame.and_then(|frame| {
            let answer = self.dispatch(call, &frame)?;
            exchange::put(self.machine.as_ref(), call, &answer)
        });
        if let Err(error) = answered {
            self.refuse_call(format!("a program's call: {}", chain(&error)));
        }
        self.resume()
    }

    /// The answer to a frame, as a frame.
    fn dispatch(&mut self, call: &Call, frame: &[u8]) -> Result<Vec<u8>, ExchangeError> {
        self.tick_of(call);
        let host = self.observer.info().map(|info| info.build_id);
        let taken = self.programs.take(frame, host);
        if let Some(evidence) = &taken.evidence {
            self.report(evidence.clone());
        }
        if let Some(refused) = &taken.refused {
            let reason = refused.to_string();
            self.report(EventKind::Refused { reason });
        }
        self.carry_out(&taken).map_err(ExchangeError::Answer)
    }

    /// Does what a frame asks for; the answer, as a frame.
    fn carry_out(&mut self, taken: &Disposition) -> Result<Vec<u8>, MessageError> {
        if let Action::Phase(phase) = taken.action {
            self.observer.phase(phase, self.now, self.machine.memory());
        }
        match &taken.action {
            Action::Snapshot(request) => Ok(self.program_snapshot(request).frame()?),
            Action::KernelOp(request) => self.program_op(request).encode(),
            Action::None | Action::Phase(_) => taken.answer().unwrap_or(Answer::Ack).encode(),
        }
    }

    fn refuse_call(&mut self, reason: String) {
        self.programs.quota.unreadable_call();
        self.report(EventKind::Refused { reason });
    }

    /// Records what a program does, as long as there is room: nothing keeps a program from calling for ever.
    fn report(&mut self, what: EventKind) {
        if self.programs.quota.record() {
            self.happened(what);
        }
    }

    /// Takes the time from the guest's clock, as a program does not report it.
    fn tick_of(&mut self, call: &Call) {
        let now = self
            .clock
            .as_ref()
            .and_then(|clock| clock.now(self.machine.memory(), &call.registers).ok());
        self.now = self.now.max(now.unwrap_or_default());
    }

    fn program_snapshot(&mut self, request: &SnapshotRequest) -> SnapshotReply {
        let now = self.now;
        let outcome = Tag::new(request.tag.as_str())
            .map_err(|error| error.to_string())
            .and_then(|tag| match request.kind {
                SnapshotKind::Capture => {
                    let taken = self.observer.snapshot(self.machine.memory(), now, tag);
                    taken.map(drop).map_err(|error| chain(&error))
                }
                SnapshotKind::Watch => self.program_watch(&request.tag, tag),
            });
        SnapshotReply {
            request_id: request.request_id,
            outcome,
        }
    }

    fn program_watch(&mut self, path: &str, tag: Tag) -> Result<(), String> {
        self.programs
            .quota
            .has_watch()
            .map_err(|error| error.to_string())?;
        let set = self.watch(path, When::Changed, HitAction::Snapshot(tag));
        set.map_err(|error| chain(&error))?;
        self.programs.quota.watch_set();
        Ok(())
    }

    /// A kernel that is not found yet may be found later: the program is told to ask again (contract A28).
    pub(super) fn program_op(&mut self, request: &KernelOpRequest) -> KernelOpReply {
        let (memory, now) = (self.machine.memory(), self.now);
        let done = self.observer.kernel_op(memory, now, request);
        done.unwrap_or_else(|error| {
            let reason = format!("retry: {}", chain(&error));
            introspect::ops::refused(request.request_id, &reason)
        })
    }

    /// Records how many frames programs have sent, if they have sent any.
    pub(super) fn note_programs(&mut self) {
        if let Some(seen) = self.programs.observation(self.now) {
            self.observer.note(seen);
        }
    }
}
