//! `struct bpf_map`: what all kinds of maps have in common.

use record::Value;

use super::datum::Shape;
use super::{Arena, Bpf, Contents, Held, RingBuf, StructOps, TypeInfo, enumerator, memory};
use crate::btf::{Kind, TypeId};
use crate::{Limits, Object, ReadError, render};

/// `struct bpf_map`
#[derive(Clone, Copy)]
pub struct Map<'b> {
    bpf: &'b Bpf<'b>,
    map: Object<'b>,
}

/// `map_flags`: the constants for them are in an enumeration without a name.
const FLAGS: [&str; 19] = [
    "BPF_F_NO_PREALLOC",
    "BPF_F_NO_COMMON_LRU",
    "BPF_F_NUMA_NODE",
    "BPF_F_RDONLY",
    "BPF_F_WRONLY",
    "BPF_F_STACK_BUILD_ID",
    "BPF_F_ZERO_SEED",
    "BPF_F_RDONLY_PROG",
    "BPF_F_WRONLY_PROG",
    "BPF_F_CLONE",
    "BPF_F_MMAPABLE",
    "BPF_F_PRESERVE_ELEMS",
    "BPF_F_INNER_MAP",
    "BPF_F_LINK",
    "BPF_F_PATH_FD",
    "BPF_F_VTYPE_BTF_OBJ_FD",
    "BPF_F_SEGV_ON_FAULT",
    "BPF_F_NO_USER_CONV",
    "BPF_F_RB_OVERWRITE",
];

impl<'b> Map<'b> {
    pub(super) fn new(bpf: &'b Bpf<'b>, map: Object<'b>) -> Map<'b> {
        Map { bpf, map }
    }

    /// The `struct bpf_map` itself.
    pub fn object(&self) -> Object<'b> {
        self.map
    }

    /// What it is one of.
    pub fn bpf(&self) -> &'b Bpf<'b> {
        self.bpf
    }

    /// `id`
    pub fn id(&self) -> Result<u64, ReadError> {
        self.map.u64("id")
    }

    /// `name`: the first 15 bytes of it.
    pub fn name(&self) -> Result<String, ReadError> {
        self.map.str("name")
    }

    /// `map_type`, by the names of `enum bpf_map_type`.
    pub fn kind(&self) -> Result<String, ReadError> {
        enumerator(self.bpf.kernel, "bpf_map_type", self.map.u64("map_type")?)
    }

    /// `key_size`, in bytes.
    pub fn key_size(&self) -> Result<u64, ReadError> {
        self.map.u64("key_size")
    }

    /// `value_size`, in bytes.
    pub fn value_size(&self) -> Result<u64, ReadError> {
        self.map.u64("value_size")
    }

    /// `max_entries`: of a ring buffer, its bytes; of an arena, its pages.
    pub fn max_entries(&self) -> Result<u64, ReadError> {
        self.map.u64("max_entries")
    }

    /// `map_flags`
    pub fn flags(&self) -> Result<u64, ReadError> {
        self.map.u64("map_flags")
    }

    /// Is this flag set? `false` too in a kernel that does not have it.
    pub(super) fn has_flag(&self, name: &str) -> Result<bool, ReadError> {
        let bit = self.bpf.kernel.btf().enum_value(None, name).unwrap_or(0);
        Ok(self.flags()? & bit.cast_unsigned() != 0)
    }

    /// `map_flags`, by the kernel's names; `0` of none.
    pub fn flag_names(&self) -> Result<String, ReadError> {
        let mut rest = self.flags()?;
        let mut names = Vec::new();
        for name in FLAGS {
            let bit = self.bpf.kernel.btf().enum_value(None, name).unwrap_or(0);
            let bit = bit.cast_unsigned();
            if bit != 0 && rest & bit == bit {
                rest &= !bit;
                names.push(name.to_owned());
            }
        }
        if rest != 0 || names.is_empty() {
            names.push(if rest == 0 {
                "0".to_owned()
            } else {
                format!("{rest:#x}")
            });
        }
        Ok(names.join("|"))
    }

    /// `map_extra`: what it means depends on the kind.
    pub fn map_extra(&self) -> Result<u64, ReadError> {
        self.map.u64("map_extra")
    }

    /// `frozen`: can user space not change it any more?
    pub fn frozen(&self) -> Result<bool, ReadError> {
        self.map.u64("frozen").map(|frozen| frozen != 0)
    }

    /// `ops->map_mem_usage`: the bytes that it occupies, as the kernel accounts them; of the kinds that are known here.
    pub fn mem_usage(&self) -> Result<u64, ReadError> {
        memory::usage(self)
    }

