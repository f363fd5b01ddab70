//! What the plugin reports to the owner.

use crate::bytes::{put, u32_at, u64_at};
use crate::duplicate::Refusal;
use crate::registers::{REGISTERS, Values};

/// Bytes of an encoded [`Report`].
pub const REPORT_SIZE: usize = VALUES + 8 * REGISTERS.len();
/// The first register's offset.
const VALUES: usize = 32;

/// A report of the plugin. It holds the guest until [`crate::Command::Resume`]; answers to other commands come in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// Why the plugin reports.
    pub cause: Cause,
    /// Registers of the vCPU that executes; zero where the cause does not say that they are there.
    pub registers: Values,
}

/// Why the plugin reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The machine is built, and no instruction was executed yet. No registers.
    Ready,
    /// A vCPU is about to execute the call instruction. All registers.
    Call,
    /// A vCPU is about to execute a hook's instruction. All registers.
    Hook {
        /// The hook.
        index: u32,
        /// Executions so far, this one included.
        hits: u64,
    },
    /// A vCPU has stored to a watched place. Of the registers `rip`, which is the store's, and the two bases of which one
    /// is the kernel's per-CPU base.
    Watch {
        /// The watch.
        index: u32,
        /// Stores so far after which the condition held, this one included.
        hits: u64,
        /// The value before the store.
        old: u64,
        /// The value after it.
        new: u64,
    },
    /// The answer to [`crate::Command::Count`]. No registers.
    Count {
        /// The hook or watch.
        index: u32,
        /// Its hits so far.
        hits: u64,
    },
    /// The first answer to [`crate::Command::Duplicate`], of the process itself. No registers.
    Duplicated {
        /// The duplicate's process.
        pid: u32,
    },
    /// The other answer, of the duplicate, on its own channel: it stands where the original stands. No registers.
    IsDuplicate {
        /// Its process.
        pid: u32,
    },
    /// The only answer where the process cannot be duplicated; it is as it was. No registers.
    NotDuplicated {
        /// Why not.
        why: Refusal,
        /// The number that belongs to it.
        number: u64,
    },
}

impl Report {
    /// A report without registers.
    pub fn without_registers(cause: Cause) -> Report {
        Report {
            cause,
            registers: Values::default(),
        }
    }

    /// The packet of this report.
    pub fn to_bytes(self) -> [u8; REPORT_SIZE] {
        let (kind, index, hits, old, new) = match self.cause {
            Cause::Ready => (1u32, 0, 0, 0, 0),
            Cause::Call => (2, 0, 0, 0, 0),
            Cause::Hook { index, hits } => (3, index, hits, 0, 0),
            Cause::Watch {
                index,
                hits,
                old,
                new,
            } => (4, index, hits, old, new),
            Cause::Count { index, hits } => (5, index, hits, 0, 0),
            Cause::Duplicated { pid } => (6, pid, 0, 0, 0),
            Cause::IsDuplicate { pid } => (7, pid, 0, 0, 0),
            Cause::NotDuplicated { why, number } => (8, why as u32, number, 0, 0),
        };
        let mut packet = [0; REPORT_SIZE];
        put(&mut packet, 0, &kind.to_le_bytes());
        put(&mut packet, 4, &index.to_le_bytes());
        put(&mut packet, 8, &hits.to_le_bytes());
        put(&mut packet, 16, &old.to_le_bytes());
        put(&mut packet, 24, &new.to_le_bytes());
        for (nth, value) in self.registers.iter().enumerate() {
            put(&mut packet, VALUES + 8 * nth, &value.to_le_bytes());
        }
        packet
    }

    /// The report in a packet; `None` where the packet has no meaning.
    pub fn from_bytes(packet: &[u8]) -> Option<Report> {
        let report = Report::from_fields(packet)?;
        (report.to_bytes() == packet).then_some(report)
    }

