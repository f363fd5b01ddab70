//! What can be watched: a number at an address.

use guestmem::GuestVirt;
use introspect::{GuestKernel, Object, ReadError};

/// A number in a kernel, by what somebody calls it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its address.
    pub at: GuestVirt,
    /// Its size in bytes: 1, 2, 4 or 8.
    pub bytes: u64,
    /// What it is called.
    pub name: String,
}

/// Something is no number that can be watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
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

impl Place {
    /// The number that this object is: a field, an element, a variable of a program.
    ///
    /// # Errors
    /// [`PlaceError`] for what is no number of a width that is stored at once.
    pub fn of(object: &Object<'_>, name: &str) -> Result<Place, PlaceError> {
        if object.is_bitfield() {
            return Err(PlaceError::Bitfield {
                name: name.to_owned(),
            });
        }
        Place::at(object.address(), object.size(), name)
    }

    /// So many bytes at a symbol.
    ///
    /// # Errors
    /// [`PlaceError`] for a symbol that there is not, or another width than a store has.
    pub fn symbol(kernel: &GuestKernel<'_>, symbol: &str, bytes: u64) -> Result<Place, PlaceError> {
        let at = kernel.symbol(symbol).map_err(|source| PlaceError::Read {
            name: symbol.to_owned(),
            source,
        })?;
        Place::at(at, bytes, symbol)
    }

    fn at(at: GuestVirt, bytes: u64, name: &str) -> Result<Place, PlaceError> {
        let name = name.to_owned();
        match bytes {
            1 | 2 | 4 | 8 => Ok(Place { at, bytes, name }),
            _ => Err(PlaceError::Width { name, bytes }),
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
