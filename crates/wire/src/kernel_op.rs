//! Kernel ops: batches of reads and writes of the guest's kernel, by its memory and at places with a type.
//!
//! A batch is carried out in its order and ends at the first entry that fails (contracts A1 to A4, F14).

use serde::{Deserialize, Serialize};

/// The longest tag of a request, in bytes.
pub const MAX_TAG: usize = 256;

/// The longest reason of a reply, in bytes.
pub const MAX_REASON: usize = 256;

/// The longest reply, in bytes, as postcard.
pub const MAX_REPLY: usize = 1 << 20;

/// A batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelOpRequest {
    /// The asker's own number, echoed in the reply.
    pub request_id: u32,
    /// What the record calls it; at most [`MAX_TAG`] bytes.
    pub tag: String,
    /// Which way.
    pub direction: Direction,
    /// May the kernel run meanwhile?
    pub mode: Mode,
    /// What is read or written, in this order.
    pub entries: Vec<KernelOp>,
}

/// Which way a batch goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// The values of the entries say how wide a read is; what they hold is ignored.
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

/// What came of a batch.
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
