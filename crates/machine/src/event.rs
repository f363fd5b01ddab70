//! What a machine tells its owner.

use std::fmt;

use guestmem::GuestVirt;

use crate::Registers;

/// A vCPU's index, as QEMU and the guest kernel number them in boot order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VcpuId(pub u32);

impl fmt::Display for VcpuId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vcpu{}", self.0)
    }
}

/// The name of a hook, given by [`crate::Machine::hook`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookId(pub u32);

/// When a hook reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookSpec {
    /// Report every n-th time the address is executed: the n-th, the 2n-th, … (1 = always; 0 is taken as 1).
    pub every: u64,
}

impl HookSpec {
    /// Report each time.
    pub const ALWAYS: HookSpec = HookSpec { every: 1 };
}

/// Something happened. The doc of [`crate::Machine::next`] tells which of these freeze the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The guest has written this to its console since the last such event; what happened then comes next.
    Console(Vec<u8>),
    /// The agent asks; frozen until `resume`.
    Call(Call),
    /// A hook's address was reached; frozen until `resume`.
    Hook(HookHit),
    /// The machine has ended.
    Exit(ExitReason),
    /// The host-time deadline passed; the machine still runs.
    Deadline,
}

/// The agent's request: a buffer in the calling process's address space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Which vCPU executed the call.
    pub vcpu: VcpuId,
    /// Its registers at the call instruction.
    pub registers: Registers,
    /// Where the request frame lies, and where the answer goes.
    pub buffer: GuestVirt,
    /// The request's length in bytes: the guest's claim.
    pub len: u64,
    /// The buffer's length in bytes: the guest's claim.
    pub capacity: u64,
}

/// A hook's address was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookHit {
    /// Which hook.
    pub hook: HookId,
    /// Which vCPU.
    pub vcpu: VcpuId,
    /// How often the address was executed so far, this time included.
    pub hits: u64,
    /// The registers before the instruction: arguments by the calling convention.
    pub registers: Registers,
}

/// Why a machine has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitReason {
    /// The guest switched itself off.
    PoweredOff,
    /// The guest's kernel panicked; the panic line from its console.
    GuestPanic {
        /// The text after `Kernel panic - not syncing:`.
        message: String,
    },
    /// The guest was reset, with no panic on its console: a triple fault, or a reboot.
    Reset,
    /// The process that executed the guest died.
    Died {
        /// Its exit status in words.
        status: String,
        /// The last of what it wrote to its standard error.
        stderr: String,
    },
    /// Its owner ended it.
    Killed,
}

impl fmt::Display for ExitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitReason::PoweredOff => write!(f, "the guest powered off"),
            ExitReason::GuestPanic { message } => write!(f, "the guest kernel panicked: {message}"),
            ExitReason::Reset => write!(f, "the guest reset itself (a triple fault, or a reboot)"),
            ExitReason::Died { status, stderr } if stderr.is_empty() => {
                write!(f, "the process that executed the guest died ({status})")
            }
            ExitReason::Died { status, stderr } => {
                write!(f, "the process that executed the guest died ({status}): {stderr}")
            }
            ExitReason::Killed => write!(f, "the machine was ended by its owner"),
        }
    }
}

/// The end of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitReport {
    /// Why it ended.
    pub reason: ExitReason,
    /// Everything it wrote to its console.
    pub console: Vec<u8>,
}
