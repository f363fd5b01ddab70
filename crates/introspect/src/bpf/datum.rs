//! Bytes of a map, with the type that the map tells for them.

use guestmem::GuestVirt;
use record::Value;

use crate::btf::{Btf, TypeId};
use crate::render::{self, hex};
use crate::{GuestKernel, Limits, Object, ReadError};

/// What all keys, or all values, of a map have in common.
#[derive(Clone, Copy)]
pub(super) struct Shape<'b> {
    pub(super) kernel: &'b GuestKernel<'b>,
    pub(super) size: u64,
    /// None of a map that tells no type.
    pub(super) types: Option<(&'b Btf, TypeId)>,
}

impl<'b> Shape<'b> {
    /// The one that lies at an address.
    pub(super) fn at(&self, at: GuestVirt) -> Datum<'b> {
        let object = self
            .types
            .map(|(btf, type_id)| Object::new(self.kernel, btf, at, type_id));
        Datum::new(self.kernel, at, self.size, object)
    }
}

/// A key or a value of a map.
#[derive(Debug, Clone, Copy)]
pub struct Datum<'b> {
    kernel: Source<'b>,
    at: GuestVirt,
    size: u64,
    object: Option<Object<'b>>,
}

#[derive(Clone, Copy)]
struct Source<'b>(&'b GuestKernel<'b>);

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a kernel")
    }
}

/// Bytes of one key or value that are read at once: no map of a scheduler has larger ones, and the size is a claim.
const MOST_BYTES: u64 = 64 << 20;
/// Bytes shown of what has no type.
const SHOWN: u64 = 256;

impl<'b> Datum<'b> {
    /// So many bytes; with a type, if there is one.
    pub(super) fn new(
        kernel: &'b GuestKernel<'b>,
        at: GuestVirt,
        size: u64,
        object: Option<Object<'b>>,
    ) -> Datum<'b> {
        Datum {
            kernel: Source(kernel),
            at,
            size,
            object,
        }
    }

    /// Where it is.
    pub fn address(&self) -> GuestVirt {
        self.at
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// It with its type; `None` of a map that tells none.
    pub fn object(&self) -> Option<Object<'b>> {
        self.object
    }

    /// Its bytes.
    pub fn bytes(&self) -> Result<Vec<u8>, ReadError> {
        if self.size > MOST_BYTES {
            let what = format!("the size of a map's value at {}", self.at);
            let why = format!("{MOST_BYTES} bytes are read at most");
            return Err(ReadError::out_of_range(what, self.size, why));
        }
        render::bytes(self.kernel.0, self.at, self.size)
    }

    /// What is in it, by its type; without one, its first bytes in hex.
    pub fn value(&self, limits: &Limits) -> Value {
        if let Some(object) = &self.object {
            return render::render(object, limits);
        }
        let read = render::bytes(self.kernel.0, self.at, self.size.min(SHOWN));
        match read {
            Ok(bytes) if self.size > SHOWN => {
                Value::Text(format!("{} … {} more", hex(&bytes), self.size - SHOWN))
            }
            Ok(bytes) => Value::Text(hex(&bytes)),
            Err(error) => Value::missing(&error),
        }
    }
}
