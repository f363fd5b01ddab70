// SPDX-License-Identifier: MIT OR Apache-2.0
//! The channel between QEMU's plugin and its owner: two fixed-size little-endian messages.
//!
//! A Unix socket pair of sequenced packets: one packet is one message. Both sides are built from this file
//! (machine-tcg includes it by path and embeds the plugin), so there is no version to negotiate.
//!
//! ```text
//! Command, owner → plugin, 40 bytes      Report, plugin → owner, 216 bytes
//!   0 u32 kind: 1 hook, 2 go, 3 watch,     0 u32 kind: 1 ready, 2 call, 3 hook, 4 watch, 5 count
//!         4 drop, 5 count                  4 u32 vCPU
//!   4 u16 width, u16 condition             8 u32 hook or watch, counted from 0 in the order of the commands
//!   8 u64 address, or hook or watch       12 u32 0
//!  16 u64 every                           16 u64 hits
//!  24 u64 operand of the condition        24 u64 old value of a watch, u64 new value
//!  32 u64 the value that is there now     40 u64 × 22 registers, in the order of REGISTERS
//! ```
//! Hooks and watches are counted together. A command between two freezes is none: the plugin reads them while the guest
//! stands still.

/// Bytes of a [`Command`].
pub(crate) const COMMAND_SIZE: usize = 40;
/// Bytes of a [`Report`].
pub(crate) const REPORT_SIZE: usize = FACTS + 8 * REGISTERS.len();
/// Bytes of a report before the registers.
const FACTS: usize = 40;

/// The registers of a report, by the names that QEMU gives them.
pub(crate) const REGISTERS: [&str; 22] = [
    "rax",
    "rbx",
    "rcx",
    "rdx",
    "rsi",
    "rdi",
    "rbp",
    "rsp",
    "r8",
    "r9",
    "r10",
    "r11",
    "r12",
    "r13",
    "r14",
    "r15",
    "rip",
    "eflags",
    "cr3",
    "cr4",
    "gs_base",
    "k_gs_base",
];
/// Where `rip` is in [`REGISTERS`].
pub(crate) const RIP: usize = 16;
/// Where `gs_base` and `k_gs_base` are: one of them is the base of the kernel's per-CPU memory.
pub(crate) const BASES: [usize; 2] = [20, 21];

/// How a function of the kernel begins that can be traced: `endbr64`; the NOPs that a kernel puts in its place
/// (`gen_endbr_poison`); the NOP where ftrace may put its call, with which BPF programs begin, too.
pub(crate) const ENTRIES: [&[u8]; 4] = [
    b"\xf3\x0f\x1e\xfa",
    b"\x0f\x1f\x40\xd6",
    b"\x66\x0f\x1f\x00",
    b"\x0f\x1f\x44\x00\x00",
];

/// What the owner tells the plugin, which reads commands while it is blocked and never else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Report when `address` is executed, every `every`-th time; 0 = count only. After the first `Go` only where a
    /// function of the kernel begins that can be traced.
    Hook { address: u64, every: u64 },
    /// Report when a store has changed what lies at `address` and the condition holds, every `every`-th time; 0 = count.
    Watch {
        address: u64,
        /// In bytes: 1, 2, 4 or 8.
        width: u16,
        when: When,
        every: u64,
        /// The value that is there now.
        now: u64,
    },
    /// Forget a hook or a watch; its index stays taken.
    Drop { index: u32 },
    /// Report how often a hook or watch was hit.
    Count { index: u32 },
    /// Let the guest run on.
    Go,
}

/// What a store must have left behind to be a hit. Values are unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Anything, be it the same again.
    Stored,
    /// Another value than before.
    Changed,
    Equal(u64),
    AtLeast(u64),
    AtMost(u64),
    /// Any of these bits, none of which was set before.
    BitsSet(u64),
}

impl When {
    fn to_parts(self) -> (u16, u64) {
        match self {
            When::Stored => (0, 0),
            When::Changed => (1, 0),
            When::Equal(value) => (2, value),
            When::AtLeast(value) => (3, value),
            When::AtMost(value) => (4, value),
            When::BitsSet(mask) => (5, mask),
        }
    }

    fn from_parts(kind: u16, operand: u64) -> Option<When> {
        Some(match kind {
            0 => When::Stored,
            1 => When::Changed,
            2 => When::Equal(operand),
            3 => When::AtLeast(operand),
            4 => When::AtMost(operand),
            5 => When::BitsSet(operand),
            _ => return None,
        })
    }

