//! `struct btf`: types that were loaded into the kernel, its own and those of programs.

use std::cell::OnceCell;

use guestmem::GuestVirt;
use record::Value;

use super::Bpf;
use crate::btf::Btf;
use crate::{Object, ReadError};

/// `BTF_MAX_SIZE`
const MOST_BYTES: u64 = 16 << 20;
/// A module's types are split from the kernel's, and nothing from those.
const MOST_BASES: usize = 2;

/// `struct btf`
#[derive(Clone, Copy)]
pub struct TypeInfo<'b> {
    bpf: &'b Bpf<'b>,
    btf: Object<'b>,
}

/// Types that were parsed: a list that only grows, so that what was given out stays where it is.
#[derive(Default)]
pub(super) struct Parsed(OnceCell<Box<Node>>);

struct Node {
    at: GuestVirt,
    btf: Result<Btf, ReadError>,
    next: Parsed,
}

impl Parsed {
    fn find(&self, at: GuestVirt) -> Option<&Result<Btf, ReadError>> {
        let mut node = self.0.get();
        while let Some(here) = node {
            if here.at == at {
                return Some(&here.btf);
            }
            node = here.next.0.get();
        }
        None
    }

    fn add(&self, at: GuestVirt, btf: Result<Btf, ReadError>) -> &Result<Btf, ReadError> {
        let mut last = self;
        while let Some(node) = last.0.get() {
            last = &node.next;
        }
        let node = Node {
            at,
            btf,
            next: Parsed::default(),
        };
        &last.0.get_or_init(|| Box::new(node)).btf
    }
}

impl<'b> TypeInfo<'b> {
    pub(super) fn new(bpf: &'b Bpf<'b>, btf: Object<'b>) -> TypeInfo<'b> {
        TypeInfo { bpf, btf }
    }

    /// The `struct btf` itself.
    pub fn object(&self) -> Object<'b> {
        self.btf
    }

    /// `id`
    pub fn id(&self) -> Result<u64, ReadError> {
        self.btf.u64("id")
    }

    /// `name`: `vmlinux`, a module's, or what its program gave it; often empty.
    pub fn name(&self) -> Result<String, ReadError> {
        self.btf.str("name")
    }

    /// `kernel_btf`: is it the kernel's or a module's?
    pub fn is_kernel(&self) -> Result<bool, ReadError> {
        self.btf.u64("kernel_btf").map(|own| own != 0)
    }

    /// `data_size`: bytes of the section.
    pub fn size(&self) -> Result<u64, ReadError> {
        self.btf.u64("data_size")
    }

    /// The types. Those of the kernel itself are known; others are read from the guest, once.
    pub fn types(&self) -> Result<&'b Btf, ReadError> {
        self.types_at(MOST_BASES)
    }

    fn types_at(&self, bases: usize) -> Result<&'b Btf, ReadError> {
        let at = self.btf.address();
        let parsed = &self.bpf.types;
        let found = match parsed.find(at) {
            Some(found) => found,
            None => {
                let base = self.btf.follow_opt("base_btf")?;
                if base.is_none() && self.is_kernel()? {
                    return Ok(self.bpf.kernel.btf());
                }
                parsed.add(at, self.parse(base, bases))
            }
        };
        found.as_ref().map_err(Clone::clone)
    }

    fn parse(&self, base: Option<Object<'b>>, bases: usize) -> Result<Btf, ReadError> {
        let size = self.size()?;
        if size > MOST_BYTES {
            let what = format!("data_size of {}", self.btf.describe());
            return Err(ReadError::out_of_range(
                what,
                size,
                format!("the kernel loads {MOST_BYTES} bytes at most"),
            ));
        }
        let data = self.btf.pointer("data")?;
        let bytes = self.bpf.kernel.read_chunked(data, size as usize)?;
        let parsed = match base {
            None => Btf::parse(&bytes),
            Some(base) => {
                let bases = bases.checked_sub(1).ok_or_else(|| ReadError::TooMany {
                    what: format!("base_btf of {}", self.btf.describe()),
                    most: MOST_BASES,
                })?;
                Btf::parse_split(TypeInfo::new(self.bpf, base).types_at(bases)?, &bytes)
            }
        };
        parsed.map_err(|problem| ReadError::Types {
            what: format!("data of {}", self.btf.describe()),
            problem,
        })
    }

    /// What it is.
    pub fn value(&self) -> Value {
        Value::tree([
            ("id", Value::from(self.id())),
            ("name", Value::from(self.name())),
            ("kernel", Value::from(self.is_kernel())),
            ("size", Value::from(self.size())),
        ])
    }
}
