//! What a machine tells its owner.

use std::fmt;

use guestmem::GuestVirt;

use crate::Registers;

/// The name of a hook, given by [`crate::Machine::hook`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HookId(pub u32);

/// The name of a watch, given by [`crate::Machine::watch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub u32);

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
    /// Count, and never stop the guest.
    pub const COUNT: HookSpec = HookSpec { every: 0 };
}

/// What is watched, and when it is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatchSpec {
    /// How many bytes.
    pub width: Width,
    /// What a store must have left behind.
    pub when: When,
    /// Report every n-th such store (1 = always, 0 = never: it only counts).
    pub every: u64,
    /// The value that is there now.
    pub now: u64,
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
    /// That of a number of so many bytes.
    pub fn of(bytes: u64) -> Option<Width> {
        match bytes {
            1 => Some(Width::One),
            2 => Some(Width::Two),
            4 => Some(Width::Four),
            8 => Some(Width::Eight),
            _ => None,
        }
    }

    /// In bytes.
    pub fn bytes(self) -> u64 {
        self as u64
    }
}

/// What a store must have left behind for a watch to report it. Numbers are unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Anything, be it the same again.
    Stored,
    /// Another value than before.
    Changed,
    /// This value.
    Equal(u64),
    /// This value, or a greater one.
    AtLeast(u64),
    /// This value, or a smaller one.
    AtMost(u64),
    /// Any of these bits, where none of them was set before.
    BitsSet(u64),
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
    /// What is watched was stored to; frozen, with the store done, until `resume`.
    Watch(WatchHit),
    /// The machine has ended.
    Exit(ExitReason),
    /// The host-time deadline passed; the machine still runs.
    Deadline,
}

/// The agent's request: a buffer in the calling process's address space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
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
    /// Which hook.
    pub hook: HookId,
    /// How often the address was executed so far, this time included.
    pub hits: u64,
    /// The registers before the instruction: arguments by the calling convention.
    pub registers: Registers,
}

/// What is watched was stored to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchHit {
    /// Which watch.
    pub watch: WatchId,
    /// How often the condition held so far, this time included.
    pub hits: u64,
    /// The instruction that has stored.
    pub ip: GuestVirt,
    /// The per-CPU base of the kernel on the vCPU that has stored ([`Registers::per_cpu_base`]); `None` where it cannot be
    /// told.
    pub per_cpu_base: Option<GuestVirt>,
    /// The value before, as far as stores and the owner have made it.
    pub old: u64,
    /// The value now.
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

/// The end of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitReport {
    /// Why it ended.
    pub reason: ExitReason,
    /// Everything it wrote to its console.
    pub console: Vec<u8>,
}
