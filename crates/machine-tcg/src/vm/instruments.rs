//! Hooks and watches, as commands to the plugin.

use std::time::{Duration, Instant};

use guestmem::{AddressSpace, GuestVirt, PageTables};
use machine::{HookId, HookSpec, Instrument, MachineError, WatchId, WatchSpec, When};
use rustix::event::{PollFd, PollFlags};
use std::os::fd::AsFd;
use tcg_channel::{Cause, Command, Condition, FUNCTION_ENTRIES, Report};

use super::state::State;
use super::{TcgMachine, channel_error};
use crate::link::{Received, wait};

/// How long the plugin may take to answer a count: it waits for nothing else.
const ANSWER: Duration = Duration::from_secs(30);

/// Of a machine that is unobserved.
const GIVEN_UP: &str = "this machine has given up being looked at; take another fork";

/// What an index names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Hook,
    Watch,
}

impl TcgMachine {
    pub(super) fn set_hook(&mut self, at: GuestVirt, spec: HookSpec) -> Result<HookId, MachineError> {
        self.state.require_frozen("hook")?;
        if self.unobserved && !matches!(self.state, State::New) {
            let reason = GIVEN_UP.to_owned();
            return Err(MachineError::Hook { at, reason });
        }
        if !matches!(self.state, State::New) && !self.is_function_entry(at) {
            return Err(MachineError::Hook {
                at,
                reason: "after the first `resume`, only the first instruction of a kernel function that ftrace could \
                         trace, or of a BPF program, can be hooked; set this hook before"
                    .to_owned(),
            });
        }
        let command = Command::Hook {
            address: at.0,
            every: spec.every,
        };
        Ok(HookId(self.set(Kind::Hook, command)?))
    }

    pub(super) fn set_watch(&mut self, at: GuestVirt, spec: WatchSpec) -> Result<WatchId, MachineError> {
        self.state.require_frozen("watch")?;
        if self.unobserved {
            let reason = GIVEN_UP.to_owned();
            return Err(MachineError::Watch { at, reason });
        }
        if !is_kernel_address(at) || at.0.checked_add(spec.width.bytes()).is_none() {
            return Err(MachineError::Watch {
                at,
                reason: "only the kernel's addresses can be watched; give one in its half".to_owned(),
            });
        }
        let command = Command::Watch {
            address: at.0,
            width: spec.width as u16,
            condition: condition(spec.when),
            every: spec.every,
            current: spec.current,
        };
        Ok(WatchId(self.set(Kind::Watch, command)?))
    }

    fn set(&mut self, kind: Kind, command: Command) -> Result<u32, MachineError> {
        self.send(command)?;
        let index = self.instruments.len() as u32;
        self.instruments.push(kind);
        Ok(index)
    }

    pub(super) fn remove_instrument(&mut self, which: Instrument) -> Result<(), MachineError> {
        self.state.require_frozen("remove")?;
        self.send(Command::Remove {
            index: index_of(which),
        })
    }

    pub(super) fn count(&mut self, which: Instrument) -> Result<u64, MachineError> {
        self.state.require_frozen("hits")?;
        let index = index_of(which);
        self.send(Command::Count { index })?;
        match self.answer()?.cause {
            Cause::Count { index: of, hits } if of == index => Ok(hits),
            cause => Err(MachineError::Protocol {
                what: format!("{cause:?} in place of a count"),
            }),
        }
    }

    /// The plugin's answer to a count.
    fn answer(&mut self) -> Result<Report, MachineError> {
        let deadline = Instant::now() + ANSWER;
        loop {
            let link = &self.parts.link;
            match link.receive().map_err(channel_error("read an answer"))? {
                Received::Report(report) => return Ok(*report),
                Received::Nothing if Instant::now() < deadline => {}
                other => {
                    return Err(MachineError::Protocol {
                        what: format!("{other:?} in place of an answer"),
                    });
                }
            }
            let mut fds = [PollFd::from_borrowed_fd(link.as_fd(), PollFlags::IN)];
            wait(&mut fds, deadline).map_err(channel_error("wait for an answer"))?;
        }
    }

    /// Whether the code at `at` begins as a function does that the plugin can hook late.
    fn is_function_entry(&self, at: GuestVirt) -> bool {
        let memory = self.parts.ram.memory();
        let begins_as_function = |tables: PageTables| {
            let space = AddressSpace::with_tables(memory, tables);
            FUNCTION_ENTRIES.iter().any(|entry| {
                let mut bytes = vec![0; entry.len()];
                space.read(at, &mut bytes).is_ok() && bytes == *entry
            })
        };
        is_kernel_address(at) && self.page_tables.is_some_and(begins_as_function)
    }
}

fn is_kernel_address(at: GuestVirt) -> bool {
    at.0 >> 63 == 1
}

fn index_of(which: Instrument) -> u32 {
    match which {
        Instrument::Hook(HookId(index)) | Instrument::Watch(WatchId(index)) => index,
    }
}

/// The condition as the channel has it.
fn condition(when: When) -> Condition {
    match when {
        When::Stored => Condition::Stored,
        When::Changed => Condition::Changed,
        When::Equal(value) => Condition::Equal(value),
        When::AtLeast(value) => Condition::AtLeast(value),
        When::AtMost(value) => Condition::AtMost(value),
        When::BitsSet(mask) => Condition::BitsSet(mask),
    }
}
