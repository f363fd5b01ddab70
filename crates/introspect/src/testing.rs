//! A small kernel made by hand, for tests: types by C declarations, variables by their names, memory by fields.
//!
//! ```text
//!  FakeKernel::new(2, "struct list_head { struct list_head *next, *prev; }; …")
//!      .variable("init_task", "task_struct")   in the image, with a symbol
//!      .alloc("task_struct")                   in the direct map
//!      .per_cpu("runqueues", "rq")             one for each CPU
//!      .set(at, "task_struct", "se.vruntime", 7)
//!      .built().kernel()                       a GuestKernel
//! ```
//! The image is slid, as by KASLR. Beyond image, direct map and some pages of vmalloc nothing is mapped.

mod corruption;
mod declarations;
mod everything;
mod memory;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;

use guestmem::{GuestPhys, GuestVirt, Linear, PageTables, PhysMem};
use kimage::{BuildId, Symbols};

use crate::btf::{Btf, KindSet};
use crate::kernel::START_KERNEL_MAP;
use crate::memo::Memo;
use crate::{DebugInfo, GuestKernel, Placement};

pub use corruption::{Corrupted, Noted, recipe};
pub use everything::{complaints, look_at_everything};
pub(crate) use memory::Pages;
pub use whole::Whole;

const SLIDE: u64 = 0x0a00_0000;
const DIRECT: u64 = 0xffff_8880_0000_0000;
/// Link addresses: of the image, and of its per-CPU templates.
const TEXT: u64 = START_KERNEL_MAP + 0x0100_0000;
const TEMPLATES: u64 = START_KERNEL_MAP + 0x0180_0000;
const END: u64 = START_KERNEL_MAP + 0x0200_0000;
/// Physical addresses.
const TABLES: u64 = 0x1000;
const HEAP: u64 = 0x1000_0000;
const PER_CPU: u64 = 0x2000_0000;
const RAM: u64 = 0x4000_0000;
const PER_CPU_AREA: u64 = 0x10_0000;

/// An address in the direct map's range that has no RAM behind it.
pub(crate) const UNMAPPED: GuestVirt = GuestVirt(DIRECT + 2 * RAM);

/// A kernel that is being made.
pub(crate) struct FakeKernel {
    btf: Btf,
    mem: Pages,
    symbols: BTreeMap<String, u64>,
    cpus: u32,
    image: u64,
    templates: u64,
    heap: u64,
    vmalloc: u64,
}

/// A kernel that is made.
pub(crate) struct FakeGuest {
    pub(crate) info: Arc<DebugInfo>,
    pub(crate) mem: Pages,
}

impl FakeKernel {
    /// A kernel for so many CPUs with these types; `u8` to `s64`, `char` and `bool` are known.
    pub(crate) fn new(cpus: u32, types: &str) -> FakeKernel {
        let mut kernel = FakeKernel {
            btf: Btf::parse(&declarations::compile(types)).unwrap(),
            mem: Pages::new(&[(0, RAM)]),
            symbols: BTreeMap::from([("_text".to_owned(), TEXT), ("_end".to_owned(), END)]),
            cpus,
            image: TEXT + 0x1000,
            templates: TEMPLATES,
            heap: HEAP,
            vmalloc: 0,
        };
        kernel.mem.map_kernel();
        let nr_cpu_ids = kernel.bytes_variable("nr_cpu_ids", 4);
        kernel.write(nr_cpu_ids, &cpus.to_le_bytes());
        let offsets = kernel.bytes_variable("__per_cpu_offset", 8 * u64::from(cpus));
        for cpu in 0..u64::from(cpus) {
            let offset = (DIRECT + PER_CPU + cpu * PER_CPU_AREA).wrapping_sub(TEMPLATES + SLIDE);
            kernel.write(offsets.wrapping_add(8 * cpu), &offset.to_le_bytes());
        }
        kernel
    }

    /// A variable in the image, of this type.
    pub(crate) fn variable(&mut self, symbol: &str, structure: &str) -> GuestVirt {
        let size = self.size_of(structure);
        self.bytes_variable(symbol, size)
    }

    /// A variable in the image, of so many bytes.
    pub(crate) fn bytes_variable(&mut self, symbol: &str, size: u64) -> GuestVirt {
        let link = self.image;
        self.image += size.next_multiple_of(64);
        self.symbols.insert(symbol.to_owned(), link);
        GuestVirt(link + SLIDE)
    }

    /// Takes a symbol back: the kernel has no such variable.
    pub(crate) fn forget(&mut self, symbol: &str) {
        self.symbols.remove(symbol);
    }

