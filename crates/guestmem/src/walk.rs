//! The page walk, for every architecture.
//!
//! An architecture is data plus two functions: a [`Shape`] (the split of an address into indices), a check for
//! canonical addresses, and the decoding of an entry. The walk itself is here, once:
//!
//! ```text
//!            va_bits                              page_bits      0
//!   ┌──────────┬──────────┬──────────┬──────────┬──────────────┐
//!   │ height 3 │ height 2 │ height 1 │ height 0 │    offset    │   index_bits each; the top has the rest
//!   └──────────┴──────────┴──────────┴──────────┴──────────────┘
//!     root ──────► table ───► table ───► table ──► page
//!                       └► 1 GiB   └► 2 MiB                       leaves at a height
//! ```
//!
//! A walk reads at most one entry a height, whatever the entries hold, so damaged tables cannot make it loop.
//! For an unmapped address, the walk also returns the range of the missing entry, so that
//! [`Ranges`](crate::Ranges) steps over an unmapped GiB at once.

use crate::{GuestPhys, GuestVirt, MemError, PhysMem, aarch64, x86_64};

/// The result of a walk: a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// The physical address of the requested byte.
    pub at: GuestPhys,
    /// Bytes from there to the end of the page, for which the walk is valid.
    pub rest: u64,
}

/// Why a walk ended without a page, and at which entry.
///
/// Levels have the numbers of the architecture's manual: 5 or 4 (the root) to 1 on x86-64, −1 (the root, at
/// the earliest) to 3 on aarch64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// No table covers this address: bits above the paging width are not a sign extension, or (aarch64) it is
    /// not in the kernel's half.
    #[error("{at} is not a canonical address")]
    NotCanonical {
        /// The requested address.
        at: GuestVirt,
    },
    /// An entry is not present.
    #[error("{at} is not mapped: the level-{level} entry at {entry} is not present")]
    NotPresent {
        /// The requested address.
        at: GuestVirt,
        /// The entry's level.
        level: i8,
        /// The entry's address.
        entry: GuestPhys,
    },
    /// An entry is of a kind that the architecture does not have at its level: the tables are damaged, or the root is
    /// wrong.
    #[error(
        "{at} is not mapped: the level-{level} entry at {entry} holds {value:#x}, which is invalid at this level"
    )]
    Malformed {
        /// The requested address.
        at: GuestVirt,
        /// The entry's level.
        level: i8,
        /// The entry's address.
        entry: GuestPhys,
        /// The entry's value.
        value: u64,
    },
    /// A table lies outside of RAM: the tables are damaged or the root is wrong.
    #[error("walking to {at}: the level-{level} table is outside of RAM ({source})")]
    TableNotRam {
        /// The requested address.
        at: GuestVirt,
        /// The table's level.
        level: i8,
        /// The failed read.
        #[source]
        source: MemError,
    },
}

/// A guest's page tables: their root, and the parameters for reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageTables {
    /// x86-64.
    X86_64 {
        /// CR3, as the register holds it.
        cr3: u64,
        /// The number of levels.
        levels: x86_64::Levels,
    },
    /// The kernel's half of an aarch64 address space.
    Aarch64(aarch64::Tables),
}

impl PageTables {
    /// Walks to the page that maps `at`.
    pub fn walk(&self, mem: &dyn PhysMem, at: GuestVirt) -> Result<Leaf, WalkError> {
        Walker::new(mem, *self).probe(at).map_err(|missing| missing.why)
    }

    /// Whether a program that runs with these page tables may write to the byte at `at`. It may not write to a page that it
    /// has not touched yet, nor to one that it shares copy-on-write.
    pub(crate) fn is_writable_by_user(&self, mem: &dyn PhysMem, at: GuestVirt) -> bool {
        match *self {
            PageTables::X86_64 { cr3, levels } => x86_64::is_writable_by_user(mem, cr3, levels, at),
            // The kernel's half: no program may.
            PageTables::Aarch64(_) => false,
        }
    }

    /// Bytes of the smallest page.
    pub(crate) fn page_size(&self) -> u64 {
        1 << self.shape().page_bits
    }

    fn shape(&self) -> Shape {
        match *self {
            PageTables::X86_64 { cr3, levels } => x86_64::shape(cr3, levels),
            PageTables::Aarch64(tables) => tables.shape(),
        }
    }

    /// `Err` holds the bytes from `at` to the next canonical address, or to the end of the address space.
    fn canonical(&self, at: u64) -> Result<(), u64> {
        match *self {
            PageTables::X86_64 { levels, .. } => x86_64::canonical(levels, at),
            PageTables::Aarch64(tables) => tables.canonical(at),
        }
    }

    fn decode(&self, height: u8, entry: u64) -> Entry {
        match *self {
            PageTables::X86_64 { .. } => x86_64::decode(height, entry),
            PageTables::Aarch64(tables) => tables.decode(height, entry),
        }
    }

