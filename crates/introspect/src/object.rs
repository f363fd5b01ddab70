//! A place in a guest's kernel with a type: what a variable is to C.

use std::fmt;

use guestmem::GuestVirt;

use crate::ReadError;
use crate::btf::{Btf, Field, Shape, TypeId};
use crate::kernel::GuestKernel;

/// The longest string that is read, in bytes.
const MAX_STRING: usize = 4096;

/// A place with a type. Making one reads nothing; cheap to copy.
///
/// Paths are those of [`Btf::field`], with `->` between them where a pointer is followed:
/// `signal->group_exit_code`, `sched_task_group->css.cgroup->kn->name`.
#[derive(Clone, Copy)]
pub struct Object<'k> {
    kernel: &'k GuestKernel<'k>,
    btf: &'k Btf,
    at: GuestVirt,
    type_id: TypeId,
    shape: Shape,
    bits: Option<Bits>,
}

/// Where a bitfield is.
#[derive(Debug, Clone, Copy)]
struct Bits {
    /// From bit 0 of the first byte.
    shift: u8,
    len: u8,
}

impl<'k> Object<'k> {
    /// An object of this type at this address.
    pub fn new(kernel: &'k GuestKernel<'k>, btf: &'k Btf, at: GuestVirt, type_id: TypeId) -> Object<'k> {
        Object {
            kernel,
            btf,
            at,
            type_id,
            shape: btf.shape(type_id),
            bits: None,
        }
    }

    /// The kernel that it is in.
    pub fn kernel(&self) -> &'k GuestKernel<'k> {
        self.kernel
    }

    /// What its type is part of.
    pub fn btf(&self) -> &'k Btf {
        self.btf
    }

    /// Where it is; of a bitfield, its first byte.
    pub fn address(&self) -> GuestVirt {
        self.at
    }

    /// Its type.
    pub fn type_id(&self) -> TypeId {
        self.type_id
    }

    /// Its size in bytes; 0 of what has none.
    pub fn size(&self) -> u64 {
        self.btf.size_of(self.type_id).unwrap_or(0)
    }

    /// Its type as C spells it, and its address: for messages.
    pub fn describe(&self) -> String {
        format!("{} at {}", self.btf.declaration(self.type_id), self.at)
    }

