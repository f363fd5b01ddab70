//! What looking at a guest needs of the machine that the guest runs in.

use guestmem::{GuestVirt, PhysMem};
use introspect::GuestKernel;
use machine::{HookId, HookSpec, Instrument, MachineError, WatchId, WatchSpec};
use spec::GuestTime;

/// A machine whose guest stands still. Whoever owns the machine implements this; tests have one without a machine.
pub trait MachinePort {
    /// The guest's RAM.
    fn memory(&self) -> &dyn PhysMem;

    /// The guest's time, by the clock that its kernel keeps.
    fn now(&self, kernel: &GuestKernel<'_>) -> GuestTime;

    /// Bytes of the console so far, as the record will have it.
    fn console_len(&self) -> usize;

    /// Sets a hook.
    ///
    /// # Errors
    /// The machine's, also where it takes no hooks any more.
    fn hook(&mut self, at: GuestVirt, spec: HookSpec) -> Result<HookId, MachineError>;

    /// Sets a watch.
    ///
    /// # Errors
    /// The machine's.
    fn watch(&mut self, at: GuestVirt, spec: WatchSpec) -> Result<WatchId, MachineError>;

    /// Takes a hook or a watch away.
    ///
    /// # Errors
    /// The machine's.
    fn remove(&mut self, which: Instrument) -> Result<(), MachineError>;
}
