//! A scripted machine: it reports the events of a list, and keeps the answers that its owner writes.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use guestmem::{GuestPhys, GuestVirt, PhysMem};
use machine::registers::x86_64;
use machine::{
    Ability, BackendKind, Call, Caps, Event, ExitReason, ExitReport, HookHit, HookId, HookSpec, Instrument,
    LacksAbility, Machine, MachineError, Offered, Registers, VcpuId, WatchId, WatchSpec,
};

use crate::FakeMemory;

/// An event of the script.
#[derive(Debug, Clone)]
pub enum Step {
    /// The guest calls with these bytes in its buffer.
    Call(Vec<u8>),
    /// The guest calls and claims these lengths, whatever is in its buffer.
    CallWithLengths {
        /// The request's length.
        len: u64,
        /// The buffer's.
        capacity: u64,
    },
    /// The guest writes a word of its memory, and the first hook is hit.
    Hook {
        /// Where.
        at: GuestPhys,
        /// What.
        word: u64,
    },
    /// The guest has written this to its console.
    Console(String),
    /// The machine ends.
    Exit(ExitReason),
    /// The host-time deadline passes.
    Deadline,
}

/// A machine that reports the events of a script; at the script's end it powers off.
#[derive(Debug)]
pub struct FakeMachine {
    memory: FakeMemory,
    script: VecDeque<Step>,
    frozen_in_call: bool,
    answers: Arc<Mutex<Vec<Vec<u8>>>>,
    console: Vec<u8>,
}

impl FakeMachine {
    /// The abilities that the machine reports.
    pub const CAPS: Caps = Caps {
        backend: BackendKind::Fake,
        deterministic: true,
        max_hooks: None,
        late_hooks: true,
        max_watches: Some(0),
        saves: false,
        duplicates: false,
    };
    /// Where the guest's buffer lies.
    pub const BUFFER: GuestPhys = GuestPhys(0x10_0000);
    /// Its length in bytes.
    pub const CAPACITY: usize = 1 << 20;

    /// A machine with this script and console.
    pub fn new(script: impl IntoIterator<Item = Step>, console: &str) -> FakeMachine {
        FakeMachine {
            memory: FakeMemory::new(4 << 20),
            script: script.into_iter().collect(),
            frozen_in_call: false,
            answers: Arc::default(),
            console: console.as_bytes().to_vec(),
        }
    }

    /// The contents of the guest's buffer after each call, in order; shared, so it outlives the machine.
    pub fn answers(&self) -> Arc<Mutex<Vec<Vec<u8>>>> {
        Arc::clone(&self.answers)
    }

    fn call(&mut self, len: u64, capacity: u64) -> Event {
        self.frozen_in_call = true;
        Event::Call(Call {
            vcpu: Some(VcpuId(0)),
            registers: registers(),
            buffer: GuestVirt(FakeMachine::BUFFER.0),
            len,
            capacity,
        })
    }
}

impl Machine for FakeMachine {
    fn caps(&self) -> Caps {
        FakeMachine::CAPS
    }

    fn memory(&self) -> &dyn PhysMem {
        &self.memory
    }

    fn hook(&mut self, _at: GuestVirt, _spec: HookSpec) -> Result<HookId, MachineError> {
        Ok(HookId(0))
    }

    fn watch(&mut self, _at: GuestVirt, _spec: WatchSpec) -> Result<WatchId, MachineError> {
        Err(lacks("a watch of a scripted machine", Ability::Watches(1)))
    }

    fn remove(&mut self, _which: Instrument) -> Result<(), MachineError> {
        Ok(())
    }

    fn hits(&mut self, _which: Instrument) -> Result<u64, MachineError> {
        Ok(0)
    }

    fn next(&mut self, _deadline: Instant) -> Result<Event, MachineError> {
        let protocol = |what: String| MachineError::Protocol { what };
        Ok(match self.script.pop_front() {
            Some(Step::Call(bytes)) => {
                let written = self.memory.write(FakeMachine::BUFFER, &bytes);
                written.map_err(|error| protocol(error.to_string()))?;
                self.call(bytes.len() as u64, FakeMachine::CAPACITY as u64)
            }
            Some(Step::CallWithLengths { len, capacity }) => self.call(len, capacity),
            Some(Step::Hook { at, word }) => {
                let written = self.memory.write(at, &word.to_le_bytes());
                written.map_err(|error| protocol(error.to_string()))?;
                Event::Hook(HookHit {
                    vcpu: Some(VcpuId(0)),
                    hook: HookId(0),
                    hits: 1,
                    registers: registers(),
                })
            }
            Some(Step::Console(text)) => Event::Console(text.into_bytes()),
            Some(Step::Exit(reason)) => Event::Exit(reason),
            Some(Step::Deadline) => Event::Deadline,
            None => Event::Exit(ExitReason::PoweredOff),
        })
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        if std::mem::take(&mut self.frozen_in_call) {
            let mut buffer = vec![0; FakeMachine::CAPACITY];
            let read = self.memory.read(FakeMachine::BUFFER, &mut buffer);
            read.map_err(|error| MachineError::Protocol {
                what: error.to_string(),
            })?;
            self.answers
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(buffer);
        }
        Ok(())
    }

    fn console(&self) -> Result<Vec<u8>, MachineError> {
        Ok(self.console.clone())
    }

    fn save(self: Box<Self>, _into: &Path) -> Result<(), MachineError> {
        Err(lacks("a save of a scripted machine", Ability::Saves))
    }

    fn unobserved(&mut self) -> Result<(), MachineError> {
        Ok(())
    }

    fn seed(&mut self, _seed: u64) -> Result<(), MachineError> {
        Ok(())
    }

    fn duplicate(&mut self) -> Result<Box<dyn Machine>, MachineError> {
        Err(lacks("a duplicate of a scripted machine", Ability::Duplicates))
    }

    fn duplicates_depend_on(&self) -> String {
        String::new()
    }

    fn kill(self: Box<Self>) -> ExitReport {
        ExitReport {
            reason: ExitReason::Killed,
            console: self.console,
        }
    }
}

fn registers() -> Registers {
    Registers::X86_64(x86_64::Registers {
        cr3: FakeMemory::CR3,
        ..x86_64::Registers::default()
    })
}

fn lacks(operation: &'static str, needed: Ability) -> MachineError {
    MachineError::Lacks(LacksAbility {
        of: operation,
        needed,
        backend: BackendKind::Fake,
        offered: Offered::Nothing,
        otherwise: "a script has none",
    })
}
