//! The machine of a session, as `observe` reaches it.

use guestmem::{GuestVirt, PhysMem};
use introspect::GuestKernel;
use machine::{HookId, HookSpec, Instrument, Machine, MachineError, WatchId, WatchSpec};
use observe::MachinePort;
use spec::GuestTime;

use crate::session::describe;
use crate::watchdog::Clock;

/// A machine whose guest stands still.
pub(crate) struct FrozenMachine<'m> {
    machine: &'m mut dyn Machine,
    clock: Option<&'m Clock>,
    /// The last guest time that is known, for a machine without a clock.
    told: GuestTime,
}

impl<'m> FrozenMachine<'m> {
    pub(crate) fn new(
        machine: &'m mut dyn Machine,
        clock: Option<&'m Clock>,
        told: GuestTime,
    ) -> FrozenMachine<'m> {
        FrozenMachine { machine, clock, told }
    }
}

impl MachinePort for FrozenMachine<'_> {
    fn memory(&self) -> &dyn PhysMem {
        self.machine.memory()
    }

    fn now(&self, kernel: &GuestKernel<'_>) -> GuestTime {
        self.clock
            .and_then(|clock| clock.read(kernel))
            .unwrap_or(self.told)
    }

    fn console_len(&self) -> usize {
        let console = self.machine.console();
        console.map_or(0, |console| describe::text(&console).len())
    }

    fn hook(&mut self, at: GuestVirt, spec: HookSpec) -> Result<HookId, MachineError> {
        self.machine.hook(at, spec)
    }

    fn watch(&mut self, at: GuestVirt, spec: WatchSpec) -> Result<WatchId, MachineError> {
        self.machine.watch(at, spec)
    }

    fn remove(&mut self, which: Instrument) -> Result<(), MachineError> {
        self.machine.remove(which)
    }
}