    /// A variable of which each CPU has its own; where they are.
    pub(crate) fn per_cpu(&mut self, symbol: &str, structure: &str) -> Vec<GuestVirt> {
        let link = self.templates;
        self.templates += self.size_of(structure).next_multiple_of(64);
        self.symbols.insert(symbol.to_owned(), link);
        let areas = 0..u64::from(self.cpus);
        let at = areas.map(|cpu| GuestVirt(DIRECT + PER_CPU + cpu * PER_CPU_AREA + (link - TEMPLATES)));
        at.collect()
    }

    /// The pointer that `alloc_percpu` would have given for what CPU 0 has there.
    pub(crate) fn per_cpu_pointer(own: GuestVirt) -> u64 {
        own.0 - (DIRECT + PER_CPU) + TEMPLATES + SLIDE
    }

    /// A new object in the direct map, all zero.
    pub(crate) fn alloc(&mut self, structure: &str) -> GuestVirt {
        let size = self.size_of(structure);
        self.alloc_bytes(size)
    }

    /// So many zero bytes in the direct map.
    pub(crate) fn alloc_bytes(&mut self, size: u64) -> GuestVirt {
        let at = self.heap;
        self.heap += size.next_multiple_of(64);
        GuestVirt(DIRECT + at)
    }

    /// So many zero bytes in vmalloc: each page elsewhere in RAM.
    pub(crate) fn vmalloc(&mut self, size: u64) -> GuestVirt {
        let at = self.vmalloc;
        self.vmalloc += size.next_multiple_of(64);
        assert!(self.vmalloc <= memory::VMALLOC_PAGES * 4096, "vmalloc is full");
        GuestVirt(memory::VMALLOC + at)
    }

    /// A string in the direct map.
    pub(crate) fn string(&mut self, text: &str) -> GuestVirt {
        let at = self.alloc_bytes(text.len() as u64 + 1);
        self.write(at, text.as_bytes());
        at
    }

    /// Where a field of an object at `at` is.
    pub(crate) fn at(&self, at: GuestVirt, structure: &str, field: &str) -> GuestVirt {
        at.wrapping_add(self.btf.offset_of(structure, field).unwrap())
    }

    /// Writes a number or a pointer into a field, as wide as the field is.
    pub(crate) fn set(&self, at: GuestVirt, structure: &str, field: &str, value: u64) {
        let type_id = self.btf.find(structure, KindSet::TYPE).unwrap();
        let place = self.btf.field(type_id, field).unwrap();
        let at = at.wrapping_add(place.offset_bits / 8);
        let Some(bits) = place.bitfield else {
            let size = place.size.unwrap() as usize;
            return self.write(at, &value.to_le_bytes()[..size]);
        };
        let mut word = [0; 8];
        self.mem.read(phys(at), &mut word).unwrap();
        let shift = place.offset_bits % 8;
        let mask = ((1u64 << bits) - 1) << shift;
        let new = (u64::from_le_bytes(word) & !mask) | ((value << shift) & mask);
        self.write(at, &new.to_le_bytes());
    }

    /// The number in a field of 8 bytes.
    pub(crate) fn get(&self, at: GuestVirt, structure: &str, field: &str) -> u64 {
        let mut word = [0; 8];
        let at = self.at(at, structure, field);
        self.mem.read(phys(at), &mut word).unwrap();
        u64::from_le_bytes(word)
    }

    /// Where the direct map begins: below it nothing is mapped.
    pub(crate) fn direct_map_start(&self) -> GuestVirt {
        GuestVirt(DIRECT)
    }

    /// Writes a text into a field that is an array of `char`.
    pub(crate) fn set_text(&self, at: GuestVirt, structure: &str, field: &str, text: &str) {
        self.write(self.at(at, structure, field), text.as_bytes());
    }

    /// Makes a `struct list_head` lead to itself.
    pub(crate) fn list_init(&self, head: GuestVirt) {
        self.set(head, "list_head", "next", head.0);
        self.set(head, "list_head", "prev", head.0);
    }

    /// `list_add_tail`.
    pub(crate) fn list_add_tail(&self, node: GuestVirt, head: GuestVirt) {
        let mut prev = [0; 8];
        let at = self.at(head, "list_head", "prev");
        self.mem.read(phys(at), &mut prev).unwrap();
        let prev = GuestVirt(u64::from_le_bytes(prev));
        self.set(prev, "list_head", "next", node.0);
        self.set(node, "list_head", "prev", prev.0);
        self.set(node, "list_head", "next", head.0);
        self.set(head, "list_head", "prev", node.0);
    }

    /// Writes bytes.
    pub(crate) fn write(&self, at: GuestVirt, bytes: &[u8]) {
        for (at, byte) in (at.0..).zip(bytes) {
            self.mem.write(phys(GuestVirt(at)), &[*byte]).unwrap();
        }
    }

    /// Reads 8 bytes.
    pub(crate) fn read_u64(&self, at: GuestVirt) -> u64 {
        self.mem.read_u64(phys(at)).unwrap()
    }

