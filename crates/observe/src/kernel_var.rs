//! What can be watched: a number at an address.

use guestmem::GuestVirt;
use introspect::bpf::Bpf;
use introspect::{GuestKernel, NAMED_PER_CPU as PER_CPU, Object, ReadError, task};

/// A number in a kernel, by what somebody calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelVar {
    /// Its address.
    pub at: GuestVirt,
    /// Its size in bytes: 1, 2, 4 or 8.
    pub bytes: u64,
    /// What it is called.
    pub name: String,
}

/// Something is no number that can be watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelVarError {
    /// A part of a word.
    #[error("{name} is a bitfield: watch the word that it is in, for `When::BitsSet`")]
    Bitfield {
        /// What it is called.
        name: String,
    },
    /// As wide as nothing that a store writes at once.
    #[error("{name} has {bytes} bytes, and what is watched has 1, 2, 4 or 8: name one of its fields")]
    Width {
        /// What it is called.
        name: String,
        /// Its size.
        bytes: u64,
    },
    /// It cannot be found.
    #[error("find {name}")]
    Read {
        /// What it is called.
        name: String,
        /// Why.
        source: ReadError,
    },
}

/// Symbols the types of which are known, as the kernel tells those of per-CPU variables only.
const NAMED: [(&str, Named); 2] = [
    ("scx_root", Named::Pointer("scx_sched")),
    ("init_task", Named::Variable("task_struct")),
];

/// What a symbol is.
#[derive(Clone, Copy)]
enum Named {
    /// A pointer to such a struct.
    Pointer(&'static str),
    /// Such a struct.
    Variable(&'static str),
}

impl KernelVar {
    /// The number that this object is: a field, an element, a variable of a program.
    ///
    /// # Errors
    /// [`KernelVarError`] for what is no number of a width that is stored at once.
    pub fn of(object: &Object<'_>, name: &str) -> Result<KernelVar, KernelVarError> {
        if object.is_bitfield() {
            return Err(KernelVarError::Bitfield {
                name: name.to_owned(),
            });
        }
        KernelVar::at(object.address(), object.size(), name)
    }

    /// What somebody calls it:
    ///
    /// ```text
    /// scx_root->exit_kind.counter      a field behind a pointer of the kernel, or of init_task
    /// runqueues[1].nr_running          a field of a per-CPU variable
    /// task[112].scx.dsq_vtime          a field of a task, by its pid
    /// nr_enqueued, cpu_vtime[3]        a variable of a BPF program, or a part of one
    /// jiffies_64, sysctl_x:4           a symbol of the kernel: 8 bytes, or as many as it says
    /// ```
    ///
    /// # Errors
    /// [`KernelVarError`].
    pub fn find(kernel: &GuestKernel<'_>, what: &str) -> Result<KernelVar, KernelVarError> {
        let failed = |source: ReadError| KernelVarError::Read {
            name: what.to_owned(),
            source,
        };
        let head = what.find(['-', '.', '[', ':']).unwrap_or(what.len());
        let (name, rest) = what.split_at(head);
        let index = rest
            .strip_prefix('[')
            .and_then(|rest| rest.split_once(']'))
            .and_then(|(index, rest)| Some((index.parse::<u32>().ok()?, rest)));
        let part = |object: Object<'_>, rest: &str| {
            let path = rest.strip_prefix("->").or(rest.strip_prefix('.')).unwrap_or(rest);
            let object = if path.is_empty() {
                Ok(object)
            } else {
                object.field(path)
            };
            KernelVar::of(&object.map_err(failed)?, what)
        };
        if let Some((_, structure)) = NAMED.iter().find(|(named, _)| *named == name) {
            let object = match (structure, index) {
                (Named::Pointer(of), _) => kernel.pointer_variable(name, of).and_then(|object| {
                    object.ok_or_else(|| ReadError::NotLoaded {
                        kind: "scheduler",
                        name: name.to_owned(),
                    })
                }),
                (Named::Variable(of), _) => kernel.variable(name, of),
            };
            return part(object.map_err(failed)?, rest);
        }
        match (name, index) {
            ("task", Some((pid, rest))) => {
                let task = task::by_pid(kernel, i64::from(pid)).map_err(failed)?;
                part(task.object(), rest)
            }
            (_, Some((cpu, rest))) if PER_CPU.iter().any(|(named, _)| *named == name) => {
                part(kernel.per_cpu(name, cpu).map_err(failed)?, rest)
            }
            _ => match kernel.symbol(name) {
                Ok(at) => {
                    let bytes = match rest.strip_prefix(':') {
                        Some(bytes) => bytes.parse().unwrap_or(0),
                        None if rest.is_empty() => 8,
                        None => 0,
                    };
                    KernelVar::at(at, bytes, what)
                }
                Err(missing) => {
                    let bpf = Bpf::of(kernel);
                    match bpf.global(name) {
                        Ok(object) => part(object, rest),
                        Err(ReadError::NotLoaded { .. }) => Err(failed(missing)),
                        Err(error) => Err(failed(error)),
                    }
                }
            },
        }
    }

    /// So many bytes at a symbol.
    ///
    /// # Errors
    /// [`KernelVarError`] for a symbol that there is not, or another width than a store has.
    pub fn symbol(kernel: &GuestKernel<'_>, symbol: &str, bytes: u64) -> Result<KernelVar, KernelVarError> {
        let at = kernel.symbol(symbol).map_err(|source| KernelVarError::Read {
            name: symbol.to_owned(),
            source,
        })?;
        KernelVar::at(at, bytes, symbol)
    }

    fn at(at: GuestVirt, bytes: u64, name: &str) -> Result<KernelVar, KernelVarError> {
        let name = name.to_owned();
        match bytes {
            1 | 2 | 4 | 8 => Ok(KernelVar { at, bytes, name }),
            _ => Err(KernelVarError::Width { name, bytes }),
        }
    }

    /// The number that is there.
    ///
    /// # Errors
    /// [`ReadError`] where nothing is mapped.
    pub fn read(&self, kernel: &GuestKernel<'_>) -> Result<u64, ReadError> {
        let mut bytes = [0; 8];
        kernel.read(self.at, &mut bytes[..self.bytes as usize])?;
        Ok(u64::from_le_bytes(bytes))
    }
}