    /// The same place seen as another type.
    pub fn cast(&self, type_id: TypeId) -> Object<'k> {
        Object::new(self.kernel, self.btf, self.at, type_id)
    }

    /// Another object of this type.
    pub fn elsewhere(&self, at: GuestVirt) -> Object<'k> {
        Object { at, ..*self }
    }

    /// Does its type have this field, in this kernel?
    pub fn has(&self, path: &str) -> bool {
        self.btf.field(self.type_id, path).is_ok()
    }

    /// The part at a path. Reads memory only where the path follows pointers.
    pub fn field(&self, path: &str) -> Result<Object<'k>, ReadError> {
        let (mut at, mut rest) = (*self, path);
        while let Some((step, behind)) = split_arrow(rest) {
            at = at.within(step)?.deref()?;
            rest = behind;
        }
        at.within(rest)
    }

    fn within(&self, path: &str) -> Result<Object<'k>, ReadError> {
        let Field {
            offset_bits,
            type_id,
            bitfield,
            shape,
            ..
        } = self.btf.field(self.type_id, path)?;
        Ok(Object {
            at: self.at.wrapping_add(offset_bits / 8),
            type_id,
            shape,
            bits: bitfield.map(|len| Bits {
                shift: (offset_bits % 8) as u8,
                len,
            }),
            ..*self
        })
    }

    /// What this pointer leads to.
    pub fn deref(&self) -> Result<Object<'k>, ReadError> {
        let Shape::Pointer { to } = self.shape else {
            return Err(self.unfit("a pointer"));
        };
        match self.kernel.read_u64(self.at)? {
            0 => Err(ReadError::Null {
                what: self.describe(),
            }),
            at => Ok(Object::new(self.kernel, self.btf, GuestVirt(at), to)),
        }
    }

    /// What the pointer at a path leads to.
    pub fn follow(&self, path: &str) -> Result<Object<'k>, ReadError> {
        self.field(path)?.deref()
    }

    /// What the pointer at a path leads to; `None` if it is NULL.
    pub fn follow_opt(&self, path: &str) -> Result<Option<Object<'k>>, ReadError> {
        match self.follow(path) {
            Ok(object) => Ok(Some(object)),
            Err(ReadError::Null { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The struct that this is the `member` of: `container_of`.
    pub fn container_of(&self, structure: &str, member: &str) -> Result<Object<'k>, ReadError> {
        Ok(Container::of(self.btf, structure, member)?.around(self))
    }

    /// An element of this array, of a flexible one too, or the n-th of equals from here on.
    pub fn element(&self, index: u64) -> Result<Object<'k>, ReadError> {
        let (of, len) = match self.shape {
            Shape::Array { of, len: 0 } => (of, u64::MAX),
            Shape::Array { of, len } => (of, u64::from(len)),
            _ => (self.type_id, u64::MAX),
        };
        if index >= len {
            return Err(ReadError::out_of_range(
                format!("index of {}", self.describe()),
                index,
                format!("it has {len} elements"),
            ));
        }
        let size = self
            .btf
            .size_of(of)
            .ok_or_else(|| self.unfit("an array of known size"))?;
        let at = self.at.wrapping_add(size.wrapping_mul(index));
        Ok(Object::new(self.kernel, self.btf, at, of))
    }

    /// Its bits as a number without a sign: of an integer, enumeration or pointer of 1, 2, 4 or 8 bytes, or a bitfield.
    pub fn bits(&self) -> Result<u64, ReadError> {
        if let Some(Bits { shift, len }) = self.bits {
            let count = (usize::from(shift) + usize::from(len)).div_ceil(8);
            let mut wide = [0; 16];
            let bytes = wide.get_mut(..count).ok_or_else(|| self.unfit("an integer"))?;
            self.kernel.read(self.at, bytes)?;
            let value = u128::from_le_bytes(wide) >> shift;
            return Ok((value & ((1u128 << len.min(64)) - 1)) as u64);
        }
        match self.shape {
            Shape::Number { size: 1, .. } => self.kernel.read_u8(self.at).map(u64::from),
            Shape::Number { size: 2, .. } => self.kernel.read_u16(self.at).map(u64::from),
            Shape::Number { size: 4, .. } => self.kernel.read_u32(self.at).map(u64::from),
            Shape::Number { size: 8, .. } | Shape::Pointer { .. } => self.kernel.read_u64(self.at),
            _ => Err(self.unfit("an integer")),
        }
    }

    /// Its value as a number, with the sign that its type has.
    pub fn number(&self) -> Result<i64, ReadError> {
        let bits = self.bits()?;
        let Shape::Number { size, signed: true } = self.shape else {
            return Ok(bits as i64);
        };
        let len = self.bits.map_or(size.saturating_mul(8), |bits| bits.len);
        let unused = 64u32.saturating_sub(len.into()).min(63);
        Ok((bits << unused).cast_signed() >> unused)
    }

    /// Is it a bitfield?
    pub fn is_bitfield(&self) -> bool {
        self.bits.is_some()
    }

    /// Has its type negative values?
    pub fn is_signed(&self) -> bool {
        matches!(self.shape, Shape::Number { signed: true, .. })
    }

    /// The number at a path, without a sign.
    pub fn u64(&self, path: &str) -> Result<u64, ReadError> {
        self.field(path)?.bits()
    }

    /// The number at a path, with the sign that its type has.
    pub fn i64(&self, path: &str) -> Result<i64, ReadError> {
        self.field(path)?.number()
    }

    /// The pointer at a path, NULL too.
    pub fn pointer(&self, path: &str) -> Result<GuestVirt, ReadError> {
        self.u64(path).map(GuestVirt)
    }

    /// Its bytes.
    pub fn bytes(&self) -> Result<Vec<u8>, ReadError> {
        self.kernel.read_chunked(self.at, self.size() as usize)
    }

    /// A string: of an array of `char` or from a pointer, up to its NUL. What is not UTF-8 is replaced.
    pub fn text(&self) -> Result<String, ReadError> {
        let (at, max) = match self.shape {
            Shape::Array { len: 0, .. } => (self.at, MAX_STRING),
            Shape::Array { len, .. } => (self.at, (len as usize).min(MAX_STRING)),
            _ => (self.deref()?.at, MAX_STRING),
        };
        let bytes = self.kernel.read_cstr(at, max)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// The string at a path.
    pub fn str(&self, path: &str) -> Result<String, ReadError> {
        self.field(path)?.text()
    }

    /// Writes a number as wide as the object is.
    pub fn write(&self, value: u64) -> Result<(), ReadError> {
        let size = self.size() as usize;
        match value.to_le_bytes().get(..size) {
            Some(bytes) if size > 0 && self.bits.is_none() => self.kernel.write(self.at, bytes),
            _ => Err(self.unfit("an integer of at most 8 bytes")),
        }
    }

    fn unfit(&self, wanted: &'static str) -> ReadError {
        ReadError::Unfit {
            what: format!("what is at {}", self.at),
            declaration: self.btf.declaration(self.type_id),
            wanted,
        }
    }
}

/// A struct by one of its members: `container_of`, for many.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Container {
    structure: TypeId,
    shape: Shape,
    offset: u64,
}

impl Container {
    pub(crate) fn of(btf: &Btf, structure: &str, member: &str) -> Result<Container, ReadError> {
        let type_id = btf.structure(structure)?;
        Ok(Container {
            structure: type_id,
            shape: btf.shape(type_id),
            offset: btf.offset_of(structure, member)?,
        })
    }

    /// The struct that has this as the member.
    pub(crate) fn around<'k>(&self, member: &Object<'k>) -> Object<'k> {
        Object {
            at: GuestVirt(member.at.0.wrapping_sub(self.offset)),
            type_id: self.structure,
            shape: self.shape,
            bits: None,
            ..*member
        }
    }
}

/// The path up to its first `->`, and what is behind.
fn split_arrow(path: &str) -> Option<(&str, &str)> {
    // Most paths have none, and are short.
    let arrow = path.bytes().position(|byte| byte == b'>')?;
    Some((path[..arrow].strip_suffix('-')?, &path[arrow + 1..]))
}

impl fmt::Debug for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}
