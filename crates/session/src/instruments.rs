//! Hooks and watches that somebody has set, and what is done at their hits.
//!
//! At a hit the guest stands still and does not notice: no instrument changes an execution, and what one saw is beside
//! the evidence and not part of the record's hash.

use guestmem::GuestVirt;
use introspect::{GuestKernel, Question, ReadError};
use machine::{Instrument, MachineError, Registers, VcpuId};
use observe::{Bounded, STORED_EVENTS};
use record::{Observation, Value};
use spec::GuestTime;

use crate::lookout::LookError;

/// What is done at a hit.
pub enum Act {
    /// It is counted, and the guest is not even stopped.
    Count,
    /// It is noted among the observations; the first 1024 of a run are.
    Log,
    /// It is noted, and these questions are asked.
    Look(Vec<Question>),
    /// This is called, with the guest's kernel as it stands.
    Call(Box<HitFn>),
}

/// What is called at a hit.
pub type HitFn = dyn FnMut(&Hit, &GuestKernel<'_>) + Send;

impl Act {
    /// Calls this at each hit.
    pub fn call(function: impl FnMut(&Hit, &GuestKernel<'_>) + Send + 'static) -> Act {
        Act::Call(Box::new(function))
    }
}

/// A hook or a watch was hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// When, to the tick.
    pub at: GuestTime,
    /// The function that is hooked, or what is watched.
    pub name: String,
    /// Which vCPU: the guest's CPU of that number.
    pub vcpu: VcpuId,
    /// How often so far, this time included.
    pub hits: u64,
    /// What has happened.
    pub what: HitKind,
}

/// What has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HitKind {
    /// A function is entered, with these registers.
    Entered(Box<Registers>),
    /// A store was made.
    Stored {
        /// The instruction, as `function+0x10`.
        by: String,
        /// The value before.
        old: u64,
        /// The value now.
        new: u64,
    },
}

impl HitKind {
    /// A store by the instruction at `ip`, which is named if it is the kernel's own: those of BPF programs have no symbol.
    pub(crate) fn stored(kernel: &GuestKernel<'_>, ip: GuestVirt, old: u64, new: u64) -> HitKind {
        let by = match kernel.symbolize(ip) {
            Some((name, distance)) => format!("{name}+{distance:#x}"),
            None => ip.to_string(),
        };
        HitKind::Stored { by, old, new }
    }
}

/// A hook or a watch could not be set.
#[derive(Debug, thiserror::Error)]
pub enum InstrumentError {
    /// The guest's kernel cannot be looked at.
    #[error(transparent)]
    Look(#[from] LookError),
    /// What is hooked or watched cannot be found.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The machine cannot have it.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// A number of another width.
    #[error("{name} has {bytes} bytes, and what is watched has 1, 2, 4 or 8")]
    Width {
        /// What was to be watched.
        name: String,
        /// Its size.
        bytes: u64,
    },
}

/// Those of a run.
pub(crate) struct Instruments {
    all: Vec<(Instrument, String, Act)>,
    seen: Bounded<Observation>,
}

impl Default for Instruments {
    fn default() -> Self {
        Instruments {
            all: Vec::new(),
            seen: Bounded::new(STORED_EVENTS),
        }
    }
}

impl Instruments {
    pub(crate) fn add(&mut self, which: Instrument, name: &str, act: Act) {
        self.all.push((which, name.to_owned(), act));
    }

    pub(crate) fn remove(&mut self, which: Instrument) {
        self.all.retain(|(other, ..)| *other != which);
    }

    pub(crate) fn name_of(&self, which: Instrument) -> Option<&str> {
        let found = self.all.iter().find(|(other, ..)| *other == which);
        found.map(|(_, name, _)| name.as_str())
    }

    /// Does what is to be done at a hit.
    pub(crate) fn hit(&mut self, which: Instrument, hit: &Hit, kernel: &GuestKernel<'_>) {
        let Some((_, _, act)) = self.all.iter_mut().find(|(other, ..)| *other == which) else {
            return;
        };
        let mut note = |asked: String, seen: Value| {
            // How many had no room is told at the end.
            let _ = self.seen.push(Observation {
                at: hit.at,
                asked,
                seen,
            });
        };
        match act {
            Act::Count => {}
            Act::Log => note(asked(hit), hit.value()),
            Act::Look(questions) => {
                note(asked(hit), hit.value());
                for question in questions {
                    note(format!("{question} at {}", asked(hit)), question.answer(kernel));
                }
            }
            Act::Call(function) => function(hit, kernel),
        }
    }

    /// What was noted, and how much had no room.
    pub(crate) fn take(&mut self, now: GuestTime) -> Vec<Observation> {
        let mut seen = self.seen.drain();
        let refused = self.seen.refused();
        if refused > 0 {
            seen.push(Observation {
                at: now,
                asked: "hits that are not shown".to_owned(),
                seen: Value::Missing(format!("{refused} more; {STORED_EVENTS} are kept")),
            });
        }
        seen
    }
}

fn asked(hit: &Hit) -> String {
    match hit.what {
        HitKind::Entered(_) => format!("hook {}", hit.name),
        HitKind::Stored { .. } => format!("watch {}", hit.name),
    }
}

impl Hit {
    fn value(&self) -> Value {
        let cpu = ("cpu", Value::from(u64::from(self.vcpu.0)));
        let hits = ("hits", Value::from(self.hits));
        match &self.what {
            HitKind::Entered(registers) => {
                let arguments = (0..6).filter_map(|n| registers.argument(n)).map(Value::Hex);
                Value::tree([cpu, ("arguments", arguments.collect()), hits])
            }
            HitKind::Stored { by, old, new } => Value::tree([
                cpu,
                ("by", by.as_str().into()),
                ("old", (*old).into()),
                ("new", (*new).into()),
                hits,
            ]),
        }
    }
}