    fn from_fields(packet: &[u8]) -> Option<Report> {
        let (index, hits) = (u32_at(packet, 4)?, u64_at(packet, 8)?);
        let cause = match u32_at(packet, 0)? {
            1 => Cause::Ready,
            2 => Cause::Call,
            3 => Cause::Hook { index, hits },
            4 => Cause::Watch {
                index,
                hits,
                old: u64_at(packet, 16)?,
                new: u64_at(packet, 24)?,
            },
            5 => Cause::Count { index, hits },
            6 => Cause::Duplicated { pid: index },
            7 => Cause::IsDuplicate { pid: index },
            8 => Cause::NotDuplicated {
                why: Refusal::of(index)?,
                number: hits,
            },
            _ => return None,
        };
        let mut registers = Values::default();
        for (nth, value) in registers.iter_mut().enumerate() {
            *value = u64_at(packet, VALUES + 8 * nth)?;
        }
        Some(Report { cause, registers })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_report_has_these_bytes() {
        let registers: Values = std::array::from_fn(|index| 0x1100 + index as u64);
        let check = |cause: Cause, head: [u8; VALUES]| {
            let report = Report { cause, registers };
            let bytes = report.to_bytes();
            assert_eq!(bytes.len(), 208);
            assert_eq!(bytes[..VALUES], head, "{cause:?}");
            assert_eq!(bytes[32..40], [0, 0x11, 0, 0, 0, 0, 0, 0], "rax is first");
            assert_eq!(bytes[200..], [21, 0x11, 0, 0, 0, 0, 0, 0], "k_gs_base is last");
            assert_eq!(Report::from_bytes(&bytes), Some(report));
        };
        let head = |bytes: &[(usize, u8)]| {
            let mut head = [0; VALUES];
            for (at, byte) in bytes {
                head[*at] = *byte;
            }
            head
        };
        check(Cause::Ready, head(&[(0, 1)]));
        check(Cause::Call, head(&[(0, 2)]));
        let hook = Cause::Hook {
            index: 5,
            hits: 0x0201,
        };
        check(hook, head(&[(0, 3), (4, 5), (8, 1), (9, 2)]));
        let watch = Cause::Watch {
            index: 1,
            hits: 2,
            old: 3,
            new: 4,
        };
        check(watch, head(&[(0, 4), (4, 1), (8, 2), (16, 3), (24, 4)]));
        check(
            Cause::Count { index: 1, hits: 2 },
            head(&[(0, 5), (4, 1), (8, 2)]),
        );
        check(Cause::Duplicated { pid: 3 }, head(&[(0, 6), (4, 3)]));
        check(Cause::IsDuplicate { pid: 3 }, head(&[(0, 7), (4, 3)]));
        let why = Refusal::Descriptor;
        check(
            Cause::NotDuplicated { why, number: 9 },
            head(&[(0, 8), (4, 2), (8, 9)]),
        );
    }

    #[test]
    fn a_packet_that_is_no_report_has_no_meaning() {
        let check = |packet: &[u8]| assert_eq!(Report::from_bytes(packet), None, "{packet:?}");
        let ready = Report::without_registers(Cause::Ready).to_bytes();
        check(&[]);
        check(&ready[..REPORT_SIZE - 1]);
        check(&[&ready[..], &[0]].concat());
        check(&[9; REPORT_SIZE]);
        let mut indexed = ready;
        indexed[4] = 1;
        check(&indexed);
        let mut unknown = ready;
        (unknown[0], unknown[4]) = (8, 99);
        check(&unknown);
    }

    fn cause() -> impl Strategy<Value = Cause> {
        prop_oneof![
            Just(Cause::Ready),
            Just(Cause::Call),
            any::<(u32, u64)>().prop_map(|(index, hits)| Cause::Hook { index, hits }),
            any::<(u32, u64, u64, u64)>().prop_map(|(index, hits, old, new)| Cause::Watch {
                index,
                hits,
                old,
                new,
            }),
            any::<(u32, u64)>().prop_map(|(index, hits)| Cause::Count { index, hits }),
            any::<u32>().prop_map(|pid| Cause::Duplicated { pid }),
            any::<u32>().prop_map(|pid| Cause::IsDuplicate { pid }),
            (prop::sample::select(Refusal::ALL.to_vec()), any::<u64>())
                .prop_map(|(why, number)| Cause::NotDuplicated { why, number }),
        ]
    }

    fn report() -> impl Strategy<Value = Report> {
        (cause(), any::<Values>()).prop_map(|(cause, registers)| Report { cause, registers })
    }

    proptest! {
        #[test]
        fn every_report_reads_as_it_was_written(report in report()) {
            prop_assert_eq!(Report::from_bytes(&report.to_bytes()), Some(report));
        }

        #[test]
        fn a_damaged_report_is_none_or_another_one(
            report in report(), at in 0..REPORT_SIZE, by in 1u8.., len in 0..=REPORT_SIZE + 1
        ) {
            let mut packet = report.to_bytes().to_vec();
            packet[at] ^= by;
            prop_assert_ne!(Report::from_bytes(&packet), Some(report));
            packet.resize(len, 0);
            let read = Report::from_bytes(&packet);
            prop_assert!(read.is_none_or(|read| read.to_bytes()[..] == packet[..]));
        }
    }
}
