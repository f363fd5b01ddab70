//! What the owner asks of the plugin.

use crate::bytes::{put, u16_at, u32_at, u64_at};

/// Bytes of an encoded [`Command`].
pub const COMMAND_SIZE: usize = 40;

/// A request of the owner. The plugin reads one only while it holds the guest in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Report when the instruction at `address` is about to be executed.
    Hook {
        /// The instruction's virtual address. After the first [`Command::Resume`] it must be a function's entry
        /// ([`crate::FUNCTION_ENTRIES`]).
        address: u64,
        /// Report every n-th execution; 0 = count only.
        every: u64,
    },
    /// Report when a store of the kernel has touched the bytes at `address` and the condition holds.
    Watch {
        /// The first byte's virtual address.
        address: u64,
        /// Bytes: 1, 2, 4 or 8.
        width: u16,
        /// What the store must have left behind.
        condition: Condition,
        /// Report every n-th such store; 0 = count only.
        every: u64,
        /// The current value of these bytes.
        current: u64,
    },
    /// Remove a hook or a watch. Its index is not given again.
    Remove {
        /// The hook or watch.
        index: u32,
    },
    /// Report how often a hook or a watch was hit.
    Count {
        /// The hook or watch.
        index: u32,
    },
    /// Seed the machine's own source of random numbers anew.
    Seed {
        /// The seed.
        seed: u64,
    },
    /// Attach nothing to code for the sake of hooks and watches that come later: none will. Only before the first
    /// [`Command::Resume`].
    Unobserved,
    /// Duplicate the process, which stands in a call. With the packet come four descriptors for the duplicate, in the order of
    /// [`crate::DUPLICATE_DESCRIPTORS`].
    Duplicate,
    /// Let the guest run.
    Resume,
}

/// What a store must have left behind to be a hit. Values are unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
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

impl Condition {
    /// Whether a store that replaced `old` by `new` is a hit.
    pub fn holds(self, old: u64, new: u64) -> bool {
        match self {
            Condition::Stored => true,
            Condition::Changed => old != new,
            Condition::Equal(value) => new == value,
            Condition::AtLeast(value) => new >= value,
            Condition::AtMost(value) => new <= value,
            Condition::BitsSet(mask) => new & mask != 0 && old & mask == 0,
        }
    }

    fn to_parts(self) -> (u16, u64) {
        match self {
            Condition::Stored => (0, 0),
            Condition::Changed => (1, 0),
            Condition::Equal(value) => (2, value),
            Condition::AtLeast(value) => (3, value),
            Condition::AtMost(value) => (4, value),
            Condition::BitsSet(mask) => (5, mask),
        }
    }

    fn from_parts(kind: u16, operand: u64) -> Option<Condition> {
        Some(match kind {
            0 => Condition::Stored,
            1 => Condition::Changed,
            2 => Condition::Equal(operand),
            3 => Condition::AtLeast(operand),
            4 => Condition::AtMost(operand),
            5 => Condition::BitsSet(operand),
            _ => return None,
        })
    }
}

impl Command {
    /// The packet of this command.
    pub fn to_bytes(self) -> [u8; COMMAND_SIZE] {
        let mut packet = [0; COMMAND_SIZE];
        let kind: u32 = match self {
            Command::Hook { address, every } => {
                put(&mut packet, 8, &address.to_le_bytes());
                put(&mut packet, 16, &every.to_le_bytes());
                1
            }
            Command::Resume => 2,
            Command::Watch {
                address,
                width,
                condition,
                every,
                current,
            } => {
                let (condition, operand) = condition.to_parts();
                put(&mut packet, 4, &width.to_le_bytes());
                put(&mut packet, 6, &condition.to_le_bytes());
                put(&mut packet, 8, &address.to_le_bytes());
                put(&mut packet, 16, &every.to_le_bytes());
                put(&mut packet, 24, &operand.to_le_bytes());
                put(&mut packet, 32, &current.to_le_bytes());
                3
            }
            Command::Remove { index } => {
                put(&mut packet, 8, &u64::from(index).to_le_bytes());
                4
            }
            Command::Count { index } => {
                put(&mut packet, 8, &u64::from(index).to_le_bytes());
                5
            }
            Command::Duplicate => 6,
            Command::Seed { seed } => {
                put(&mut packet, 8, &seed.to_le_bytes());
                7
            }
            Command::Unobserved => 8,
        };
        put(&mut packet, 0, &kind.to_le_bytes());
        packet
    }

    /// The command in a packet; `None` where the packet has no meaning.
    pub fn from_bytes(packet: &[u8]) -> Option<Command> {
        let command = Command::from_fields(packet)?;
        (command.to_bytes() == packet).then_some(command)
    }

