//! Kernel ops: batches of reads and writes of the guest's kernel, at addresses and at places with a type.
//!
//! A batch is carried out in its order and ends at the first entry that fails (contracts A1 to A4, F14).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{KernelPath, PathRoot, PathStep};

/// The longest tag of a request, in bytes.
pub const MAX_TAG: usize = 256;

/// The longest reason of a reply, in bytes.
pub const MAX_REASON: usize = 256;

/// The longest reply, in bytes, as postcard.
pub const MAX_REPLY: usize = 1 << 20;

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelOpRequest {
    /// The sender's own number; the reply repeats it.
    pub request_id: u32,
    /// The name of the batch in the record; at most [`MAX_TAG`] bytes.
    pub tag: String,
    /// Read or write.
    pub direction: Direction,
    /// May the kernel run meanwhile?
    pub mode: Mode,
    /// What is read or written, in this order.
    pub entries: Vec<KernelOp>,
}

/// Whether a batch reads or writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// The variant of an entry's value decides how wide the read is; what it holds is ignored.
    Read,
    /// The values are written.
    Write,
}

/// Whether the kernel stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Mode {
    /// It is frozen for the whole batch.
    #[default]
    Cold,
    /// It may run: a read is one load, and an `OrU32` a compare-exchange.
    Hot,
}

/// One read or write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelOp {
    /// Where.
    pub target: Target,
    /// What is written, or how wide a read is.
    pub value: OpValue,
}

/// A place of the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A symbol of the kernel's image.
    Symbol {
        /// Its name.
        name: String,
    },
    /// An address in the direct map of RAM.
    Direct {
        /// The kernel's virtual address.
        kva: u64,
    },
    /// Any address of the kernel's half.
    Kva {
        /// The kernel's virtual address.
        kva: u64,
    },
    /// A field of a per-CPU variable.
    PerCpuField {
        /// `runqueues`, `kernel_cpustat`, `kstat` or `tick_cpu_sched`.
        symbol: String,
        /// Whose.
        cpu: u32,
        /// The path, as `scx.flags`.
        field: String,
    },
    /// A field of a task that sleeps.
    TaskField {
        /// Its thread's number: `task_struct.pid`.
        pid: i32,
        /// `task_struct.start_time` in nanoseconds, so that a pid that was given to another task is noticed.
        start_time_ns: u64,
        /// The path, as `scx.dsq_vtime`.
        field: String,
    },
}

/// A value, or the width of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpValue {
    /// 32 bits.
    U32(u32),
    /// 64 bits.
    U64(u64),
    /// So many bytes.
    Bytes(Vec<u8>),
    /// Sets these bits of a 32-bit word, and leaves the others. There is none of 64 bits: it would overwrite the neighbour
    /// of a 32-bit flag word, as `scx_rq.flags` is.
    OrU32(u32),
}

/// The outcome of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelOpReply {
    /// The request's.
    pub request_id: u32,
    /// Was every entry carried out?
    pub success: bool,
    /// Why not: empty on success; at most [`MAX_REASON`] bytes; begins with `entry[i]: ` where one entry failed.
    pub reason: String,
    /// What was read, one for each entry; none for a batch that writes or failed.
    pub read_values: Vec<OpValue>,
}

impl KernelOpRequest {
    /// A batch that writes, of a kernel that stands still.
    pub fn write(tag: &str, entries: Vec<KernelOp>) -> KernelOpRequest {
        KernelOpRequest::new(tag, Direction::Write, entries)
    }

    /// A batch that reads, of a kernel that stands still.
    pub fn read(tag: &str, entries: Vec<KernelOp>) -> KernelOpRequest {
        KernelOpRequest::new(tag, Direction::Read, entries)
    }

    fn new(tag: &str, direction: Direction, entries: Vec<KernelOp>) -> KernelOpRequest {
        KernelOpRequest {
            request_id: 1,
            tag: tag.to_owned(),
            direction,
            mode: Mode::Cold,
            entries,
        }
    }
}

