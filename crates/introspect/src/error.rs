//! Why a value could not be read.

use guestmem::{GuestVirt, VirtError};

use crate::btf::{BtfError, FieldError, Missing};
use crate::percpu::PerCpuError;
use crate::task::TasksError;

/// Why a value could not be read: a value that is missing always says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The kernel has no such symbol.
    #[error("this kernel has no symbol {name}")]
    NoSymbol {
        /// The name.
        name: String,
    },
    /// The kernel has no such type.
    #[error(transparent)]
    NoType(#[from] Missing),
    /// A type has no such field.
    #[error(transparent)]
    NoField(#[from] FieldError),
    /// The memory is not there.
    #[error("{what}: {source}")]
    Memory {
        /// What was read.
        what: String,
        /// Why it is not there.
        #[source]
        source: VirtError,
    },
    /// A pointer leads nowhere.
    #[error("{what} is NULL")]
    Null {
        /// The pointer.
        what: String,
    },
    /// It was taken for something that it is not.
    #[error("{what} is of type {declaration}, not {wanted}")]
    Unfit {
        /// What was read.
        what: String,
        /// Its type.
        declaration: String,
        /// What was wanted: `an integer`.
        wanted: &'static str,
    },
    /// A value that no healthy kernel has there.
    #[error("{what} is {value:#x}: {why}")]
    OutOfRange {
        /// What was read.
        what: String,
        /// The value.
        value: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A list, tree or table leads back to where it came from.
    #[error("{what} runs in a circle: {at} comes again after {visited} nodes")]
    Cycle {
        /// The list.
        what: String,
        /// The node that was seen before.
        at: GuestVirt,
        /// Nodes seen.
        visited: usize,
    },
    /// A list, tree or table has more than it may.
    #[error("{what} has more than {most} nodes, at which the walk ends")]
    TooMany {
        /// The list.
        what: String,
        /// The bound.
        most: usize,
    },
    /// The kernel has loaded no such BPF object.
    #[error("no BPF {kind} {name} is loaded")]
    NotLoaded {
        /// What was looked for: `map`, `variable`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// Types that lie in the guest are damaged.
    #[error("{what} is no type information: {problem}")]
    Types {
        /// Whose types they are.
        what: String,
        /// What is wrong.
        #[source]
        problem: BtfError,
    },
    /// A variable of one CPU could not be found.
    #[error(transparent)]
    PerCpu(#[from] Box<PerCpuError>),
    /// A task was not found, or the kernel's list of tasks is broken.
    #[error(transparent)]
    Tasks(#[from] Box<TasksError>),
}

impl ReadError {
    /// Does the kernel lack it by its making? Then it is no sign of damage.
    pub fn is_absent(&self) -> bool {
        match self {
            ReadError::NoSymbol { .. } | ReadError::NoType(_) => true,
            ReadError::NoField(error) => {
                matches!(error, FieldError::NoStructure(_) | FieldError::NoMember { .. })
            }
            ReadError::PerCpu(error) => error.is_absent(),
            _ => false,
        }
    }

    pub(crate) fn no_symbol(name: &str) -> ReadError {
        ReadError::NoSymbol {
            name: name.to_owned(),
        }
    }

    pub(crate) fn no_type(kind: &'static str, name: &str) -> ReadError {
        let name = name.to_owned();
        ReadError::NoType(Missing { kind, name })
    }

    pub(crate) fn out_of_range(what: impl Into<String>, value: u64, why: impl Into<String>) -> ReadError {
        ReadError::OutOfRange {
            what: what.into(),
            value,
            why: why.into(),
        }
    }
}
