//! Hooks and watches: how they are set, and whose they are.
//!
//! At a hit the guest stands still and does not notice: no instrument changes an execution. What is seen at a hit is kept
//! beside the evidence and is no part of the record's hash.

use guestmem::GuestVirt;
use introspect::{Function, GuestKernel, ReadError};
use machine::{HookId, HookSpec, Instrument, MachineError, WatchId, WatchSpec, When, Width};

use super::detector::Trigger;
use super::hit::{HitAction, HitFilter};
use super::view::LookError;
use crate::{KernelVar, KernelVarError, MachinePort};

/// A hook or a watch could not be set.
#[derive(Debug, thiserror::Error)]
pub enum InstrumentError {
    /// The guest's kernel cannot be looked at.
    #[error(transparent)]
    Look(#[from] LookError),
    /// What is hooked or watched cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The path leads to nothing that can be watched.
    #[error(transparent)]
    KernelVar(#[from] KernelVarError),
    /// The machine cannot have it.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The function has no such argument.
    #[error("{function} has no argument `{wanted}`; its arguments: {}", there.join(", "))]
    Argument {
        /// The function.
        function: String,
        /// What was asked for.
        wanted: String,
        /// Its arguments.
        there: Vec<String>,
    },
}

/// Who has set an instrument.
pub(super) enum Owner {
    FailureDetector(Trigger),
    User(UserInstrument),
}

/// An instrument of a test.
pub(super) struct UserInstrument {
    /// What observations call it.
    pub(super) name: String,
    /// The function that is hooked, where its arguments can be told.
    pub(super) function: Option<Function>,
    pub(super) only: HitFilter,
    pub(super) act: HitAction,
}

/// The instruments of a run.
#[derive(Default)]
pub(super) struct Instruments {
    all: Vec<(Instrument, Owner)>,
}

/// Finds the function that a test hooks; the filter must name one of its arguments.
pub(super) fn find_function(
    kernel: &GuestKernel<'_>,
    name: &str,
    only: &HitFilter,
) -> Result<Function, InstrumentError> {
    let function = Function::find(kernel, name)?;
    if let HitFilter::Argument(wanted, _) = only {
        let there = function.parameters(kernel);
        if !there.contains(wanted) {
            return Err(InstrumentError::Argument {
                function: name.to_owned(),
                wanted: wanted.clone(),
                there,
            });
        }
    }
    Ok(function)
}

impl Instruments {
    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = Instrument> {
        self.all.iter().map(|(which, _)| *which)
    }

    /// Sets a hook of a test at a function.
    pub(super) fn hook(
        &mut self,
        port: &mut dyn MachinePort,
        function: Function,
        only: HitFilter,
        act: HitAction,
    ) -> Result<HookId, MachineError> {
        let at = function.at;
        let user = UserInstrument {
            name: function.name.clone(),
            function: Some(function),
            only,
            act,
        };
        self.hook_at(port, at, user)
    }

    /// Sets a hook of a test at any instruction.
    pub(super) fn hook_at(
        &mut self,
        port: &mut dyn MachinePort,
        at: GuestVirt,
        user: UserInstrument,
    ) -> Result<HookId, MachineError> {
        let every = stops(&user.act);
        let hook = port.hook(at, HookSpec { every })?;
        self.add(Instrument::Hook(hook), Owner::User(user));
        Ok(hook)
    }

    /// Sets a watch of a test on a number with the value `now`.
    pub(super) fn watch(
        &mut self,
        port: &mut dyn MachinePort,
        var: &KernelVar,
        now: u64,
        when: When,
        act: HitAction,
    ) -> Result<WatchId, MachineError> {
        let spec = watch_spec(var, now, when, stops(&act));
        let watch = port.watch(var.at, spec)?;
        let user = UserInstrument {
            name: var.name.clone(),
            function: None,
            only: HitFilter::Always,
            act,
        };
        self.add(Instrument::Watch(watch), Owner::User(user));
        Ok(watch)
    }

    pub(super) fn add(&mut self, which: Instrument, owner: Owner) {
        self.all.push((which, owner));
    }

    pub(super) fn remove(
        &mut self,
        port: &mut dyn MachinePort,
        which: Instrument,
    ) -> Result<(), MachineError> {
        port.remove(which)?;
        self.all.retain(|(other, _)| *other != which);
        Ok(())
    }

    pub(super) fn owner(&mut self, which: Instrument) -> Option<&mut Owner> {
        let found = self.all.iter_mut().find(|(other, _)| *other == which);
        found.map(|(_, owner)| owner)
    }

    /// The failure detector's instruments with one of these triggers.
    pub(super) fn of_detector(&self, triggers: &[Trigger]) -> Vec<Instrument> {
        let probes = self.all.iter().filter_map(|(which, owner)| match owner {
            Owner::FailureDetector(trigger) if triggers.contains(trigger) => Some(*which),
            _ => None,
        });
        probes.collect()
    }
}

/// How a watch on a number is set that has this value now.
pub(super) fn watch_spec(var: &KernelVar, now: u64, when: When, every: u64) -> WatchSpec {
    WatchSpec {
        // A `KernelVar` has no other width.
        width: Width::of(var.bytes).unwrap_or(Width::Eight),
        when,
        every,
        current: now,
    }
}

/// Every how many hits the guest stops for this.
fn stops(act: &HitAction) -> u64 {
    u64::from(!matches!(act, HitAction::Count))
}