/// A path is no target of a kernel op.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// A pid can be given to another task meanwhile.
    #[error("{path} is a field of a task: name its start time too, with `Target::task`")]
    Task {
        /// The path.
        path: KernelPath,
    },
    /// What kernel ops do not reach.
    #[error(
        "{path} is no target of a kernel op: these are a symbol, `runqueues[1].FIELD`, `kva[…]` and `direct[…]`"
    )]
    Kind {
        /// The path.
        path: KernelPath,
    },
}

impl TryFrom<&KernelPath> for Target {
    type Error = TargetError;

    /// The target that a path names; a size in the path is left to the value.
    fn try_from(path: &KernelPath) -> Result<Target, TargetError> {
        match (path.root(), path.steps()) {
            (PathRoot::Name(name), []) => Ok(Target::symbol(name)),
            (PathRoot::Address(kva), []) => Ok(Target::kva(*kva)),
            (PathRoot::Direct(kva), []) => Ok(Target::direct(*kva)),
            (PathRoot::Name(name), [PathStep::Index(cpu), rest @ ..]) if !rest.is_empty() => {
                let cpu = u32::try_from(*cpu).unwrap_or(u32::MAX);
                Ok(Target::per_cpu(name, cpu, &PathStep::fields(rest)))
            }
            (PathRoot::Task(_), _) => Err(TargetError::Task { path: path.clone() }),
            _ => Err(TargetError::Kind { path: path.clone() }),
        }
    }
}

/// As a [`KernelPath`] is spelled.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Symbol { name } => f.write_str(name),
            Target::Direct { kva } => write!(f, "{}", PathRoot::Direct(*kva)),
            Target::Kva { kva } => write!(f, "{}", PathRoot::Address(*kva)),
            Target::PerCpuField { symbol, cpu, field } => write!(f, "{symbol}[{cpu}].{field}"),
            Target::TaskField { pid, field, .. } => write!(f, "task[{pid}].{field}"),
        }
    }
}

impl Target {
    /// A symbol of the kernel's image.
    pub fn symbol(name: &str) -> Target {
        Target::Symbol {
            name: name.to_owned(),
        }
    }

    /// An address in the direct map of RAM.
    pub fn direct(kva: u64) -> Target {
        Target::Direct { kva }
    }

    /// Any address of the kernel's half.
    pub fn kva(kva: u64) -> Target {
        Target::Kva { kva }
    }

    /// A field of `runqueues`, `kernel_cpustat`, `kstat` or `tick_cpu_sched` of a CPU.
    pub fn per_cpu(symbol: &str, cpu: u32, field: &str) -> Target {
        Target::PerCpuField {
            symbol: symbol.to_owned(),
            cpu,
            field: field.to_owned(),
        }
    }

    /// A field of a task that sleeps, by its pid and its `start_time` in nanoseconds.
    pub fn task(pid: i32, start_time_ns: u64, field: &str) -> Target {
        Target::TaskField {
            pid,
            start_time_ns,
            field: field.to_owned(),
        }
    }

    /// 32 bits there: what is written, or for a read how wide it is.
    pub fn u32(self, value: u32) -> KernelOp {
        self.op(OpValue::U32(value))
    }

    /// 64 bits there: what is written, or for a read how wide it is.
    pub fn u64(self, value: u64) -> KernelOp {
        self.op(OpValue::U64(value))
    }

    /// Bytes there: what is written, or for a read how many.
    pub fn bytes(self, bytes: impl Into<Vec<u8>>) -> KernelOp {
        self.op(OpValue::Bytes(bytes.into()))
    }

    /// Sets these bits of a 32-bit word there.
    pub fn or_u32(self, mask: u32) -> KernelOp {
        self.op(OpValue::OrU32(mask))
    }

    fn op(self, value: OpValue) -> KernelOp {
        KernelOp { target: self, value }
    }
}