    fn from_fields(packet: &[u8]) -> Option<Command> {
        let index = || u32::try_from(u64_at(packet, 8)?).ok();
        match u32_at(packet, 0)? {
            1 => Some(Command::Hook {
                address: u64_at(packet, 8)?,
                every: u64_at(packet, 16)?,
            }),
            2 => Some(Command::Resume),
            3 => Some(Command::Watch {
                address: u64_at(packet, 8)?,
                width: u16_at(packet, 4).filter(|width| matches!(width, 1 | 2 | 4 | 8))?,
                condition: Condition::from_parts(u16_at(packet, 6)?, u64_at(packet, 24)?)?,
                every: u64_at(packet, 16)?,
                current: u64_at(packet, 32)?,
            }),
            4 => Some(Command::Remove { index: index()? }),
            5 => Some(Command::Count { index: index()? }),
            6 => Some(Command::Duplicate),
            7 => Some(Command::Seed {
                seed: u64_at(packet, 8)?,
            }),
            8 => Some(Command::Unobserved),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_command_has_these_bytes() {
        let check = |command: Command, bytes: &[(usize, u8)]| {
            let mut expect = [0; COMMAND_SIZE];
            for (at, byte) in bytes {
                expect[*at] = *byte;
            }
            assert_eq!(command.to_bytes(), expect, "{command:?}");
            assert_eq!(Command::from_bytes(&expect), Some(command));
        };
        let hook = Command::Hook {
            address: 0x8877_6655_4433_2211,
            every: 3,
        };
        let address = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
        let address: Vec<(usize, u8)> = (8..).zip(address).collect();
        check(hook, &[&[(0, 1), (16, 3)][..], &address].concat());
        let watch = Command::Watch {
            address: 0x10,
            width: 4,
            condition: Condition::AtLeast(0x400),
            every: 1,
            current: 7,
        };
        check(
            watch,
            &[(0, 3), (4, 4), (6, 3), (8, 0x10), (16, 1), (25, 4), (32, 7)],
        );
        check(Command::Resume, &[(0, 2)]);
        check(Command::Remove { index: 0x0102 }, &[(0, 4), (8, 2), (9, 1)]);
        check(Command::Count { index: 9 }, &[(0, 5), (8, 9)]);
        check(Command::Duplicate, &[(0, 6)]);
        check(Command::Seed { seed: 0x0102 }, &[(0, 7), (8, 2), (9, 1)]);
        check(Command::Unobserved, &[(0, 8)]);
    }

    #[test]
    fn a_condition_holds_as_it_says() {
        let check = |condition: Condition, hits: &[(u64, u64)], misses: &[(u64, u64)]| {
            let holds = |(old, new): &(u64, u64)| condition.holds(*old, *new);
            assert!(hits.iter().all(holds), "{condition:?}");
            assert!(!misses.iter().any(holds), "{condition:?}");
        };
        check(Condition::Stored, &[(1, 1), (1, 2)], &[]);
        check(Condition::Changed, &[(1, 2)], &[(1, 1)]);
        check(Condition::Equal(5), &[(5, 5), (0, 5)], &[(5, 4)]);
        check(
            Condition::AtLeast(1024),
            &[(0, 1024), (0, u64::MAX)],
            &[(2000, 1023)],
        );
        check(Condition::AtMost(3), &[(9, 3), (9, 0)], &[(0, 4)]);
        check(Condition::BitsSet(6), &[(0, 2), (1, 7)], &[(2, 6), (0, 1)]);
    }

    #[test]
    fn a_packet_that_is_no_command_has_no_meaning() {
        let check = |packet: &[u8]| assert_eq!(Command::from_bytes(packet), None, "{packet:?}");
        let resume = Command::Resume.to_bytes();
        check(&[]);
        check(&resume[..COMMAND_SIZE - 1]);
        check(&[&resume[..], &[0]].concat());
        check(&[0; COMMAND_SIZE]);
        let with = |at: usize, byte: u8| {
            let mut packet = resume;
            packet[at] = byte;
            packet
        };
        check(&with(0, 9));
        check(&with(39, 1));
        // A watch of no bytes; a hook with an index beyond 32 bits.
        check(&with(0, 3));
        let mut remove = Command::Remove { index: u32::MAX }.to_bytes();
        remove[12] = 1;
        check(&remove);
    }

    fn condition() -> impl Strategy<Value = Condition> {
        let value = any::<u64>();
        prop_oneof![
            Just(Condition::Stored),
            Just(Condition::Changed),
            value.prop_map(Condition::Equal),
            value.prop_map(Condition::AtLeast),
            value.prop_map(Condition::AtMost),
            value.prop_map(Condition::BitsSet),
        ]
    }

    fn command() -> impl Strategy<Value = Command> {
        let width = prop::sample::select(vec![1u16, 2, 4, 8]);
        let watch = (any::<u64>(), width, condition(), any::<u64>(), any::<u64>());
        prop_oneof![
            any::<(u64, u64)>().prop_map(|(address, every)| Command::Hook { address, every }),
            watch.prop_map(|(address, width, condition, every, current)| Command::Watch {
                address,
                width,
                condition,
                every,
                current,
            }),
            any::<u32>().prop_map(|index| Command::Remove { index }),
            any::<u32>().prop_map(|index| Command::Count { index }),
            Just(Command::Duplicate),
            Just(Command::Unobserved),
            any::<u64>().prop_map(|seed| Command::Seed { seed }),
            Just(Command::Resume),
        ]
    }

    proptest! {
        #[test]
        fn every_command_reads_as_it_was_written(command in command()) {
            prop_assert_eq!(Command::from_bytes(&command.to_bytes()), Some(command));
        }

        #[test]
        fn a_damaged_command_is_none_or_another_one(
            command in command(), at in 0..COMMAND_SIZE, by in 1u8.., len in 0..=COMMAND_SIZE + 1
        ) {
            let mut packet = command.to_bytes().to_vec();
            packet[at] ^= by;
            prop_assert_ne!(Command::from_bytes(&packet), Some(command));
            packet.resize(len, 0);
            let read = Command::from_bytes(&packet);
            prop_assert!(read.is_none_or(|read| read.to_bytes()[..] == packet[..]));
        }

        #[test]
        fn any_bytes_are_the_encoding_of_a_command_or_none(
            kind in 0u32..10, rest in prop::collection::vec(any::<u8>(), 0..2 * COMMAND_SIZE)
        ) {
            let packet = [&kind.to_le_bytes()[..], &rest].concat();
            let read = Command::from_bytes(&packet);
            prop_assert!(read.is_none_or(|read| read.to_bytes()[..] == packet[..]));
        }
    }
}
