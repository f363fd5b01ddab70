//! `struct bpf_struct_ops_map`: a struct of functions that the kernel calls, made of programs.
//!
//! ```text
//!  uvalue ── common: refcnt, state │ data: as user space gave it, with ids of programs for pointers
//!  kvalue ── common: refcnt, state │ data: as the kernel uses it, with addresses of trampolines
//! ```

use record::Value;

use super::{Contents, Datum, Entry, Held, Key, Map, TypeInfo, enumerator};
use crate::btf::TypeId;
use crate::{Object, ReadError};

/// `struct bpf_struct_ops_map`
#[derive(Clone, Copy)]
pub struct StructOps<'b> {
    map: Map<'b>,
    ops: Object<'b>,
}

impl<'b> StructOps<'b> {
    /// That of a map.
    pub fn of(map: &Map<'b>) -> Result<StructOps<'b>, ReadError> {
        Ok(StructOps {
            map: *map,
            ops: map.within("bpf_struct_ops_map")?,
        })
    }

    /// `kvalue.common.state`, by the names of `enum bpf_struct_ops_state`. With a link the kernel's struct is in use
    /// when the link is.
    pub fn state(&self) -> Result<String, ReadError> {
        let state = self.ops.u64("kvalue.common.state")?;
        enumerator(self.ops.kernel(), "bpf_struct_ops_state", state)
    }

    /// `uvalue`: what user space gave, with the ids of programs in place of pointers.
    pub fn uvalue(&self) -> Result<Datum<'b>, ReadError> {
        let at = self.ops.pointer("uvalue")?;
        self.datum(at)
    }

    /// `kvalue`: what the kernel uses.
    pub fn kvalue(&self) -> Result<Datum<'b>, ReadError> {
        self.datum(self.ops.field("kvalue")?.address())
    }

    /// Both values are of the type `btf_vmlinux_value_type_id` of the kernel, or of the module that has the struct.
    fn datum(&self, at: guestmem::GuestVirt) -> Result<Datum<'b>, ReadError> {
        let kernel = self.map.bpf().kernel();
        let type_id = TypeId(self.map.object().u64("btf_vmlinux_value_type_id")? as u32);
        let types = TypeInfo::new(self.map.bpf(), self.ops.follow("btf")?).types()?;
        let object = Object::new(kernel, types, at, type_id);
        let size = self.map.value_size()?;
        if object.size() != size {
            let what = format!("the size of {}", object.describe());
            let why = format!("values of {} have {size} bytes", self.map.object().describe());
            return Err(ReadError::out_of_range(what, object.size(), why));
        }
        Ok(Datum::new(kernel, at, size, Some(object)))
    }

    /// Its state.
    pub fn value(&self) -> Value {
        Value::tree([("state", Value::from(self.state()))])
    }
}

/// The one entry, as user space gave it.
pub(super) fn contents<'b>(map: &Map<'b>) -> Result<Contents<'b>, ReadError> {
    Ok(Contents {
        entries: vec![Entry {
            key: Key::Index(0),
            value: Held::One(StructOps::of(map)?.uvalue()?),
        }],
        total: 1,
        problem: None,
    })
}
