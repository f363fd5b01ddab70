//! A number of a kernel that can be watched.

use guestmem::GuestVirt;
use introspect::bpf::Bpf;
use introspect::path::{Place, ResolveError, resolve};
use introspect::{GuestKernel, Object, ReadError};
use spec::{KernelPath, KernelPathError};

/// A number in a kernel, with its path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelVar {
    /// Its address.
    pub at: GuestVirt,
    /// Its size in bytes: 1, 2, 4 or 8.
    pub bytes: u64,
    /// Its path, or another name.
    pub name: String,
}

/// A path leads to no number that can be watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelVarError {
    /// It is a bitfield.
    #[error("{name} is a bitfield: watch the word that it is in, for `When::BitsSet`")]
    Bitfield {
        /// Its path.
        name: String,
    },
    /// No single store writes that many bytes.
    #[error("{name} has {bytes} bytes, and what is watched has 1, 2, 4 or 8: name one of its fields")]
    Width {
        /// Its path.
        name: String,
        /// Its size.
        bytes: u64,
    },
    /// The text is no path.
    #[error(transparent)]
    Path(#[from] KernelPathError),
    /// The path leads nowhere.
    #[error("find {name}")]
    Find {
        /// The path.
        name: String,
        /// Why not.
        source: ResolveError,
    },
}

impl KernelVar {
    /// The number that this object is: a field, an element, a variable of a program.
    ///
    /// # Errors
    /// [`KernelVarError`] for a bitfield, and for what has not 1, 2, 4 or 8 bytes.
    pub fn of(object: &Object<'_>, name: &str) -> Result<KernelVar, KernelVarError> {
        if object.is_bitfield() {
            return Err(KernelVarError::Bitfield {
                name: name.to_owned(),
            });
        }
        KernelVar::at(object.address(), object.size(), name)
    }

    /// The number that a path leads to.
    ///
    /// # Errors
    /// [`KernelVarError`].
    pub fn find(kernel: &GuestKernel<'_>, path: &str) -> Result<KernelVar, KernelVarError> {
        let path: KernelPath = path.parse()?;
        let name = path.to_string();
        let bpf = Bpf::of(kernel);
        match resolve(&bpf, &path) {
            Ok(Place::Typed(object)) => KernelVar::of(&object, &name),
            Ok(Place::Bytes { at, bytes }) => KernelVar::at(at, bytes, &name),
            Err(source) => Err(KernelVarError::Find { name, source }),
        }
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