    /// The types.
    pub(crate) fn btf(&self) -> &Btf {
        &self.btf
    }

    /// The kernel; its memory can still be written, see [`FakeGuest::mem`].
    pub(crate) fn built(self) -> FakeGuest {
        let lines = self
            .symbols
            .iter()
            .map(|(name, at)| format!("{at:016x} D {name}\n"));
        let info = DebugInfo {
            release: "6.99.0-fake".to_owned(),
            banner: "Linux version 6.99.0-fake".to_owned(),
            build_id: BuildId::from_bytes(&[0xfa; 20]).unwrap(),
            symbols: Symbols::from_map(&lines.collect::<String>()).unwrap(),
            btf: self.btf,
            addresses: Memo::default(),
        };
        FakeGuest {
            info: Arc::new(info),
            mem: self.mem,
        }
    }

    fn size_of(&self, structure: &str) -> u64 {
        let type_id = self.btf.find(structure, KindSet::TYPE);
        let type_id = type_id.unwrap_or_else(|| panic!("no type {structure}"));
        self.btf.size_of(type_id).unwrap()
    }
}

impl FakeGuest {
    /// Reads and writes it, as a guest that stands still.
    pub(crate) fn kernel(&self) -> GuestKernel<'_> {
        GuestKernel::frozen(&self.info, &self.mem, place())
    }
}

fn place() -> Placement {
    Placement {
        slide: SLIDE,
        text: Linear {
            virt: GuestVirt(START_KERNEL_MAP),
            phys: 0,
        },
        direct: Linear {
            virt: GuestVirt(DIRECT),
            phys: 0,
        },
        tables: PageTables::X86_64 {
            cr3: TABLES,
            levels: guestmem::x86_64::Levels::Four,
        },
    }
}

fn phys(at: GuestVirt) -> GuestPhys {
    GuestPhys(match at.0 {
        START_KERNEL_MAP.. => at.0 - START_KERNEL_MAP,
        memory::VMALLOC.. => memory::vmalloc_phys(at.0 - memory::VMALLOC),
        _ => at.0 - DIRECT,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_made_by_hand_reads_back_by_its_names() {
        let mut kernel = FakeKernel::new(
            2,
            "enum color { RED, BLUE = 7, GREEN };
             struct pair { u8 low; s64 high; };
             struct thing { char name[8]; u32 a : 3; u32 b : 5; struct pair pairs[2]; struct thing *next;
                 union { u64 whole; u32 half; }; enum color color; };
             struct thing things;",
        );
        let one = kernel.variable("one", "thing");
        let other = kernel.alloc("thing");
        kernel.set_text(one, "thing", "name", "first");
        kernel.set(one, "thing", "b", 21);
        kernel.set(one, "thing", "pairs[1].high", -5i64 as u64);
        kernel.set(one, "thing", "next", other.0);
        kernel.set(other, "thing", "half", 9);
        kernel.set(other, "thing", "color", 8);
        let own = kernel.per_cpu("things", "thing");
        kernel.set(own[1], "thing", "a", 5);
        let guest = kernel.built();
        let kernel = guest.kernel();
        let thing = kernel.variable("one", "thing").unwrap();
        assert_eq!(thing.str("name").unwrap(), "first");
        assert_eq!(thing.u64("b").unwrap(), 21);
        assert_eq!(thing.u64("a").unwrap(), 0);
        assert_eq!(thing.i64("pairs[1].high").unwrap(), -5);
        assert_eq!(thing.u64("next->whole").unwrap(), 9);
        let color = thing.field("next->color").unwrap();
        assert_eq!(kernel.btf().enum_name(color.type_id(), 8), Some("GREEN"));
        let own = |cpu| kernel.per_cpu("things", cpu).unwrap().u64("a").unwrap();
        assert_eq!((own(0), own(1)), (0, 5));
        assert!(kernel.read_u8(UNMAPPED).is_err());
    }

    #[test]
    fn memory_of_vmalloc_is_read_page_by_page_through_tables() {
        let mut kernel = FakeKernel::new(1, "struct pair { u64 low; u64 high; };");
        kernel.vmalloc(4096 - 64);
        let bytes: Vec<u8> = (0..8192u32).map(|at| (at % 251) as u8).collect();
        let at = kernel.vmalloc(8192);
        kernel.write(at, &bytes);
        assert_eq!(kernel.btf().offset_of("pair", "high"), Ok(8));
        let guest = kernel.built();
        let kernel = guest.kernel();
        assert_eq!(kernel.read_chunked(at, 8192).unwrap(), bytes);
        let first = kernel.translate(at).unwrap();
        let second = kernel.translate(at.wrapping_add(64)).unwrap();
        assert_eq!(first.rest, 64);
        assert_ne!(
            second.at.0,
            first.at.0 + 64,
            "the pages do not follow each other in RAM"
        );
    }
}
