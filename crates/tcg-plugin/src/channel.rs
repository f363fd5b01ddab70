// SPDX-License-Identifier: MIT OR Apache-2.0
//! The channel between QEMU's plugin and its owner: two fixed-size little-endian messages.
//!
//! A Unix socket pair of sequenced packets: one packet is one message. Both sides are built from this file
//! (machine-tcg includes it by path and embeds the plugin), so there is no version to negotiate.
//!
//! ```text
//! Command, owner → plugin, 24 bytes      Report, plugin → owner, 200 bytes
//!   0 u32 kind: 1 hook, 2 go               0 u32 kind: 1 ready, 2 call, 3 hook
//!   4 u32 0                                4 u32 vCPU
//!   8 u64 address                          8 u32 hook, counted from 0 in the order of the commands
//!  16 u64 every                           12 u32 0
//!                                         16 u64 hits
//!                                         24 u64 × 22 registers, in the order of REGISTERS
//! ```

/// Bytes of a [`Command`].
pub(crate) const COMMAND_SIZE: usize = 24;
/// Bytes of a [`Report`].
pub(crate) const REPORT_SIZE: usize = 24 + 8 * REGISTERS.len();

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

/// What the owner tells the plugin, which reads commands while it is blocked and never else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Report when `address` is executed, every `every`-th time. Only before the first `Go`.
    Hook { address: u64, every: u64 },
    /// Let the guest run on.
    Go,
}

/// What the plugin tells its owner; it then blocks, and the guest with it, until `Go`.
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
}

impl Command {
    /// The packet.
    pub(crate) fn to_bytes(self) -> [u8; COMMAND_SIZE] {
        let (kind, address, every) = match self {
            Command::Hook { address, every } => (1u32, address, every),
            Command::Go => (2, 0, 0),
        };
        let mut bytes = [0; COMMAND_SIZE];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[8..16].copy_from_slice(&address.to_le_bytes());
        bytes[16..].copy_from_slice(&every.to_le_bytes());
        bytes
    }

    /// The packet's meaning; `None` where it has none.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Command> {
        if bytes.len() != COMMAND_SIZE {
            return None;
        }
        match u32_at(bytes, 0)? {
            1 => Some(Command::Hook {
                address: u64_at(bytes, 8)?,
                every: u64_at(bytes, 16)?,
            }),
            2 => Some(Command::Go),
            _ => None,
        }
    }
}

impl Report {
    /// The packet.
    pub(crate) fn to_bytes(self) -> [u8; REPORT_SIZE] {
        let (kind, index, hits) = match self.what {
            What::Ready => (1u32, 0, 0),
            What::Call => (2, 0, 0),
            What::Hook { index, hits } => (3, index, hits),
        };
        let mut bytes = [0; REPORT_SIZE];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.vcpu.to_le_bytes());
        bytes[8..12].copy_from_slice(&index.to_le_bytes());
        bytes[16..24].copy_from_slice(&hits.to_le_bytes());
        for (slot, register) in bytes[24..].chunks_exact_mut(8).zip(self.registers) {
            slot.copy_from_slice(&register.to_le_bytes());
        }
        bytes
    }

    /// The packet's meaning; `None` where it has none.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Report> {
        if bytes.len() != REPORT_SIZE {
            return None;
        }
        let what = match u32_at(bytes, 0)? {
            1 => What::Ready,
            2 => What::Call,
            3 => What::Hook {
                index: u32_at(bytes, 8)?,
                hits: u64_at(bytes, 16)?,
            },
            _ => return None,
        };
        let mut registers = [0; REGISTERS.len()];
        for (index, register) in registers.iter_mut().enumerate() {
            *register = u64_at(bytes, 24 + 8 * index)?;
        }
        Some(Report {
            what,
            vcpu: u32_at(bytes, 4)?,
            registers,
        })
    }
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
        assert_eq!(
            hook.to_bytes(),
            [
                1, 0, 0, 0, 0, 0, 0, 0, 0x67, 0x45, 0x23, 0x81, 0xff, 0xff, 0xff, 0xff, 3, 0, 0, 0, 0, 0, 0,
                0
            ]
        );
        assert_eq!(Command::Go.to_bytes()[..4], [2, 0, 0, 0]);
        assert_eq!(Command::from_bytes(&hook.to_bytes()), Some(hook));
        assert_eq!(Command::from_bytes(&Command::Go.to_bytes()), Some(Command::Go));
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
        assert_eq!(bytes.len(), 200);
        assert_eq!(
            bytes[..24],
            [
                3, 0, 0, 0, 7, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0
            ]
        );
        assert_eq!(bytes[24..32], [0, 0x11, 0, 0, 0, 0, 0, 0], "rax is first");
        assert_eq!(bytes[192..], [21, 0x11, 0, 0, 0, 0, 0, 0], "k_gs_base is last");
        for what in [What::Ready, What::Call, report.what] {
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