    /// Is this store a hit?
    pub(crate) fn holds(self, old: u64, new: u64) -> bool {
        match self {
            When::Stored => true,
            When::Changed => old != new,
            When::Equal(value) => new == value,
            When::AtLeast(value) => new >= value,
            When::AtMost(value) => new <= value,
            When::BitsSet(mask) => new & mask != 0 && old & mask == 0,
        }
    }
}

/// What the plugin tells its owner; it then blocks, and the guest with it, until `Go`. Only a `Count` is an answer in
/// between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) what: What,
    pub(crate) vcpu: u32,
    pub(crate) registers: [u64; REGISTERS.len()],
}

/// Why the guest stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// The machine is built, and no instruction was executed yet. Registers are zero.
    Ready,
    /// A vCPU is at the call instruction.
    Call,
    /// A vCPU is at a hook's address, for the `hits`-th time.
    Hook { index: u32, hits: u64 },
    /// A vCPU has stored what was watched for. Of the registers there is `rip` alone: that of the store.
    Watch {
        index: u32,
        hits: u64,
        old: u64,
        new: u64,
    },
    /// The answer to `Command::Count`.
    Count { index: u32, hits: u64 },
}

impl Command {
    /// The packet.
    pub(crate) fn to_bytes(self) -> [u8; COMMAND_SIZE] {
        let mut bytes = [0; COMMAND_SIZE];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        let kind: u32 = match self {
            Command::Hook { address, every } => {
                put(8, &address.to_le_bytes());
                put(16, &every.to_le_bytes());
                1
            }
            Command::Go => 2,
            Command::Watch {
                address,
                width,
                when,
                every,
                now,
            } => {
                let (condition, operand) = when.to_parts();
                put(4, &width.to_le_bytes());
                put(6, &condition.to_le_bytes());
                put(8, &address.to_le_bytes());
                put(16, &every.to_le_bytes());
                put(24, &operand.to_le_bytes());
                put(32, &now.to_le_bytes());
                3
            }
            Command::Drop { index } => {
                put(8, &u64::from(index).to_le_bytes());
                4
            }
            Command::Count { index } => {
                put(8, &u64::from(index).to_le_bytes());
                5
            }
        };
        put(0, &kind.to_le_bytes());
        bytes
    }

    /// The packet's meaning; `None` where it has none.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Command> {
        if bytes.len() != COMMAND_SIZE {
            return None;
        }
        let index = || u32::try_from(u64_at(bytes, 8)?).ok();
        match u32_at(bytes, 0)? {
            1 => Some(Command::Hook {
                address: u64_at(bytes, 8)?,
                every: u64_at(bytes, 16)?,
            }),
            2 => Some(Command::Go),
            3 => Some(Command::Watch {
                address: u64_at(bytes, 8)?,
                width: Some(u16_at(bytes, 4)?).filter(|width| matches!(width, 1 | 2 | 4 | 8))?,
                when: When::from_parts(u16_at(bytes, 6)?, u64_at(bytes, 24)?)?,
                every: u64_at(bytes, 16)?,
                now: u64_at(bytes, 32)?,
            }),
            4 => Some(Command::Drop { index: index()? }),
            5 => Some(Command::Count { index: index()? }),
            _ => None,
        }
    }
}