    fn level(&self, height: u8) -> i8 {
        match *self {
            PageTables::X86_64 { .. } => height as i8 + 1,
            PageTables::Aarch64(_) => 3 - height as i8,
        }
    }
}

/// The split of an address into table indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The root table's address.
    pub(crate) root: u64,
    /// The number of address bits that tables translate.
    pub(crate) va_bits: u32,
    /// Bits of the offset in the smallest page.
    pub(crate) page_bits: u32,
    /// Bits of the index into every table but the root.
    pub(crate) index_bits: u32,
    /// The number of tables on a walk to the smallest page, at most [`MAX_DEPTH`].
    pub(crate) depth: u8,
}

/// x86-64 with LA57, aarch64 with 4 KiB pages and 52-bit addresses.
const MAX_DEPTH: usize = 5;

impl Shape {
    /// The bytes that an entry at `height` covers, as a power of two.
    pub(crate) fn shift(&self, height: u8) -> u32 {
        self.page_bits + self.index_bits * u32::from(height)
    }

    /// The bytes that a whole table at `height` covers, as a power of two.
    fn reach(&self, height: u8) -> u32 {
        self.shift(height + 1).min(self.va_bits)
    }
}

/// The decoded meaning of an entry at its height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Absent,
    Malformed,
    /// The physical address of the next table.
    Table(u64),
    /// The physical address of a page; the bits below its size may be anything.
    Leaf(u64),
}

/// An unmapped address, and the length of the unmapped range from there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Missing {
    pub(crate) why: WalkError,
    /// Bytes from the address to the end of the unmapped range, at least 1.
    pub(crate) rest: u64,
}

/// Walks to several addresses in turn. It caches the tables of the last walk, so the neighbour of an address costs one
/// read. The cache is stale when the guest changes its tables: use a walker for one operation.
pub(crate) struct Walker<'m> {
    mem: &'m dyn PhysMem,
    tables: PageTables,
    shape: Shape,
    /// The table at each height on the way to `last`; known from `known` up.
    path: [u64; MAX_DEPTH],
    last: u64,
    known: u8,
}

impl<'m> Walker<'m> {
    pub(crate) fn new(mem: &'m dyn PhysMem, tables: PageTables) -> Self {
        let shape = tables.shape();
        let top = shape.depth - 1;
        let mut path = [0; MAX_DEPTH];
        path[usize::from(top)] = shape.root;
        Walker {
            mem,
            tables,
            shape,
            path,
            last: 0,
            known: top,
        }
    }

    pub(crate) fn probe(&mut self, at: GuestVirt) -> Result<Leaf, Missing> {
        if let Err(rest) = self.tables.canonical(at.0) {
            let why = WalkError::NotCanonical { at };
            return Err(Missing { why, rest });
        }
        let top = self.shape.depth - 1;
        // The lowest table that the last walk and this one have in common.
        let mut height = self.known;
        while height < top && (at.0 ^ self.last) >> self.shape.reach(height) != 0 {
            height += 1;
        }
        self.last = at.0;
        loop {
            self.known = height;
            let table = self.path[usize::from(height)];
            let (shift, reach) = (self.shape.shift(height), self.shape.reach(height));
            let size = 1u64 << shift;
            let offset = at.0 & (size - 1);
            let missing = |why| Missing {
                why,
                rest: size - offset,
            };
            let level = self.tables.level(height);
            let index = (at.0 & ((1u64 << reach) - 1)) >> shift;
            let entry_at = GuestPhys(table + 8 * index);
            let value = match self.mem.read_u64(entry_at) {
                Ok(value) => value,
                Err(source) => {
                    let why = WalkError::TableNotRam { at, level, source };
                    // Regions hold whole tables, so if the table's last entry is outside of RAM, so are all from this one on.
                    let last = GuestPhys(table + 8 * ((1u64 << (reach - shift)) - 1));
                    if self.mem.read_u64(last).is_ok() {
                        return Err(missing(why));
                    }
                    let rest = (1u64 << reach) - (at.0 & ((1u64 << reach) - 1));
                    return Err(Missing { why, rest });
                }
            };
            match self.tables.decode(height, value) {
                Entry::Absent => {
                    return Err(missing(WalkError::NotPresent {
                        at,
                        level,
                        entry: entry_at,
                    }));
                }
                // The lowest tables have no tables below them, whatever `decode` returns.
                Entry::Table(next) if height > 0 => {
                    height -= 1;
                    self.path[usize::from(height)] = next;
                }
                Entry::Leaf(frame) => {
                    return Ok(Leaf {
                        at: GuestPhys((frame & !(size - 1)) + offset),
                        rest: size - offset,
                    });
                }
                Entry::Malformed | Entry::Table(_) => {
                    return Err(missing(WalkError::Malformed {
                        at,
                        level,
                        entry: entry_at,
                        value,
                    }));
                }
            }
        }
    }
}
