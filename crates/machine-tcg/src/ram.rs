//! A machine's RAM, as its owner reaches it.

use guestmem::{PhysMem, ProcessRam, SharedRam};

/// How.
#[derive(Debug)]
pub(crate) enum GuestRam {
    /// By a mapping of the file that QEMU maps, too.
    Shared(SharedRam),
    /// In QEMU's process: what it writes is its own, as for a duplicate and for whatever has one.
    Private(ProcessRam),
}

impl GuestRam {
    /// As memory.
    pub(crate) fn memory(&self) -> &dyn PhysMem {
        match self {
            GuestRam::Shared(ram) => ram,
            GuestRam::Private(ram) => ram,
        }
    }

    /// QEMU's process has ended.
    pub(crate) fn end(&mut self) {
        if let GuestRam::Private(ram) = self {
            ram.end();
        }
    }

    /// The guest is about to run.
    pub(crate) fn forget(&mut self) {
        if let GuestRam::Private(ram) = self {
            ram.forget();
        }
    }
}