    /// `btf`: the types of its keys and values; `None` when it was made without.
    pub fn types(&self) -> Result<Option<TypeInfo<'b>>, ReadError> {
        let btf = self.map.follow_opt("btf")?;
        Ok(btf.map(|btf| TypeInfo::new(self.bpf, btf)))
    }

    /// The entries, `most` of them at the most.
    pub fn contents(&self, most: usize) -> Result<Contents<'b>, ReadError> {
        Contents::of(self, most)
    }

    /// The map as the struct of its kind, of which it is the first member.
    pub(super) fn within(&self, structure: &str) -> Result<Object<'b>, ReadError> {
        self.map.container_of(structure, "map")
    }

    /// What its keys have in common.
    pub(super) fn keys(&self) -> Result<Shape<'b>, ReadError> {
        self.shape(self.key_size()?, "btf_key_type_id")
    }

    /// What its values have in common.
    pub(super) fn values(&self) -> Result<Shape<'b>, ReadError> {
        self.shape(self.value_size()?, "btf_value_type_id")
    }

    fn shape(&self, size: u64, type_id: &str) -> Result<Shape<'b>, ReadError> {
        let kernel = self.bpf.kernel;
        let type_id = TypeId(self.map.u64(type_id)? as u32);
        let types = match type_id {
            TypeId::VOID => None,
            _ => self.types()?,
        };
        let Some(types) = types else {
            return Ok(Shape {
                kernel,
                size,
                types: None,
            });
        };
        let btf = types.types()?;
        // The kernel refuses other maps (`map_check_btf`).
        if btf.size_of(type_id) != Some(size) {
            let what = format!("the size of {}", btf.declaration(type_id));
            let why = format!("{} has keys or values of {size} bytes", self.map.describe());
            let told = btf.size_of(type_id).unwrap_or(0);
            return Err(ReadError::out_of_range(what, told, why));
        }
        Ok(Shape {
            kernel,
            size,
            types: Some((btf, type_id)),
        })
    }

    /// What its kind has beside entries: positions of a ring buffer, bounds of an arena, state of an ops struct.
    fn details(&self) -> Option<Value> {
        let details = match self.kind().ok()?.strip_prefix("BPF_MAP_TYPE_")? {
            "RINGBUF" | "USER_RINGBUF" => RingBuf::of(self).map(|ring| ring.value()),
            "STRUCT_OPS" => StructOps::of(self).map(|ops| ops.value()),
            "ARENA" => Arena::of(self).map(|arena| arena.value()),
            _ => return None,
        };
        Some(details.unwrap_or_else(|error| Value::missing(&error)))
    }

    /// All of it, with `entries` entries at the most.
    pub fn value(&self, entries: usize, limits: &Limits) -> Value {
        let mut tree = vec![
            ("id", Value::from(self.id())),
            ("name", Value::from(self.name())),
            ("type", Value::from(self.kind())),
            ("key_size", Value::from(self.key_size())),
            ("value_size", Value::from(self.value_size())),
            ("max_entries", Value::from(self.max_entries())),
            ("flags", Value::from(self.flag_names())),
            ("frozen", Value::from(self.frozen())),
            ("memory", Value::from(self.mem_usage())),
        ];
        let details = self.details();
        let contents = self.contents(entries);
        // Of an arena there are details alone.
        let told = details.is_some() && matches!(contents, Err(ReadError::Unfit { .. }));
        tree.extend(details.map(|details| ("details", details)));
        match contents {
            Err(_) if told => {}
            Err(error) => tree.push(("entries", Value::missing(&error))),
            Ok(contents) => {
                tree.push(("entries", Value::Unsigned(contents.total)));
                tree.push(self.body(&contents, limits));
            }
        }
        Value::tree(tree)
    }

    /// The contents: of a section its variables, of an ops struct its members, else entries.
    fn body(&self, contents: &Contents<'b>, limits: &Limits) -> (&'static str, Value) {
        let only = contents.entries.first().and_then(|entry| match &entry.value {
            Held::One(datum) => datum.object(),
            _ => None,
        });
        match only {
            Some(section) if section.btf().kind(section.type_id()) == Kind::Datasec => {
                ("variables", render(&section, limits))
            }
            // In front of them are a count and a state that are the kernel's, and kept elsewhere.
            Some(value) if self.kind().is_ok_and(|kind| kind == "BPF_MAP_TYPE_STRUCT_OPS") => {
                let members = value.field("data").map(|data| render(&data, limits));
                ("members", members.unwrap_or_else(|error| Value::missing(&error)))
            }
            _ => ("contents", contents.value(limits)),
        }
    }
}