/// The beginning of a reason that a reply has room for: at most [`MAX_REASON`] bytes, and whole characters.
pub fn cut(reason: &str) -> &str {
    crate::text::cut(reason, MAX_REASON)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_target_is_spelled_as_its_path() {
        let check = |target: Target, text: &str| {
            assert_eq!(target.to_string(), text);
            let path: KernelPath = text.parse().unwrap();
            assert_eq!(Target::try_from(&path), Ok(target), "{text}");
        };
        check(Target::symbol("jiffies_64"), "jiffies_64");
        check(
            Target::per_cpu("runqueues", 1, "scx.flags"),
            "runqueues[1].scx.flags",
        );
        check(Target::kva(0xffff_ffff_8200_0000), "kva[0xffffffff82000000]");
        check(
            Target::direct(0xffff_8880_0000_1000),
            "direct[0xffff888000001000]",
        );
        let task = Target::task(112, 5, "scx.dsq_vtime").to_string();
        assert_eq!(task, "task[112].scx.dsq_vtime");
    }

    #[test]
    fn a_path_that_is_no_target_says_what_is() {
        let check = |text: &str, expect: &str| {
            let path: KernelPath = text.parse().unwrap();
            let error = Target::try_from(&path).unwrap_err().to_string();
            assert!(error.contains(expect), "{error}");
        };
        check("task[112].scx.dsq_vtime", "Target::task");
        check("scx_root->exit_kind", "these are a symbol");
        check("dsq[0x2].nr", "these are a symbol");
        check("runqueues[1]", "these are a symbol");
    }

    /// A26: at most 256 bytes, and never half a character.
    #[test]
    fn a_reason_is_cut_where_a_character_begins() {
        for (reason, len) in [
            (String::new(), 0),
            ("short".to_owned(), 5),
            ("a".repeat(256), 256),
            ("a".repeat(257), 256),
            ("é".repeat(200), 256),
            (format!("a{}", "é".repeat(200)), 255),
            ("€".repeat(100), 255),
            ("😀".repeat(65), 256),
            (format!("abc{}", "😀".repeat(65)), 255),
            ("\u{feff}".repeat(90), 255),
            (format!("{}€", "a".repeat(254)), 254),
        ] {
            assert_eq!(cut(&reason).len(), len, "{reason}");
            assert!(reason.starts_with(cut(&reason)));
        }
    }

    /// A27: an OR keeps its variant and its mask on the way, and so does everything else.
    #[test]
    fn a_request_and_a_reply_survive_the_way() {
        let request = KernelOpRequest {
            mode: Mode::Hot,
            ..KernelOpRequest::write(
                "flip",
                vec![
                    Target::symbol("jiffies_64").u64(7),
                    Target::direct(0xffff_8880_0000_1000).bytes(*b"abc"),
                    Target::kva(u64::MAX).u32(1),
                    Target::per_cpu("runqueues", 1, "scx.flags").or_u32(0xdead_beef),
                    Target::task(12, 34, "scx.dsq_vtime").u64(u64::MAX),
                ],
            )
        };
        let bytes = postcard::to_stdvec(&request).unwrap();
        let back: KernelOpRequest = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(back, request);
        assert_eq!(back.entries[3].value, OpValue::OrU32(0xdead_beef));
        let reply = KernelOpReply {
            request_id: 9,
            success: true,
            reason: String::new(),
            read_values: vec![OpValue::U32(1), OpValue::OrU32(2)],
        };
        let bytes = postcard::to_stdvec(&reply).unwrap();
        assert_eq!(postcard::from_bytes::<KernelOpReply>(&bytes).unwrap(), reply);
    }

    /// A8: there is an OR of 32 bits, and none of 64.
    #[test]
    fn a_value_is_one_of_four_kinds() {
        let all = [
            OpValue::U32(0),
            OpValue::U64(0),
            OpValue::Bytes(Vec::new()),
            OpValue::OrU32(0),
        ];
        for (variant, value) in all.iter().enumerate() {
            assert_eq!(usize::from(postcard::to_stdvec(value).unwrap()[0]), variant);
        }
        assert!(postcard::from_bytes::<OpValue>(&[4, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    proptest! {
        #[test]
        fn a_cut_reason_begins_the_reason(reason in "\\PC{0,400}") {
            let cut = cut(&reason);
            prop_assert!(cut.len() <= MAX_REASON && reason.starts_with(cut));
            prop_assert!(cut.len() == reason.len() || cut.len() > MAX_REASON - 4);
        }
    }
}
