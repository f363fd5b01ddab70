//! The events that a machine reports to its owner.

use std::fmt;

use guestmem::GuestVirt;

use crate::Registers;

/// Names a hook; given by [`crate::Machine::hook`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookId(pub u32);

/// Names a watch; given by [`crate::Machine::watch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u32);

/// A vCPU, numbered from 0 as the CPUs of [`spec::Topology`] are, which is how Linux numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VcpuId(pub u32);

/// A hook or a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Instrument {
    /// A hook.
    Hook(HookId),
    /// A watch.
    Watch(WatchId),
}

/// When a hook reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookSpec {
    /// Report every n-th time the address is executed: the n-th, the 2n-th, … (1 = always, 0 = never: it only counts).
    pub every: u64,
}

impl HookSpec {
    /// Report each time.
    pub const ALWAYS: HookSpec = HookSpec { every: 1 };
    /// Count, and never freeze the guest.
    pub const COUNT: HookSpec = HookSpec { every: 0 };
}

/// Which bytes are watched, and which stores are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchSpec {
    /// How many bytes.
    pub width: Width,
    /// What a store must have left behind.
    pub when: When,
    /// Report every n-th such store (1 = always, 0 = never: it only counts).
    pub every: u64,
    /// The current value of these bytes.
    pub current: u64,
}

/// Bytes of a watched number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the numbers")]
pub enum Width {
    One = 1,
    Two = 2,
    Four = 4,
    Eight = 8,
}

impl Width {
    /// The width of a number of this many bytes; `None` where no number has it.
    pub fn of(bytes: u64) -> Option<Width> {
        match bytes {
            1 => Some(Width::One),
            2 => Some(Width::Two),
            4 => Some(Width::Four),
            8 => Some(Width::Eight),
            _ => None,
        }
    }

    /// The width in bytes.
    pub fn bytes(self) -> u64 {
        self as u64
    }
}

/// What a store must have left behind for a watch to report it. Numbers are unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Any value, the old one included.
    Stored,
    /// A value that differs from the old one.
    Changed,
    /// This value.
    Equal(u64),
    /// This value, or a greater one.
    AtLeast(u64),
    /// This value, or a smaller one.
    AtMost(u64),
    /// Any of these bits is set, and none of them was before.
    BitsSet(u64),
}

/// An event of a machine. The doc of [`crate::Machine::next`] says which of these freeze the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The guest has written this to its console since the last such event. The event that followed comes next.
    Console(Vec<u8>),
    /// A program of the guest calls; frozen until `resume`.
    Call(Call),
    /// A hook's address was reached; frozen until `resume`.
    Hook(HookHit),
    /// The kernel has stored to a watched place; frozen after the store until `resume`.
    Watch(WatchHit),
    /// The machine has ended.
    Exit(ExitReason),
    /// The host-time deadline passed; the machine still runs.
    Deadline,
}

/// A request of a program of the guest: a buffer in the calling process's address space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The vCPU that called; `None` where the backend cannot know. (tcg with several vCPUs cannot: QEMU 10.0 passes a plugin
    /// the number of another vCPU where all share a thread. [`Registers::per_cpu_base`] leads to the kernel's CPU there.)
    pub vcpu: Option<VcpuId>,
    /// The registers at the call instruction.
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
    /// The vCPU that reached it; `None` where the backend cannot know, as in [`Call::vcpu`].
    pub vcpu: Option<VcpuId>,
    /// Which hook.
    pub hook: HookId,
    /// How often the address was executed so far, this time included.
    pub hits: u64,
    /// The registers before the instruction: arguments by the calling convention.
    pub registers: Registers,
}

/// The kernel has stored to a watched place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchHit {
    /// The vCPU that has stored; `None` where the backend cannot know, as in [`Call::vcpu`].
    pub vcpu: Option<VcpuId>,
    /// Which watch.
    pub watch: WatchId,
    /// How often the condition held so far, this time included.
    pub hits: u64,
    /// The instruction that has stored.
    pub ip: GuestVirt,
    /// The kernel's per-CPU base on the vCPU that has stored ([`Registers::per_cpu_base`]); `None` where no register held it.
    pub per_cpu_base: Option<GuestVirt>,
    /// The value before the store.
    pub old: u64,
    /// The value after the store.
    pub new: u64,
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

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitReport {
    /// Why it ended.
    pub reason: ExitReason,
    /// Everything that the guest wrote to its console.
    pub console: Vec<u8>,
}