impl Report {
    /// The packet.
    pub(crate) fn to_bytes(self) -> [u8; REPORT_SIZE] {
        let (kind, index, hits, old, new) = match self.what {
            What::Ready => (1u32, 0, 0, 0, 0),
            What::Call => (2, 0, 0, 0, 0),
            What::Hook { index, hits } => (3, index, hits, 0, 0),
            What::Watch {
                index,
                hits,
                old,
                new,
            } => (4, index, hits, old, new),
            What::Count { index, hits } => (5, index, hits, 0, 0),
        };
        let mut bytes = [0; REPORT_SIZE];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.vcpu.to_le_bytes());
        bytes[8..12].copy_from_slice(&index.to_le_bytes());
        bytes[16..24].copy_from_slice(&hits.to_le_bytes());
        bytes[24..32].copy_from_slice(&old.to_le_bytes());
        bytes[32..40].copy_from_slice(&new.to_le_bytes());
        for (slot, register) in bytes[FACTS..].chunks_exact_mut(8).zip(self.registers) {
            slot.copy_from_slice(&register.to_le_bytes());
        }
        bytes
    }

    /// The packet's meaning; `None` where it has none.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Report> {
        if bytes.len() != REPORT_SIZE {
            return None;
        }
        let (index, hits) = (u32_at(bytes, 8)?, u64_at(bytes, 16)?);
        let what = match u32_at(bytes, 0)? {
            1 => What::Ready,
            2 => What::Call,
            3 => What::Hook { index, hits },
            4 => What::Watch {
                index,
                hits,
                old: u64_at(bytes, 24)?,
                new: u64_at(bytes, 32)?,
            },
            5 => What::Count { index, hits },
            _ => return None,
        };
        let mut registers = [0; REGISTERS.len()];
        for (index, register) in registers.iter_mut().enumerate() {
            *register = u64_at(bytes, FACTS + 8 * index)?;
        }
        Some(Report {
            what,
            vcpu: u32_at(bytes, 4)?,
            registers,
        })
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registers() -> [u64; REGISTERS.len()] {
        std::array::from_fn(|index| 0x1100 + index as u64)
    }

    #[test]
    fn a_command_has_these_bytes() {
        let hook = Command::Hook {
            address: 0xffff_ffff_8123_4567,
            every: 3,
        };
        let mut bytes = [0; COMMAND_SIZE];
        bytes[0] = 1;
        bytes[8..16].copy_from_slice(&[0x67, 0x45, 0x23, 0x81, 0xff, 0xff, 0xff, 0xff]);
        bytes[16] = 3;
        assert_eq!(hook.to_bytes(), bytes);
        let watch = Command::Watch {
            address: 0x10,
            width: 4,
            when: When::AtLeast(0x400),
            every: 1,
            now: 7,
        };
        let mut bytes = [0; COMMAND_SIZE];
        (bytes[0], bytes[4], bytes[6], bytes[8], bytes[16]) = (3, 4, 3, 0x10, 1);
        (bytes[25], bytes[32]) = (4, 7);
        assert_eq!(watch.to_bytes(), bytes);
        assert_eq!(Command::Go.to_bytes()[..4], [2, 0, 0, 0]);
        for command in [
            hook,
            watch,
            Command::Go,
            Command::Drop { index: 7 },
            Command::Count { index: 9 },
        ] {
            assert_eq!(Command::from_bytes(&command.to_bytes()), Some(command));
        }
    }

    #[test]
    fn every_condition_travels_and_holds_as_it_says() {
        let check = |when: When, hits: &[(u64, u64)], misses: &[(u64, u64)]| {
            let (kind, operand) = when.to_parts();
            assert_eq!(When::from_parts(kind, operand), Some(when));
            assert!(hits.iter().all(|(old, new)| when.holds(*old, *new)), "{when:?}");
            assert!(
                !misses.iter().any(|(old, new)| when.holds(*old, *new)),
                "{when:?}"
            );
        };
        check(When::Stored, &[(1, 1), (1, 2)], &[]);
        check(When::Changed, &[(1, 2)], &[(1, 1)]);
        check(When::Equal(5), &[(5, 5), (0, 5)], &[(5, 4)]);
        check(When::AtLeast(1024), &[(0, 1024), (0, u64::MAX)], &[(2000, 1023)]);
        check(When::AtMost(3), &[(9, 3), (9, 0)], &[(0, 4)]);
        check(When::BitsSet(6), &[(0, 2), (1, 7)], &[(2, 6), (0, 1)]);
        assert_eq!(When::from_parts(6, 0), None);
    }

    #[test]
    fn a_report_has_these_bytes() {
        let report = Report {
            what: What::Hook {
                index: 5,
                hits: 0x0201,
            },
            vcpu: 7,
            registers: registers(),
        };
        let bytes = report.to_bytes();
        assert_eq!(bytes.len(), 216);
        assert_eq!(
            bytes[..24],
            [
                3, 0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0
            ]
        );
        assert_eq!(bytes[40..48], [0, 0x11, 0, 0, 0, 0, 0, 0], "rax is first");
        assert_eq!(bytes[208..], [21, 0x11, 0, 0, 0, 0, 0, 0], "k_gs_base is last");
        let watch = What::Watch {
            index: 1,
            hits: 2,
            old: 3,
            new: 4,
        };
        for what in [
            What::Ready,
            What::Call,
            report.what,
            watch,
            What::Count { index: 1, hits: 2 },
        ] {
            let report = Report { what, ..report };
            assert_eq!(Report::from_bytes(&report.to_bytes()), Some(report));
        }
    }

    #[test]
    fn what_is_not_in_the_protocol_has_no_meaning() {
        assert_eq!(Command::from_bytes(&[0; COMMAND_SIZE]), None);
        assert_eq!(Command::from_bytes(&[2, 0, 0, 0]), None);
        assert_eq!(Report::from_bytes(&[9; REPORT_SIZE]), None);
        assert_eq!(Report::from_bytes(&[]), None);
    }

    #[test]
    fn rip_is_where_its_index_says() {
        assert_eq!(REGISTERS[RIP], "rip");
    }
}
